"""`jaxconv predict`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro
from rich.table import Table

from jaxconv.cli.restored import Restored
from jaxconv.cli.show import show
from jaxconv.data import ImageError, list_images, read_image


def predict(
    run: tyro.conf.Positional[Path],
    images: tyro.conf.Positional[tuple[Path, ...]],
    *,
    top: int = 5,
    batch_size: int = 64,
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> int:
    """Name what images show: the most probable classes with their probabilities.

    Args:
        run: directory that `jaxconv train` wrote.
        images: image files, or folders of them.
        top: how many classes to name an image.
        batch_size: images at a time.
        as_json: print one JSON object an image instead of a table.
    """
    for name, value in (("top", top), ("batch_size", batch_size)):
        if value < 1:
            raise ValueError(f"{name} must be positive; got {value}.")
    if not images:
        raise ValueError("images must name at least one file or folder; got none.")
    model = Restored.open(run)
    paths = [path for given in images for path in (list_images(given) if given.is_dir() else [given])]
    readable, failed = _read(paths, model.run.record["data"]["image_shape"])
    probabilities = _probabilities(model, readable, batch_size)
    rows = [_row(path, p, model.run.record["data"]["classes"], top) for path, p in probabilities]
    _show(rows, as_json=as_json)
    for path, reason in failed:
        print(f"jaxconv: {path}: {reason}", file=sys.stderr)
    if failed:
        print(f"jaxconv: {len(failed)} of {len(paths)} images could not be predicted", file=sys.stderr)
    return 1 if failed else 0


def _read(paths: list[Path], shape: list[int]) -> tuple[list[tuple[Path, np.ndarray]], list[tuple[Path, str]]]:
    readable, failed = [], []
    for path in paths:
        try:
            readable.append((path, read_image(path, channels=shape[2], size=(shape[0], shape[1]))))
        except (ImageError, OSError) as error:
            failed.append((path, str(error)))
    return readable, failed


def _probabilities(
    model: Restored, images: list[tuple[Path, np.ndarray]], batch_size: int
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


def _row(path: Path, probabilities: np.ndarray, classes: list[str], top: int) -> dict[str, Any]:
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
