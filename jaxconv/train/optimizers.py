"""Optimizers and schedules by name: rows of two tables over optax.

Weight decay is applied to kernels alone: biases and the scales of norms are left out, as the recipes for
convolutional networks do (He et al. 2019, arXiv:1812.01187, section 3.1).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

Schedule = Callable[[int, float], optax.Schedule]
"""`(total_steps, peak) -> schedule`."""

LARGEST_RATE = float(np.finfo(np.float32).max)
"""Updates are float32: a larger rate is infinite in it."""

WARMUP = 0.05
"""The share of the steps over which the learning rate rises, where a schedule has a warm-up."""


class Optimizer(NamedTuple):
    """One row: the optax transformation, the learning rate where none is given, and its source.

    Attributes:
        make: `(learning_rate, weight_decay) -> transformation`.
        learning_rate: peak, for a batch of 64 to 256 images.
        source: the paper.
    """

    make: Callable[[Any, float], optax.GradientTransformation]
    learning_rate: float
    source: str


def is_kernel(params: Any) -> Any:
    """For each leaf, whether it is a kernel: whether weight decay applies to it."""
    return jax.tree_util.tree_map_with_path(lambda path, _: getattr(path[-1], "key", None) == "kernel", params)


def _coupled(transformation: optax.GradientTransformation, decay: float) -> optax.GradientTransformation:
    return optax.chain(optax.add_decayed_weights(decay, mask=is_kernel), transformation) if decay else transformation


OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": Optimizer(lambda rate, decay: _coupled(optax.sgd(rate), decay), 0.1, "Robbins and Monro 1951"),
    "momentum": Optimizer(
        lambda rate, decay: _coupled(optax.sgd(rate, momentum=0.9), decay), 0.05, "Polyak 1964; factor 0.9"
    ),
    "nesterov": Optimizer(
        lambda rate, decay: _coupled(optax.sgd(rate, momentum=0.9, nesterov=True), decay),
        0.05,
        "Sutskever et al. 2013; factor 0.9",
    ),
    "rmsprop": Optimizer(
        lambda rate, decay: _coupled(optax.rmsprop(rate, decay=0.9, momentum=0.9), decay),
        1e-3,
        "Hinton 2012, lecture 6e",
    ),
    "adam": Optimizer(lambda rate, decay: _coupled(optax.adam(rate), decay), 2e-3, "Kingma and Ba, arXiv:1412.6980"),
    "adamw": Optimizer(
        lambda rate, decay: optax.adamw(rate, weight_decay=decay, mask=is_kernel),
        2e-3,
        "Loshchilov and Hutter, arXiv:1711.05101",
    ),
    "lion": Optimizer(
        lambda rate, decay: optax.lion(rate, weight_decay=decay, mask=is_kernel),
        3e-4,
        "Chen et al., arXiv:2302.06675",
    ),
    "lamb": Optimizer(
        lambda rate, decay: optax.lamb(rate, weight_decay=decay, mask=is_kernel),
        5e-3,
        "You et al., arXiv:1904.00962",
    ),
    "lars": Optimizer(
        lambda rate, decay: optax.lars(
            rate, weight_decay=decay, weight_decay_mask=is_kernel, trust_ratio_mask=is_kernel
        ),
        1.0,
        "You et al., arXiv:1708.03888",
    ),
}


def _warmup(total: int) -> int:
    """Steps of the warm-up, at least one: but a run of a single step, which would be taken at rate zero, has none."""
    return min(max(1, round(WARMUP * total)), total - 1)


def _cosine(total: int, peak: float) -> optax.Schedule:
    warmup = _warmup(total)
    return optax.warmup_cosine_decay_schedule(0.0, peak, warmup, max(total, warmup + 1))


def _linear(total: int, peak: float) -> optax.Schedule:
    warmup = _warmup(total)
    rise, fall = (
        optax.linear_schedule(0.0, peak, warmup),
        optax.linear_schedule(peak, 0.0, max(total - warmup, 1)),
    )
    return optax.join_schedules([rise, fall], [warmup])


def _steps(total: int, peak: float) -> optax.Schedule:
    first, second = max(1, total // 3), max(2, 2 * total // 3)  # the first step is taken at the peak
    return optax.piecewise_constant_schedule(peak, {first: 0.1, second: 0.1})


SCHEDULES: dict[str, Schedule] = {
    "constant": lambda total, peak: optax.constant_schedule(peak),
    "cosine": _cosine,
    "linear": _linear,
    "steps": _steps,
}


def make_schedule(name: str, total_steps: int, learning_rate: float) -> optax.Schedule:
    """The learning rate at each step.

    Args:
        name: "constant"; "cosine" or "linear" (a warm-up over 5 % of the steps, then down to zero); "steps" (a tenth
            after each third of the run, as He et al. 2015, arXiv:1512.03385, section 3.4 divide it).
        total_steps: of the run.
        learning_rate: the peak.

    Raises:
        ValueError: if there is no such schedule, or a number is out of its range.
    """
    if name not in SCHEDULES:
        raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}; got {name!r}.")
    if total_steps < 1:
        raise ValueError(f"total_steps must be positive; got {total_steps}.")
    _require_rate(learning_rate)
    return SCHEDULES[name](total_steps, learning_rate)


def make_optimizer(
    name: str, learning_rate: float | optax.Schedule, *, weight_decay: float = 0.0
) -> optax.GradientTransformation:
    """An optimizer of the table `OPTIMIZERS`.

    Args:
        name: a key of the table.
        learning_rate: a number or a schedule.
        weight_decay: decay of kernels (not of biases and norms): a term of the gradient for sgd, momentum, nesterov,
            rmsprop and adam; decoupled (times the learning rate) for adamw, lion, lamb; lars as in its paper.

    Raises:
        ValueError: if there is no such optimizer, or a number is out of its range.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}; got {name!r}.")
    if not 0 <= weight_decay < float("inf"):
        raise ValueError(f"weight_decay must be zero or positive; got {weight_decay}.")
    if not callable(learning_rate):
        _require_rate(learning_rate)
    return OPTIMIZERS[name].make(learning_rate, weight_decay)


def _require_rate(learning_rate: float) -> None:
    if not 0 < learning_rate <= LARGEST_RATE:
        raise ValueError(f"learning_rate must be positive and at most {LARGEST_RATE:.3g}; got {learning_rate}.")
