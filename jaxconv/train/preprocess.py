"""From the bytes of an image to what a network takes. Runs on the device, inside the step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """Scale to [0, 1], resize if needed, normalise each channel, cast.

    Attributes:
        mean: of each channel, in units of [0, 1].
        std: of each channel, in units of [0, 1].
        size: (height, width) in pixels that the network takes; None leaves images as they are.
        dtype: of the result; the network computes in it: "float32", "bfloat16" or "float16".

    Raises:
        ValueError: if one of them is out of its range.
    """

    mean: Sequence[float]
    std: Sequence[float]
    size: tuple[int, int] | None = None
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if np.ndim(self.mean) != 1 or np.shape(self.mean) != np.shape(self.std):
            raise ValueError(f"mean and std need one number a channel; got {self.mean} and {self.std}.")
        if not all(map(np.isfinite, self.mean)):
            raise ValueError(f"mean must be finite; got {self.mean}.")
        if not all(0 < s < np.inf for s in self.std):
            raise ValueError(f"std must be positive and finite; got {self.std}.")
        if self.size is not None and np.shape(self.size) != (2,):
            raise ValueError(f"size must be (height, width); got {self.size}.")
        if self.size is not None and min(self.size) < 1:
            raise ValueError(f"size must be positive; got {self.size}.")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}; got {self.dtype!r}.")

    @property
    def described(self) -> dict[str, Any]:
        """The fields as JSON values."""
        size = None if self.size is None else list(map(int, self.size))
        return {
            "mean": list(map(float, self.mean)),
            "std": list(map(float, self.std)),
            "size": size,
            "dtype": self.dtype,
        }

    def __call__(self, images: UInt8[Array, "n h w c"]) -> Float[Array, "n H W c"]:
        """Images as bytes to what the network takes.

        Raises:
            ValueError: if the images have another number of channels than `mean`.
        """
        if images.shape[-1] != len(self.mean):
            raise ValueError(f"images need one channel a number of mean {tuple(self.mean)}; got shape {images.shape}.")
        x = images.astype(jnp.float32) / 255
        if self.size is not None and images.shape[1:3] != self.size:
            x = jax.image.resize(x, (images.shape[0], *self.size, images.shape[3]), "linear")
        mean, std = jnp.array([[[self.mean]]]), jnp.array([[[self.std]]])
        return ((x - mean) / std).astype(self.dtype)
