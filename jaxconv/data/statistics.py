"""The mean and the standard deviation of a data set's channels, by which its images are normalized."""

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from jaxconv.data.atomic import write_text
from jaxconv.data.dataset import AnyDataset
from jaxconv.data.stored import read_object

_CHUNK_BYTES = 2**20
_SAMPLE = 20_000
_SMALLEST_STD = 1 / 255


def normalization(dataset: AnyDataset) -> tuple[Float32[np.ndarray, " c"], Float32[np.ndarray, " c"]]:
    """Mean and standard deviation of each channel, in units in which a pixel lies in [0, 1].

    All pixels of the split count, through a histogram, so that nothing is lost to rounding. Of a split that is
    decoded on access, up to 20,000 images count, evenly spaced over it. The result is kept in the data set's
    cache.

    Args:
        dataset: the training split.

    Returns:
        (mean, std), each of shape (c,). A standard deviation is at least 1/255, one step of a pixel, so that
        a constant channel can be divided by it.
    """
    file = None if dataset.cache is None else dataset.cache / "normalization.json"
    stored = None if file is None else _stored(file, dataset.image_shape[-1])
    if stored is not None:
        return stored
    mean, std = _measure(dataset)
    if file is not None:
        with suppress(OSError):  # a cache that cannot be written is only read: somebody else's, a read-only disk
            write_text(file, json.dumps({"mean": mean.tolist(), "std": std.tolist()}))
    return mean.astype(np.float32), std.astype(np.float32)


def _stored(file: Path, channels: int) -> tuple[np.ndarray, np.ndarray] | None:
    """What was kept; None where nothing was, or nothing that can be used."""
    try:
        stored = read_object(file, mean=list, std=list)
        mean, std = np.asarray(stored["mean"], np.float32), np.asarray(stored["std"], np.float32)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return (mean, std) if mean.shape == std.shape == (channels,) else None


def _measure(dataset: AnyDataset) -> tuple[np.ndarray, np.ndarray]:
    h, w, c = dataset.image_shape
    count = len(dataset) if dataset.in_memory else min(len(dataset), _SAMPLE)
    indices = np.arange(count) * len(dataset) // count
    rows = max(1, _CHUNK_BYTES // (h * w * c))
    histogram = np.zeros((c, 256), np.int64)
    for start in range(0, count, rows):
        images, _ = dataset.gather(indices[start : start + rows])
        for channel in range(c):
            histogram[channel] += np.bincount(images[..., channel].ravel(), minlength=256)
    values = np.arange(256) / 255
    mean = histogram @ values / (count * h * w)
    variance = np.sum(histogram * (values - mean[:, None]) ** 2, axis=1) / (count * h * w)
    return mean, np.maximum(np.sqrt(variance), _SMALLEST_STD)
