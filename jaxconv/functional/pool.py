"""Pooling with a window: maximum, average, p-norm and binomial blur.

The rank is that of `x`, which has exactly one batch and one channel axis, and any number of spatial dimensions (1 to 3
for the blur, a convolution). Strides and padding have no default:
libraries disagree about both. Padding never wins a maximum and, unless asked for, never counts in an average.
"""

import math
from collections.abc import Sequence
from functools import reduce

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from jaxconv.functional import lowering, sizes
from jaxconv.functional.arrays import accumulator, check_positions, floating_array, real_array, space_rank
from jaxconv.functional.conv import depthwise_conv
from jaxconv.functional.settings import Padding, flag, known, number, padding_per_dimension, per_dimension


def max_pool(
    x: Real[Array, "n *space c"],
    window: int | Sequence[int],
    *,
    strides: int | Sequence[int],
    padding: Padding,
    ceil_mode: bool = False,
) -> Real[Array, "n *out c"]:
    """Maximum under each place of a window; the gradient goes to the first maximum (`lax.select_and_scatter_add`).

    Where a window of more than 16 positions holds a NaN, the CPU does not say to which of them its gradient goes.

    Args:
        x: input (n, *space, c).
        window: positions, one int or one a dimension.
        strides: step of the window, one int or one a dimension.
        padding: "SAME", "SAME_LOWER", "VALID", an int for every side, or ((low, high), ...), below the window's size.
        ceil_mode: round the number of places up; none starts beyond the low padding and `x` (`torch.nn.MaxPool2d`).

    Returns:
        (n, *out, c) in the dtype of `x`.

    Raises:
        TypeError: `x` is not real, or its space is symbolic (`jax.export`) where the padding depends on it.
        ValueError: wrong rank, a bad setting, a place that could see padding only, or an empty output.
    """
    x = real_array("max_pool", x)
    window, strides, _, pairs = _geometry(x, window, strides, padding, ceil_mode)
    return lowering.max_pool(x, window=window, strides=strides, padding=pairs)


def avg_pool(
    x: Float[Array, "n *space c"],
    window: int | Sequence[int],
    *,
    strides: int | Sequence[int],
    padding: Padding,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
) -> Float[Array, "n *out c"]:
    """Mean of the real pixels under each place of a window, so that a constant image stays what it is.

    Args:
        x: input (n, *space, c).
        window: positions, one int or one a dimension.
        strides: step of the window, one int or one a dimension.
        padding: as for `max_pool`.
        ceil_mode: as for `max_pool`.
        count_include_pad: count the zeros of the padding too, though not what `ceil_mode` adds. It is the default of
            `torch.nn.AvgPool2d` and `flax.linen.avg_pool`.

    Returns:
        (n, *out, c) in the dtype of `x`; sums are float32 for the half types.

    Raises:
        TypeError: `x` is not floating, or its space is symbolic (`jax.export`).
        ValueError: wrong rank, a bad setting, a place that could see padding only, or an empty output.
    """
    x = floating_array("avg_pool", x)
    window, strides, stated, pairs = _geometry(x, window, strides, padding, ceil_mode)
    accumulated = x.astype(accumulator(x.dtype))
    total = lowering.sum_pool(accumulated, window=window, strides=strides, padding=pairs)
    counted = stated if flag("count_include_pad", count_include_pad) else ((0, 0),) * len(stated)
    counts = _counts(x.shape[1:-1], window, strides, pairs, counted)
    return (total / counts.astype(total.dtype)).astype(x.dtype)


def lp_pool(
    x: Float[Array, "n *space c"],
    window: int | Sequence[int],
    *,
    p: int | float = 2,
    strides: int | Sequence[int],
    padding: Padding,
) -> Float[Array, "n *out c"]:
    """(sum of |x|^p under the window)^(1/p): L2 pooling for p=2 (Gulcehre et al., arXiv:1311.1780).

    The gradient of a window of zeros is zero, and so is that of a zero for p < 1. `torch.nn.LPPool2d` is this for even
    p; for odd p it takes x^p. As there, a power |x|^p beyond float32 is infinite or zero, and so is what it leads to.

    Args:
        x: input (n, *space, c).
        window: positions, one int or one a dimension.
        p: the norm's order, above 0; 1 sums the absolute values, infinity takes the largest.
        strides: step of the window, one int or one a dimension.
        padding: as for `max_pool`.

    Returns:
        (n, *out, c) in the dtype of `x`; sums are float32 for the half types.

    Raises:
        TypeError: `x` is not floating, or `p` no number.
        ValueError: `p` not above 0, wrong rank, a bad setting, or an empty output.
    """
    x, p = floating_array("lp_pool", x), number("p", p)
    if not p > 0:
        raise ValueError(f"p must be above 0; got {p}.")
    if p == math.inf:
        return max_pool(jnp.where(x == 0, 0, jnp.abs(x)), window, strides=strides, padding=padding)
    window, strides, _, pairs = _geometry(x, window, strides, padding, ceil_mode=False)
    accumulated = x.astype(accumulator(x.dtype))
    powers = jnp.square(accumulated) if p == 2 else _power(jnp.abs(accumulated), p)
    total = lowering.sum_pool(powers, window=window, strides=strides, padding=pairs)
    return _power(total, 1 / p).astype(x.dtype)


