"""Pools whose output size is given and whose windows follow from it: adaptive and global pooling."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Real

from jaxconv.functional.arrays import accumulator, floating_array, real_array, space_rank
from jaxconv.functional.pool import avg_pool, max_pool
from jaxconv.functional.settings import known, per_dimension


def adaptive_avg_pool(x: Float[Array, "n *space c"], size: int | Sequence[int]) -> Float[Array, "n *out c"]:
    """Mean over windows that cut each dimension into `size` parts (`torch.nn.AdaptiveAvgPool2d`).

    Part i of L positions goes from floor(i L / size) up to ceil((i + 1) L / size); where `size` does not divide L,
    neighbours overlap and differ in length.

    Args:
        x: input (n, *space, c).
        size: parts, one int or one a dimension; it may exceed L.

    Returns:
        (n, *size, c) in the dtype of `x`; sums are float32 for the half types.

    Raises:
        TypeError: `x` is not floating, or its space is symbolic (`jax.export`).
        ValueError: `size` is not one positive int a dimension, or `x` has no position in one.
    """
    x, size = floating_array("adaptive_avg_pool", x), _checked_size(x, size)
    parts = _even_parts(x, size)
    if parts is not None:
        return avg_pool(x, parts, strides=parts, padding="VALID")
    y = x.astype(accumulator(x.dtype))
    for axis, count in enumerate(size, start=1):
        y = _means_of_parts(y, axis, count)
    return y.astype(x.dtype)


def adaptive_max_pool(x: Real[Array, "n *space c"], size: int | Sequence[int]) -> Real[Array, "n *out c"]:
    """Maximum over the windows of `adaptive_avg_pool` (`torch.nn.AdaptiveMaxPool2d`).

    Args:
        x: input (n, *space, c).
        size: parts, one int or one a dimension; it may exceed the positions.

    Returns:
        (n, *size, c) in the dtype of `x`; the gradient goes to the first maximum.

    Raises:
        TypeError: `x` is not real, or its space is symbolic (`jax.export`).
        ValueError: `size` is not one positive int a dimension, or `x` has no position in one.
    """
    x, size = real_array("adaptive_max_pool", x), _checked_size(x, size)
    dtype = x.dtype
    parts = _even_parts(x, size)
    if parts is not None:
        return max_pool(x, parts, strides=parts, padding="VALID")
    x, widths = x.astype(_wide(dtype)), []  # where parts overlap, the gradient is a sum
    for axis, (length, count) in enumerate(zip(x.shape[1:-1], size), start=1):
        starts, ends = _edges(length, count)
        widths.append(int((ends - starts).max()))
        # A part shorter than the longest repeats its last position, which is never the first maximum.
        taken = np.minimum(starts[:, None] + np.arange(widths[-1]), ends[:, None] - 1)
        x = jnp.take(x, taken.reshape(-1), axis=axis)
    return max_pool(x, widths, strides=widths, padding="VALID").astype(dtype)


def global_avg_pool(x: Float[Array, "n *space c"]) -> Float[Array, "n c"]:
    """Mean over space (Lin et al., arXiv:1312.4400), (n, c); summed in float32, the result in the dtype of `x`.

    Raises:
        TypeError: `x` is not floating.
        ValueError: `x` has no spatial dimension, or no position in one.
    """
    axes = tuple(range(1, 1 + space_rank(x)))
    _check_positions("mean", x)
    x = floating_array("global_avg_pool", x)
    return x.mean(axes, dtype=accumulator(x.dtype)).astype(x.dtype)


def global_max_pool(x: Real[Array, "n *space c"]) -> Real[Array, "n c"]:
    """Maximum over space, (n, c); equal maxima share the gradient.

    Raises:
        TypeError: `x` is not real.
        ValueError: `x` has no spatial dimension, or no position in one.
    """
    axes = tuple(range(1, 1 + space_rank(x)))
    _check_positions("maximum", x)
    # The gradient goes to what equals the maximum. Without the barrier XLA works out `x` once for the maximum and anew
    # for the comparison, rounded differently, and nothing is equal: gradients were 0.1 to 0.6 off, or NaN.
    return lax.optimization_barrier(real_array("global_max_pool", x)).max(axes)


def _check_positions(what: str, x) -> None:
    if 0 in x.shape[1:-1]:
        raise ValueError(f"There is no {what} of no positions; x has shape {x.shape}.")


def _checked_size(x, size) -> tuple[int, ...]:
    rank = space_rank(x)
    for length in x.shape[1:-1]:
        if known(length, f"an adaptive pool of {length} positions") == 0:
            raise ValueError(f"There is nothing to pool in no positions; x has shape {x.shape}.")
    return per_dimension("size", size, rank)


def _even_parts(x, size: tuple[int, ...]) -> tuple[int, ...] | None:
    """The common window where `size` divides every dimension."""
    if any(length % count for length, count in zip(x.shape[1:-1], size)):
        return None
    return tuple(length // count for length, count in zip(x.shape[1:-1], size))


def _means_of_parts(y, axis: int, count: int):
    """`y` with the means of `count` parts in place of a dimension."""
    starts, ends = _edges(y.shape[axis], count)
    taken = starts[:, None] + np.arange((ends - starts).max())
    parts = jnp.take(y, np.minimum(taken, y.shape[axis] - 1).reshape(-1), axis=axis)
    parts = parts.reshape(*y.shape[:axis], *taken.shape, *y.shape[axis + 1 :])
    before, behind = (1,) * axis, (1,) * (y.ndim - axis - 1)
    # Chosen, not weighed: what a part does not hold must not reach it as 0 * NaN.
    inside = (taken < ends[:, None]).reshape(*before, *taken.shape, *behind)
    lengths = (ends - starts).astype(y.dtype).reshape(*before, count, *behind)
    return jnp.where(inside, parts, 0).sum(axis + 1) / lengths


def _wide(dtype):
    return accumulator(dtype) if jnp.issubdtype(dtype, jnp.floating) else dtype


def _edges(length: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    parts = np.arange(count)
    return parts * length // count, -(-(parts + 1) * length // count)
