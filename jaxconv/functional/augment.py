"""Random changes of images: functions of a key and a batch, one independent draw an image."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxconv.functional.settings import check_arrays, whole


def random_shift(key: Key[Array, ""], x: Float[Array, "n h w c"], *, pixels: int) -> Float[Array, "n h w c"]:
    """Each image moved by up to `pixels` in each direction; what comes in at the edge is the edge repeated.

    The random crop from a padded image of He et al. 2015 (arXiv:1512.03385, section 4.2), with the edge in place of
    zeros: after normalisation zero is grey, not background.

    Args:
        key: a random key.
        x: images (n, h, w, c).
        pixels: the largest shift, in pixels.

    Raises:
        TypeError: `pixels` is no whole number.
        ValueError: `pixels` is negative, or `x` not (n, h, w, c).
    """
    _check_images("random_shift", x)
    pixels = whole("pixels", pixels, 0)
    padded = jnp.pad(x, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)), mode="edge")
    corners = jax.random.randint(key, (x.shape[0], 2), 0, 2 * pixels + 1)

    def crop(image: Array, corner: Array) -> Array:
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), x.shape[1:])

    return jax.vmap(crop)(padded, corners)


def random_flip(key: Key[Array, ""], x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
    """Each image mirrored left to right with probability one half.

    Args:
        key: a random key.
        x: images (n, h, w, c).

    Raises:
        ValueError: `x` is not (n, h, w, c).
    """
    _check_images("random_flip", x)
    flip = jax.random.bernoulli(key, 0.5, (x.shape[0], 1, 1, 1))
    return jnp.where(flip, x[:, :, ::-1], x)


def _check_images(name: str, x) -> None:
    check_arrays(x=x)
    if x.ndim != 4:
        raise ValueError(f"{name} takes images (n, h, w, c); x has shape {x.shape}.")
