"""What the functions of an experiment give, looked at before the first step: mistakes show at once, not after hours."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxconv.train.experiment import Experiment, Functional


def made(experiment: Experiment) -> tuple[Functional, Any, Any]:
    """The model, the schedule of the learning rate and the optimizer of an experiment.

    Raises:
        TypeError: if one of them is none; the message names the field.
        ValueError: if the model gives fewer logits than there are classes, or refuses the images to measure on.
    """
    schedule = experiment.schedule(experiment.total_steps)
    if not callable(schedule):
        raise TypeError(f"schedule must give the learning rate as a function of the step; got {schedule!r}.")
    optimizer = experiment.optimizer(schedule)
    if not hasattr(optimizer, "update"):
        raise TypeError(f"optimizer must give an optax transformation; got {optimizer!r}.")
    model = experiment.model()
    if not isinstance(model, tuple | list) or len(model) != 3:
        kind = type(model).__name__
        raise TypeError(f"model must give (apply, params, batch_stats), as jaxconv.functionalize does; got a {kind}.")
    _require_measurable(experiment, *model)
    return model, schedule, optimizer


def _require_measurable(experiment: Experiment, apply: Any, params: Any, batch_stats: Any) -> None:
    """Trace what is measured at the end of an epoch."""

    def measured(params: Any, batch_stats: Any, images: Any, labels: Any, mask: Any) -> Any:
        logits, _ = apply(params, batch_stats, experiment.preprocess(images), train=False)
        return logits, experiment.loss(logits, labels, where=mask)

    images = jax.ShapeDtypeStruct((2, *experiment.eval_data.image_shape), jnp.uint8)
    labels, mask = jax.ShapeDtypeStruct((2,), jnp.int32), jax.ShapeDtypeStruct((2,), jnp.bool_)
    logits, _ = jax.eval_shape(measured, params, batch_stats, images, labels, mask)
    classes = len(experiment.train_data.classes)
    if len(logits.shape) != 2 or logits.shape[1] < classes:
        raise ValueError(
            f"model must give one logit a class: for 2 images shape (2, {classes}); got shape {logits.shape}."
        )
