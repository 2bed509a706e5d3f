"""`jaxconv predict`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro
from rich.table import Table

from jaxconv.cli.classifier import Classifier, open_classifier
from jaxconv.cli.show import show
from jaxconv.data import ImageError, list_images


def predict(
    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN|NETWORK")],
    images: tyro.conf.Positional[tuple[Path, ...]],
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
    classifier = open_classifier(model, weights, size)
    paths = [path for given in images for path in (list_images(given) if given.is_dir() else [given])]
    readable, failed = _read(paths, classifier)
    probabilities = _probabilities(classifier, readable, batch_size)
    rows = [_row(path, p, classifier.classes, top) for path, p in probabilities]
    _show(rows, as_json=as_json)
    for path, reason in failed:
        print(f"jaxconv: {reason if reason.startswith(str(path)) else f'{path}: {reason}'}", file=sys.stderr)
    if failed:
        print(f"jaxconv: {len(failed)} of {len(paths)} images could not be predicted", file=sys.stderr)
    return 1 if failed else 0


def _read(paths: list[Path], classifier: Classifier) -> tuple[list[tuple[Path, np.ndarray]], list[tuple[Path, str]]]:
    readable, failed = [], []
    for path in paths:
        try:
            readable.append((path, classifier.read(path)))
        except (ImageError, OSError) as error:
            failed.append((path, str(error)))
    return readable, failed


def _probabilities(
    model: Classifier, images: list[tuple[Path, np.ndarray]], batch_size: int
) -> list[tuple[Path, np.ndarray]]:
    """Class probabilities of each image; batches are filled up to one size, so that one program serves all."""

    @jax.jit
    def forward(batch):
        logits, _ = model.apply(model.params, model.batch_stats, model.preprocess(batch), train=False)
        return jax.nn.softmax(logits.astype("float32"))

    size, results = min(batch_size, max(len(images), 1)), []
    for start in range(0, len(images), size):
        part = images[start : start + size]
        batch = np.stack([image for _, image in part])
        batch = np.pad(batch, ((0, size - len(part)), (0, 0), (0, 0), (0, 0)))
        results += [(path, p) for (path, _), p in zip(part, np.asarray(forward(batch)), strict=False)]
    return results


def _row(path: Path, probabilities: np.ndarray, classes: Sequence[str], top: int) -> dict[str, Any]:
    best = np.argsort(-probabilities, kind="stable")[:top]
    return {
        "image": str(path),
        "top": [{"class": classes[i], "index": int(i), "probability": float(probabilities[i])} for i in best],
    }


def _show(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        for row in rows:
            print(json.dumps(row))
        return
    if rows:
        table = Table("image", *[str(i + 1) for i in range(len(rows[0]["top"]))])
        for row in rows:
            table.add_row(row["image"], *[f"{t['class']} {t['probability']:.1%}" for t in row["top"]])
        show(table)
