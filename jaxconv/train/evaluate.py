"""Evaluation that counts each image once, on any number of devices and for any batch size."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jaxconv.data import AnyDataset, ImageError, Loader, ordered_batches
from jaxconv.train.parallel import local_rows, shard_batch

AHEAD = 2
"""Batches that may wait for the devices: enough to keep them busy, few enough to notice what happens."""


def padded_batches(
    dataset: AnyDataset, batch_size: int, *, rows: slice = slice(None), loader: Loader | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Images, labels and a mask in the order of the data set; the last batch is filled up, the mask says with what.

    Args:
        dataset: of any length.
        batch_size: images a batch; every batch has this many.
        rows: which of them are given.
        loader: reads the batches ahead; None has threads of their own do so.
    """
    count = len(range(*rows.indices(batch_size)))
    read = ordered_batches(dataset, batch_size, rows=rows, loader=loader, on_bad=_refuse)
    for number, (images, labels) in enumerate(read):
        missing = count - len(labels)
        filled = np.pad(images, [(0, missing), (0, 0), (0, 0), (0, 0)]) if missing else images
        mask = number * batch_size + np.arange(batch_size)[rows] < len(dataset)
        yield filled, np.pad(labels, (0, missing)), mask


def _refuse(bad: Mapping[int, str]) -> None:
    """An image that could be read when the data were opened: another one in its place would be counted twice."""
    raise ImageError(f"an image to measure on could be used before, and cannot now: {next(iter(bad.values()))}")


def evaluate(
    step: Callable[..., dict[str, Any]],
    params: Any,
    batch_stats: Any,
    dataset: AnyDataset,
    *,
    batch_size: int,
    mesh: Mesh,
    beat: Callable[[], None] = lambda: None,
    loader: Loader | None = None,
) -> dict[str, float | int]:
    """Loss and accuracy over every image of `dataset`, each counted once.

    Args:
        step: compiled, as `make_eval_step` makes it.
        params: of the network.
        batch_stats: of the network.
        dataset: what to evaluate on.
        batch_size: a multiple of the number of devices.
        mesh: over which `step` was compiled.
        beat: called after each batch.
        loader: reads the images; None has threads of their own do so.

    Returns:
        `loss` (mean), `accuracy` (share of correct images), `correct` and `images` (counts).
    """
    sums: list[dict[str, Any]] = []
    for batch in padded_batches(dataset, batch_size, rows=local_rows(batch_size, mesh), loader=loader):
        if len(sums) >= AHEAD:
            jax.block_until_ready(sums[-AHEAD])
        beat()
        sums.append(step(params, batch_stats, *shard_batch(batch, mesh, size=batch_size)))
    images = sum(int(s["images"]) for s in sums)
    correct = sum(int(s["correct"]) for s in sums)
    assert images == len(dataset), f"counted {images} of {len(dataset)} images"
    loss = float(sum(np.float64(s["loss"]) for s in sums) / images)
    return {"loss": loss, "accuracy": correct / images, "correct": correct, "images": images}
