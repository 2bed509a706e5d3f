"""Random changes of images: functions of a key and a batch, one independent draw an image."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxconv.functional.arrays import check_arrays, check_key
from jaxconv.functional.settings import whole


def random_shift(key: Key[Array, ""], x: Float[Array, "n h w c"], *, pixels: int) -> Float[Array, "n h w c"]:
    """Each image moved by up to `pixels` in each direction; what comes in at the edge is the edge repeated.

    The random crop from a padded image of He et al. 2015 (arXiv:1512.03385, section 4.2), with the edge in place of
    zeros: after normalisation zero is grey, not background. Over Explicit mesh axes the batch alone may be divided.

    Args:
        key: a random key.
        x: images (n, h, w, c).
        pixels: the largest shift, in pixels.

    Raises:
        TypeError: `pixels` is no whole number, or `key` no random key.
        ValueError: `pixels` is negative, `x` not (n, h, w, c) or without pixels, or several keys.
    """
    _check_images("random_shift", key, x)
    if 0 in x.shape[1:3]:
        raise ValueError(f"There is no edge of an image without pixels; x has shape {x.shape}.")
    x, pixels = jnp.asarray(x), whole("pixels", pixels, 0)
    corners = jax.random.randint(key, (x.shape[0], 2), 0, 2 * pixels + 1)
    # Over Explicit mesh axes `vmap` asks that both are divided alike, as a sum with zeros made of `x` is.
    corners = corners + 0 * (x[:, 0, 0, :1] == 0).any(-1, keepdims=True).astype(corners.dtype)
    return _cropped(_within_its_edge(_within_its_edge(x, 1, pixels), 2, pixels), corners, x.shape[1:])


@partial(jax.jit, static_argnums=2, inline=True)  # without a mesh in its context JAX 0.10 slices no divided batch else
def _cropped(x, corners, size: tuple[int, ...]):
    return jax.vmap(lambda image, corner: jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), size))(x, corners)


def _within_its_edge(x, axis: int, pixels: int):
    """`jnp.pad` by "edge" along `axis` alone: that takes slices along the others too, and JAX none of a divided one."""
    n, *shape = x.shape
    shape[axis - 1] = pixels
    edges = (jax.lax.slice_in_dim(x, at, at + 1, axis=axis) for at in (0, x.shape[axis] - 1))
    first, last = (jnp.broadcast_to(edge, (n, *shape)) for edge in edges)
    return jnp.concatenate([first, x, last], axis)


def random_flip(key: Key[Array, ""], x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
    """Each image mirrored left to right with probability one half.

    Args:
        key: a random key.
        x: images (n, h, w, c).

    Raises:
        TypeError: `key` is no random key.
        ValueError: `x` is not (n, h, w, c), or several keys.
    """
    _check_images("random_flip", key, x)
    flip = jax.random.bernoulli(key, 0.5, (x.shape[0], 1, 1, 1))
    return jnp.where(flip, x[:, :, ::-1], x)


def _check_images(name: str, key, x) -> None:
    check_arrays(x=x)
    check_key(key)
    if x.ndim != 4:
        raise ValueError(f"{name} takes images (n, h, w, c); x has shape {x.shape}.")
