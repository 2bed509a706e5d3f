"""The mean and the standard deviation of a data set's channels, by which its images are normalized."""

import json
from contextlib import suppress

import numpy as np
from jaxtyping import Float32

from jaxconv.data.atomic import write_text
from jaxconv.data.dataset import AnyDataset

_CHUNK_BYTES = 16 * 2**20
_SAMPLE = 20_000
_SMALLEST_STD = 1 / 255


def normalization(dataset: AnyDataset) -> tuple[Float32[np.ndarray, " c"], Float32[np.ndarray, " c"]]:
    """Mean and standard deviation of each channel, in units in which a pixel lies in [0, 1].

    All pixels of the split count, summed in float64 (exact: the sums are integers below 2**53). Of a split
    that is decoded on access, up to 20,000 images count, evenly spaced over it. The result is kept in the
    data set's cache.

    Args:
        dataset: the training split.

    Returns:
        (mean, std), each of shape (c,). A standard deviation is at least 1/255, one step of a pixel, so that
        a constant channel can be divided by it.
    """
    file = None if dataset.cache is None else dataset.cache / "normalization.json"
    if file is not None and file.exists():
        stored = json.loads(file.read_text())
        return np.asarray(stored["mean"], np.float32), np.asarray(stored["std"], np.float32)
    mean, std = _measure(dataset)
    if file is not None:
        with suppress(PermissionError):  # a cache that belongs to somebody else is only read
            write_text(file, json.dumps({"mean": mean.tolist(), "std": std.tolist()}))
    return mean.astype(np.float32), std.astype(np.float32)


def _measure(dataset: AnyDataset) -> tuple[np.ndarray, np.ndarray]:
    h, w, c = dataset.image_shape
    count = len(dataset) if dataset.in_memory else min(len(dataset), _SAMPLE)
    indices = np.arange(count) * len(dataset) // count
    rows = max(1, _CHUNK_BYTES // (h * w * c))
    total, squares = np.zeros(c), np.zeros(c)
    for start in range(0, count, rows):
        images, _ = dataset.gather(indices[start : start + rows])
        pixels = images.reshape(-1, c).astype(np.float64)
        total += pixels.sum(axis=0)
        squares += np.square(pixels).sum(axis=0)
    mean = total / (count * h * w)
    variance = np.maximum(squares / (count * h * w) - mean**2, 0)
    return mean / 255, np.maximum(np.sqrt(variance) / 255, _SMALLEST_STD)