def blur_pool(
    x: Float[Array, "n *space c"], window: int | Sequence[int], *, strides: int | Sequence[int]
) -> Float[Array, "n *out c"]:
    """Low-pass filter, then subsample: binomial weights over a reflected border (Zhang, arXiv:1904.11486).

    It is timm's `BlurPool2d` with filt_size=window: every side is padded by (strides - 1 + window - 1) // 2.

    Args:
        x: input (n, *space, c).
        window: number of binomial weights, one int or one a dimension: 3 is (1, 2, 1) / 4.
        strides: step of the window, one int or one a dimension.

    Returns:
        (n, *out, c) in the dtype of `x`.

    Raises:
        TypeError: `x` is not floating.
        ValueError: wrong rank, a bad setting, or a border too wide to reflect.
    """
    x = floating_array("blur_pool", x)
    rank = space_rank(x)
    if rank > 3:
        raise ValueError(f"blur_pool takes 1 to 3 spatial dimensions; x has shape {x.shape}.")
    window, strides = per_dimension("window", window, rank), per_dimension("strides", strides, rank)
    border = tuple((stride - 1 + taps - 1) // 2 for taps, stride in zip(window, strides))
    if any(width >= size for width, size in zip(border, x.shape[1:-1])):
        raise ValueError(
            "A border of (strides - 1 + window - 1) // 2 must be narrower than x to be reflected; "
            f"it is {border} for x of shape {x.shape}, window={window}, strides={strides}."
        )
    weights = reduce(np.multiply.outer, [_binomial(taps) for taps in window])
    kernel = jnp.broadcast_to(jnp.asarray(weights, x.dtype)[..., None, None], (*window, x.shape[-1], 1))
    reflected = jnp.pad(x, ((0, 0), *((width, width) for width in border), (0, 0)), mode="reflect")
    return depthwise_conv(reflected, kernel, padding="VALID", strides=strides)


def _geometry(x, window, strides, padding, ceil_mode: bool):
    """Full window and strides, the padding as stated, and the padding that also covers a last, partial place."""
    rank = space_rank(x)
    check_positions(x)
    window, strides = per_dimension("window", window, rank), per_dimension("strides", strides, rank)
    pads = padding_per_dimension(padding, rank)
    dimensions = tuple(zip(x.shape[1:-1], window, strides, pads))
    stated = tuple(
        sizes.stated_padding(size, taps, stride=stride, padding=pad) for size, taps, stride, pad in dimensions
    )
    if any(max(pair) >= taps for pair, taps in zip(stated, window)):
        raise ValueError(
            "padding must be smaller than the window, or a place sees padding only; "
            f"got padding={padding!r} with window={window}."
        )
    pairs = tuple(
        sizes.explicit_padding(size, taps, stride=stride, padding=pad, ceil_mode=ceil_mode)
        for size, taps, stride, pad in dimensions
    )
    return window, strides, stated, pairs


def _counts(space, window, strides, pairs, counted) -> np.ndarray:
    """How many positions each place averages, (1, *out, 1): those in `space` widened by `counted`."""
    each = []
    for size, positions, stride, (low, high), (before, behind) in zip(space, window, strides, pairs, counted):
        size = known(size, f"avg_pool over {size} positions")
        starts = np.arange(0, size + low + high - positions + 1, stride) - low
        each.append(np.minimum(starts + positions, size + behind) - np.maximum(starts, -before))
    return reduce(np.multiply.outer, each)[None, ..., None]


def _power(base, exponent):
    """The power of a base that is at least 0, with derivatives of zero instead of infinity at 0."""
    inside = base != 0  # true for NaN, which stays NaN
    safe = jnp.where(inside, base, 1)
    # XLA for the CPU takes a power of its derivative, which is 4 times as slow as the quotient that a root has.
    return jnp.where(inside, jnp.sqrt(safe) if exponent == 0.5 else safe**exponent, 0)


def _binomial(taps: int) -> np.ndarray:
    return np.array([math.comb(taps - 1, i) for i in range(taps)]) / 2 ** (taps - 1)
