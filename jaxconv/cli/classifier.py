"""What `jaxconv predict` asks: a trained run, or a published network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxconv.cli.fitting import require_fit
from jaxconv.cli.restored import Restored
from jaxconv.cli.users import about
from jaxconv.data import EvaluationCrop, imagenet_classes, read_crop, read_image
from jaxconv.models import MODELS, ModelInfo, create_model, model_info
from jaxconv.nn import functionalize
from jaxconv.train import Preprocess, RunError

HALVES = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Classifier:
    """A network with its parameters and all that lies between an image file and the name of a class.

    Attributes:
        read: a file to pixels.
        preprocess: pixels to what the network takes.
        apply: `(params, batch_stats, x, *, train, key) -> (logits, batch_stats)`.
        params: nested dict of arrays.
        batch_stats: nested dict of arrays.
        classes: the name of each logit.
    """

    read: Callable[[Path], np.ndarray]
    preprocess: Preprocess
    apply: Callable[..., Any]
    params: Any
    batch_stats: Any
    classes: Sequence[str]


def open_classifier(name: str, weights: Path | None, size: int | None) -> Classifier:
    """The classifier in a run directory, or the published network of that name.

    Args:
        name: a directory that `jaxconv train` wrote, or a network, perhaps with a tag.
        weights: of the network: a file or folder; None fetches the published ones.
        size: side in pixels of the image that the network sees; None takes what its weights were published with.

    Raises:
        ValueError: if it is neither, if nothing is published of the network, or it gives no classes.
        RunError: if the directory is no run, or weights or a size are given for one.
    """
    if not Path(name).exists() and name.partition(".")[0] in MODELS:
        return _published(name, weights, size)
    if name and (Path(name).exists() or "/" in name):
        if weights is not None or size is not None:
            raise RunError(f"--weights and --size belong to a network's name; {name} is a run, which has its own.")
        return _trained(name)
    try:
        model_info(name)
    except ValueError as error:
        raise ValueError(f"{name or 'an empty name'} is neither a run directory nor a network. {error}") from error
    raise AssertionError(name)


def _trained(directory: str) -> Classifier:
    model = Restored.open(directory)
    height, width, channels = model.run.record["data"]["image_shape"]
    return Classifier(
        read=lambda path: read_image(path, channels=channels, size=(height, width)),
        preprocess=model.preprocess,
        apply=model.apply,
        params=model.params,
        batch_stats=model.batch_stats,
        classes=model.run.record["data"]["classes"],
    )


def _published(name: str, weights: Path | None, size: int | None) -> Classifier:
    with about("--weights" if weights else name):
        model = create_model(name, pretrained=True if weights is None else weights, key=None)
    info = model.info
    if not info.num_classes:
        raise ValueError(f"{name} is published without a classifier; another tag or network has one.")
    if size is not None and info.fixed_input_size and (size, size) != info.input_size:
        raise ValueError(f"size is {info.input_size[0]} for {name}, which takes no other; got {size}.")
    if size is not None:
        with about("--size"):
            require_fit(model, (size, size))
    apply, params, batch_stats = functionalize(model)
    crop = evaluation_crop(info, size)
    mean, std = info.mean or HALVES[: info.in_chans], info.std or HALVES[: info.in_chans]
    return Classifier(
        read=lambda path: read_crop(path, crop, channels=info.in_chans),
        preprocess=Preprocess(mean=mean, std=std),
        apply=apply,
        params=params,
        batch_stats=batch_stats,
        classes=_classes(info.num_classes),
    )


def evaluation_crop(info: ModelInfo, size: int | None = None) -> EvaluationCrop:
    """How an image is cropped for a network; `size` takes the place of its own side."""
    return EvaluationCrop(
        size=info.input_size if size is None else (size, size),
        crop_pct=info.crop_pct,
        crop_mode=info.crop_mode,
        interpolation=info.interpolation,
    )


def _classes(count: int) -> Sequence[str]:
    """The names of ImageNet-1k's classes; of other label sets only the numbers are known."""
    return imagenet_classes() if count == len(imagenet_classes()) else [f"class {i}" for i in range(count)]
