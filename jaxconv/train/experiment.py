"""A complete description of one training run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from jaxconv import functional as F
from jaxconv.data import AnyDataset
from jaxconv.train.bad_images import MOST_BAD_IMAGES
from jaxconv.train.preprocess import Preprocess
from jaxconv.train.step import Loss

LARGEST_STEP = 2**31 - 1
"""The step is counted in int32."""

Functional = tuple[Callable[..., Any], Any, Any]
"""`(apply, params, batch_stats)`, as `jaxconv.functionalize` gives them."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What is trained on what, and how. `fit` runs it.

    Attributes:
        model: makes `(apply, params, batch_stats)`.
        train_data: examples to learn from.
        eval_data: examples to measure on, each counted once.
        preprocess: bytes to what the network takes; its dtype is the one in which the network computes.
        schedule: `(total steps) -> optax schedule`.
        optimizer: `(schedule) -> optax transformation`.
        loss: `(logits, labels, where=None) -> mean loss`.
        augment: `(key, x) -> x` on preprocessed training images, or None.
        epochs: passes over `train_data`.
        batch_size: images a step, over all devices.
        seed: of the weights, the order of examples and every random number.
        devices: how many to use; None takes all.
        workers: processes that decode images of data sets too large to be kept decoded; 0 has threads do it.
        max_bad_images: how many images that cannot be used the run may have; one more ends it with their list.
        ema_decay: decay a step of a moving average of the parameters, which is then evaluated; None keeps none.
        settings: further JSON values that define the run, such as the name of the network; a run directory is continued
            only by equal ones, and by equal numbers and data as in `described`.
        record: JSON values that let the model be built again (`jaxconv eval`, `jaxconv predict`).

    Raises:
        ValueError: if a number lies outside its range; the message names the field.
        TypeError: if a number that is counted is no whole one, or a function none.
    """

    model: Callable[[], Functional]
    train_data: AnyDataset
    eval_data: AnyDataset
    preprocess: Preprocess
    schedule: Callable[[int], optax.Schedule]
    optimizer: Callable[[optax.Schedule], optax.GradientTransformation]
    loss: Loss = F.cross_entropy
    augment: Callable[[jax.Array, jax.Array], jax.Array] | None = None
    epochs: int
    batch_size: int
    seed: int = 0
    devices: int | None = None
    workers: int = 0
    max_bad_images: int = MOST_BAD_IMAGES
    ema_decay: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "seed", "devices", "workers", "max_bad_images"):
            value = getattr(self, name)
            if name == "devices" and value is None:
                continue
            if not isinstance(value, int | np.integer):
                raise TypeError(f"{name} must be a whole number; got {value!r}.")
            object.__setattr__(self, name, int(value))  # what follows from it goes into JSON
        for name in ("model", "preprocess", "schedule", "optimizer", "loss"):
            if not callable(getattr(self, name)):
                raise TypeError(f"{name} must be a function; got {getattr(self, name)!r}.")
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive; got {getattr(self, name)}.")
        for name in ("workers", "max_bad_images"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be zero or positive; got {getattr(self, name)}.")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ValueError(f"ema_decay must lie between 0 and 1; got {self.ema_decay}.")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must lie between 0 and 2**32 - 1; got {self.seed}.")
        if self.batch_size > len(self.train_data):
            raise ValueError(
                f"batch_size must not exceed the number of training images; got {self.batch_size} "
                f"for {len(self.train_data)}."
            )
        if self.total_steps >= LARGEST_STEP:
            raise ValueError(
                f"epochs must stay below {LARGEST_STEP} steps in all, the largest int32; got {self.epochs} epochs, "
                f"which are {self.total_steps} steps."
            )
        self._require_data()

    def _require_data(self) -> None:
        train, test = self.train_data, self.eval_data
        if len(train.classes) < 2:
            raise ValueError(f"a classifier is trained on two classes or more; {train.name} has {len(train.classes)}.")
        if len(test.classes) > len(train.classes) or test.image_shape[-1] != train.image_shape[-1]:
            raise ValueError(
                f"eval_data has the classes and channels of train_data; got {len(test.classes)} classes and "
                f"{test.image_shape[-1]} channels to measure on, {len(train.classes)} and {train.image_shape[-1]} to "
                "train on."
            )
        if len(self.preprocess.mean) != train.image_shape[-1]:
            raise ValueError(
                f"preprocess has one mean a channel; got {len(self.preprocess.mean)} for {train.image_shape[-1]}."
            )

    @property
    def total_steps(self) -> int:
        """Steps of the whole run: the last one completes the last epoch."""
        return self.epoch_end(self.epochs)

    @property
    def described(self) -> dict[str, Any]:
        """What this object itself knows of what the run computes, as JSON values; not where it does so."""
        return {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "seed": self.seed,
            "ema_decay": None if self.ema_decay is None else float(self.ema_decay),
            "train_data": _described(self.train_data),
            "eval_data": _described(self.eval_data),
            "preprocess": self.preprocess.described,
        }

    def epoch_end(self, epoch: int) -> int:
        """The number of steps after which `epoch` epochs (from 1) have been seen whole."""
        return -(-epoch * len(self.train_data) // self.batch_size)


def _described(data: AnyDataset) -> dict[str, Any]:
    """A split; an image that has become unusable since, and is left out for it, still counts."""
    return {
        "name": data.name,
        "split": data.split,
        "images": len(data) + len(data.left_out),
        "image_shape": list(map(int, data.image_shape)),
        "classes": list(map(str, data.classes)),
    }


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a finished run gives back.

    Attributes:
        metrics: of the last evaluation: `loss`, `accuracy`, `correct`, `images`.
        params: of the network (the moving average where one is kept); None where the run had been finished before.
        batch_stats: of the network; None likewise.
        steps: taken in all.
        seconds: wall time of this process in the run, everything included.
        compile_seconds: until the first step had run.
        images_per_second: training speed without compilation and evaluation; 0.0 where nothing was left to train.
        directory: of the run.
    """

    metrics: Mapping[str, float | int]
    params: Any
    batch_stats: Any
    steps: int
    seconds: float
    compile_seconds: float
    images_per_second: float
    directory: Path
