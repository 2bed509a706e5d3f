"""Pixels of any type to bytes."""

import numpy as np
from jaxtyping import UInt8


def as_images(images: np.ndarray) -> UInt8[np.ndarray, "n h w c"]:
    """Brings an array of images to uint8 of shape (n, h, w, c).

    Args:
        images: (n, h, w, c) or (n, h, w); uint8, or floats in [0, 1].

    Returns:
        The same images; a view where they were uint8 already.

    Raises:
        ValueError: if the array has another rank, type or range.
    """
    if images.ndim not in (3, 4):
        raise ValueError(f"images have shape (n, h, w, c), or (n, h, w) for one channel; got {images.shape}.")
    if images.dtype != np.uint8:
        images = unit_to_uint8(images)
    return images if images.ndim == 4 else images[..., None]


def unit_to_uint8(values: np.ndarray) -> UInt8[np.ndarray, "..."]:
    """Maps floats in [0, 1] to the nearest of 0 to 255.

    Args:
        values: floats of any shape.

    Returns:
        uint8 of the same shape.

    Raises:
        ValueError: if the values are no floats or leave [0, 1] (NaN does).
    """
    if not np.issubdtype(values.dtype, np.floating):
        raise ValueError(f"pixels are uint8 from 0 to 255 or floats from 0 to 1; got {values.dtype}.")
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"float pixels lie in [0, 1]; got values from {values.min()} to {values.max()}.")
    return np.rint(values * 255).astype(np.uint8)
