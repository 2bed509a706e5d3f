"""`jaxconv predict`."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro
from rich.table import Column, Table

from jaxconv.cli.classifier import Classifier, open_classifier
from jaxconv.cli.show import show
from jaxconv.data import ImageError, list_images
from jaxconv.data.progress import track


def predict(
    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN|NETWORK")],
    images: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="IMAGE|FOLDER", help_behavior_hint="(one or more)")
    ],
    *,
    weights: Annotated[Path | None, tyro.conf.arg(metavar="FILE|FOLDER")] = None,
    size: Annotated[int | None, tyro.conf.arg(metavar="PIXELS")] = None,
    top: int = 5,
    batch_size: int = 64,
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> int:
    """Name what images show: the most probable classes with their probabilities.

    Args:
        model: directory that `jaxconv train` wrote, or a network with published weights such as resnet50 or
            resnet50.a2_in1k, which are fetched from the Hugging Face hub and kept in its cache.
        images: image files, or folders of them.
        weights: weights of the network, instead of the published ones.
        size: side of the square that the network sees. Default: what its weights were published with.
        top: how many classes to name an image.
        batch_size: images at a time.
        as_json: print one JSON object an image instead of a table.
    """
    for name, value in (("top", top), ("batch_size", batch_size), ("size", size)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be positive; got {value}.")
    if not images:
        raise ValueError("predict takes images, one at least: files, or folders of them; got none.")
    if "" in images:
        raise ValueError("an image is a file or a folder of them; got an empty name.")
    classifier = open_classifier(model, weights, size)
    paths = [path for given in images for path in _images(Path(given))]
    failed: list[str] = []
    results = _probabilities(classifier, _readable(paths, classifier, failed), min(batch_size, len(paths)))
    rows = (_row(path, p, classifier.classes, top) for path, p in results)
    if as_json:
        for row in rows:
            print(json.dumps(row), flush=True)
    else:
        with track("Predicting", len(paths), unit="images", shown=len(paths) > batch_size) as advance:
            found = []
            for row in rows:
                found.append(row)
                advance(1)
        _show(found)
    for reason in failed:
        print(f"jaxconv: {reason}", file=sys.stderr)
    if failed:
        print(f"jaxconv: {len(failed)} of {len(paths)} images could not be predicted", file=sys.stderr)
    return 1 if failed else 0


def _images(given: Path) -> list[Path]:
    """The images in a folder, or the one that is given."""
    try:
        return list_images(given) if given.is_dir() else [given]
    except PermissionError:  # of a file: it is named among those that cannot be read
        if os.path.isdir(given):
            raise
        return [given]


def _readable(paths: Sequence[Path], classifier: Classifier, failed: list[str]) -> Iterator[tuple[Path, np.ndarray]]:
    """The images that can be read, one after the other; why others cannot is added to `failed`."""
    for path in paths:
        try:
            image = classifier.read(path)
        except (ImageError, OSError) as error:
            reason = str(error)
            failed.append(reason if reason.startswith(str(path)) else f"{path}: {reason}")
        else:
            yield path, image


def _probabilities(
    model: Classifier, images: Iterable[tuple[Path, np.ndarray]], size: int
) -> Iterator[tuple[Path, np.ndarray]]:
    """Class probabilities of each image; batches are filled up to one size, so that one program serves all."""

    @jax.jit
    def forward(batch):
        logits, _ = model.apply(model.params, model.batch_stats, model.preprocess(batch), train=False)
        return jax.nn.softmax(logits.astype("float32"))

    images = iter(images)
    while part := list(islice(images, size)):
        batch = np.stack([image for _, image in part])
        batch = np.pad(batch, ((0, size - len(part)), (0, 0), (0, 0), (0, 0)))
        yield from ((path, p) for (path, _), p in zip(part, np.asarray(forward(batch)), strict=False))


def _row(path: Path, probabilities: np.ndarray, classes: Sequence[str], top: int) -> dict[str, Any]:
    best = np.argsort(-probabilities, kind="stable")[:top]
    return {
        "image": str(path),
        "top": [{"class": classes[i], "index": int(i), "probability": float(probabilities[i])} for i in best],
    }


def _show(rows: list[dict[str, Any]]) -> None:
    if rows:
        names = ["image", *[str(i + 1) for i in range(len(rows[0]["top"]))]]
        table = Table(*[Column(name, overflow="fold") for name in names])
        for row in rows:
            table.add_row(row["image"], *[f"{t['class']} {t['probability']:.1%}" for t in row["top"]])
        show(table)
