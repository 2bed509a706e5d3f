"""The settings of a training run from the command line, and the experiment that follows from them."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import tyro

from jaxconv import functional as F
from jaxconv.cli.fitting import require_fit
from jaxconv.cli.users import about
from jaxconv.data import AnyDataset, load_dataset, normalization
from jaxconv.functional.augment import random_flip, random_shift
from jaxconv.models import create_model, model_info, offered_settings
from jaxconv.nn import functionalize
from jaxconv.train import MOST_BAD_IMAGES, OPTIMIZERS, Experiment, Preprocess, make_optimizer, make_schedule

LOSSES: dict[str, Callable[..., jax.Array]] = {"cross_entropy": F.cross_entropy, "hinge": F.multiclass_hinge}

PLACES = ("data_dir", "devices", "workers", "max_bad_images")
"""Knobs that say where a run happens, not what it computes: they may differ when it goes on."""

OPTIONS = ("drop_rate", "drop_path_rate", "aux_logits")
"""Knobs that some networks have: keywords of `create_model`, recorded where they are given."""


def _shift_and_flip(key: jax.Array, x: jax.Array, *, pixels: int) -> jax.Array:
    shift_key, flip_key = jax.random.split(key)
    return random_flip(flip_key, random_shift(shift_key, x, pixels=pixels))


AUGMENTATIONS: dict[str, Callable[[int], Callable[..., jax.Array] | None]] = {
    "none": lambda side: None,
    "shift": lambda side: partial(random_shift, pixels=max(1, side // 14)),
    "flip": lambda side: random_flip,
    "shift+flip": lambda side: partial(_shift_and_flip, pixels=max(1, side // 8)),
}


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """What to train on what, and how."""

    model: Annotated[str, tyro.conf.arg(metavar="NAME")] = "lenet5"
    """Network; `jaxconv list` prints the names."""
    data: Annotated[str, tyro.conf.arg(metavar="NAME|FOLDER")] = "digits"
    """digits (inside the package), a TFDS name such as mnist, fashion_mnist, cifar10, or a folder of class folders."""
    data_dir: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Where archives or prepared TFDS sets lie; only read. Default: TFDS_DATA_DIR, then the cache."""
    image_size: Annotated[int | None, tyro.conf.arg(metavar="PIXELS")] = None
    """Side to which images are resized and cropped. Default: as they are, or as the network needs."""
    drop_rate: float | None = None
    """Probability of dropout before the classifier. Default: the network's own, mostly 0."""
    drop_path_rate: float | None = None
    """Probability that training skips a residual branch: stochastic depth. Default: the network's own, mostly 0."""
    aux_logits: bool = False
    """Auxiliary heads, of googlenet and inception_v3: 0.3 times the loss of each is added in training."""
    epochs: int = 30
    """Passes over the training images."""
    batch_size: int = 64
    """Images a step, over all devices together."""
    optimizer: Literal["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw", "lion", "lamb", "lars"] = "adam"
    """Rule of the update."""
    learning_rate: float | None = None
    """Peak learning rate. Default: the optimizer's own."""
    schedule: Literal["constant", "cosine", "linear", "steps"] = "cosine"
    """How the learning rate goes over the run."""
    weight_decay: float = 0.0
    """Decay of kernels; biases and norms have none."""
    ema_decay: float | None = None
    """Decay a step of a moving average of the parameters, which is then what is measured. Default: none is kept."""
    loss: Literal["cross_entropy", "hinge"] = "cross_entropy"
    """cross_entropy is the softmax classifier, hinge the multiclass SVM."""
    augment: Literal["none", "shift", "flip", "shift+flip"] = "shift"
    """Random change of training images: shifts of up to 1/14 of the side (1/8 with flips), mirror images."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """In which the network computes; parameters are float32 always."""
    seed: int = 0
    """Of the weights, the order of images and every random number: equal seeds give equal bits."""
    devices: int | None = None
    """How many devices share a batch. Default: all."""

    workers: int = 0
    """Processes that decode images, of data too large to be kept decoded. Default: threads of this process."""
    max_bad_images: int = MOST_BAD_IMAGES
    """How many images that cannot be used are replaced and named; one more ends the run with their list."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate", "image_size", "devices"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{_flag(name)} must be positive; got {value}.")
        for name in ("workers", "max_bad_images"):
            if getattr(self, name) < 0:
                raise ValueError(f"{_flag(name)} must be zero or positive; got {getattr(self, name)}.")
        for name in ("drop_rate", "drop_path_rate"):
            if not 0 <= (getattr(self, name) or 0) < 1:
                raise ValueError(f"{_flag(name)} must be a probability in [0, 1); got {getattr(self, name)}.")
        if not 0 <= self.weight_decay < float("inf"):
            raise ValueError(f"--weight-decay must be zero or positive; got {self.weight_decay}.")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"--seed must lie between 0 and 2**32 - 1; got {self.seed}.")

    def settings(self) -> dict[str, Any]:
        """The JSON values that define what the run computes."""
        values = dataclasses.asdict(self)
        values["learning_rate"] = self.rate
        left_out = {*PLACES, *OPTIONS} - self.model_options.keys()
        return {name: value for name, value in values.items() if name not in left_out}

    @property
    def model_options(self) -> dict[str, Any]:
        """Those of `OPTIONS` that are given."""
        values = {name: getattr(self, name) for name in OPTIONS}
        return {name: value for name, value in values.items() if value is not None and value is not False}

    @property
    def rate(self) -> float:
        """The peak learning rate."""
        return OPTIMIZERS[self.optimizer].learning_rate if self.learning_rate is None else self.learning_rate


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def build_experiment(knobs: Knobs, *, model_options: dict[str, Any] | None = None, progress: bool = True) -> Experiment:
    """The experiment that the knobs describe; reads the data.

    Args:
        knobs: checked settings.
        model_options: further keywords for `create_model`.
        progress: show progress bars while data are prepared.

    Raises:
        ValueError: for an unknown model or data set (with the closest names) or unreadable data.
    """
    with about("--model"):
        info = model_info(knobs.model)
        _require_offered(knobs)
    with about(f"--data {knobs.data}"):
        train_data, eval_data = load_dataset(
            knobs.data, data_dir=knobs.data_dir, image_size=knobs.image_size, progress=progress
        )
    height, width, channels = train_data.image_shape
    size = info.input_size if info.fixed_input_size else (height, width)
    mean, std = normalization(train_data)
    preprocess = Preprocess(mean=tuple(map(float, mean)), std=tuple(map(float, std)), size=size, dtype=knobs.dtype)
    sizes = {"num_classes": len(train_data.classes), "in_chans": channels}
    options = {**sizes, **knobs.model_options, **(model_options or {})}
    with about("--image-size"):
        require_fit(create_model(knobs.model, key=None, **options), size, train=knobs.aux_logits)
    return Experiment(
        model=lambda: functionalize(create_model(knobs.model, key=knobs.seed, **options)),
        train_data=train_data,
        eval_data=eval_data,
        preprocess=preprocess,
        schedule=lambda total: make_schedule(knobs.schedule, total, knobs.rate),
        optimizer=lambda schedule: make_optimizer(knobs.optimizer, schedule, weight_decay=knobs.weight_decay),
        loss=LOSSES[knobs.loss],
        augment=AUGMENTATIONS[knobs.augment](min(size)),
        epochs=knobs.epochs,
        batch_size=knobs.batch_size,
        seed=knobs.seed,
        devices=knobs.devices,
        ema_decay=knobs.ema_decay,
        workers=knobs.workers,
        max_bad_images=knobs.max_bad_images,
        settings={**knobs.settings(), **({"model_options": model_options} if model_options else {})},
        record=_record(knobs, options, preprocess, train_data),
    )


def _require_offered(knobs: Knobs) -> None:
    offered = offered_settings(knobs.model)
    for name in knobs.model_options:
        if name not in offered:
            taken = ", ".join(_flag(other) for other in OPTIONS if other in offered) or "none of these flags"
            raise ValueError(f"{_flag(name)} must be a setting of the network; {knobs.model} takes {taken}.")


def _record(knobs: Knobs, options: dict[str, Any], preprocess: Preprocess, data: AnyDataset) -> dict[str, Any]:
    return {
        "model": {"name": knobs.model, "options": options},
        "preprocess": preprocess.described,
        "data": {"name": knobs.data, "image_shape": list(data.image_shape), "classes": list(data.classes)},
    }
