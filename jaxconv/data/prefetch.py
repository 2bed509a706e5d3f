"""Batches in the order of the steps, prepared ahead by threads."""

import os
from collections.abc import Callable, Iterator

import numpy as np

from jaxconv.data.dataset import AnyDataset
from jaxconv.data.order import batch_indices

_AHEAD_BYTES = 2**30

Batch = tuple[np.ndarray, np.ndarray]
"""Images, uint8 (b, h, w, c), and labels, int32 (b,)."""


def batches(dataset: AnyDataset, seed: int, first_step: int, last_step: int, batch_size: int) -> Iterator[Batch]:
    """The batches of a stretch of steps.

    The batch of step s holds the examples `batch_indices(seed, s, ...)`: however many threads decode it and
    wherever a run begins again, it is the same.

    Args:
        dataset: a split, decoded or not.
        seed: see `batch_indices`.
        first_step: the first step.
        last_step: the step after the last.
        batch_size: examples in a batch.

    Yields:
        (images, labels) for each step from `first_step` to `last_step` - 1.

    Raises:
        ImageError: if an image of a batch cannot be used.
    """

    def batch(step: int) -> Batch:
        return dataset.gather(batch_indices(seed, step, length=len(dataset), batch_size=batch_size))

    return _ahead(batch, range(first_step, last_step), _batch_bytes(dataset, batch_size))


def ordered_batches(dataset: AnyDataset, batch_size: int) -> Iterator[Batch]:
    """Every example once, in the order of the split; the last batch may be smaller.

    Args:
        dataset: a split, decoded or not.
        batch_size: examples in a batch.

    Yields:
        (images, labels).

    Raises:
        ImageError: if an image of a batch cannot be used.
    """

    def batch(number: int) -> Batch:
        return dataset.gather(np.arange(number * batch_size, min((number + 1) * batch_size, len(dataset))))

    return _ahead(batch, range(-(-len(dataset) // batch_size)), _batch_bytes(dataset, batch_size))


def _batch_bytes(dataset: AnyDataset, batch_size: int) -> int:
    return batch_size * int(np.prod(dataset.image_shape))


def _ahead(batch: Callable[[int], Batch], numbers: range, batch_bytes: int) -> Iterator[Batch]:
    """Grain's threads make the batches; as many wait as fit into a gigabyte, at most two for each thread."""
    import grain

    threads = max(1, min(os.cpu_count() or 1, 16, _AHEAD_BYTES // batch_bytes))
    waiting = max(1, min(2 * threads, _AHEAD_BYTES // batch_bytes))
    steps = grain.MapDataset.range(numbers.start, numbers.stop).map(batch)
    return iter(steps.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=waiting)))
