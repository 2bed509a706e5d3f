"""The forms that XLA itself offers: what GPU and TPU get, and the reference for every other form.

Layouts are NHWC-like (batch, *space, channels) and HWIO-like (*window, in / groups, out) in any number of spatial
dimensions. Settings are full tuples; padding is a tuple of (low, high) pairs. Callers have checked them.
"""

import jax
import numpy as np
from jax import lax


def _layout(rank: int) -> lax.ConvDimensionNumbers:
    space = tuple(range(1, rank + 1))
    return lax.ConvDimensionNumbers(
        (0, rank + 1, *space), (rank + 1, rank, *range(rank)), (0, rank + 1, *space)
    )


def conv(x, kernel, *, strides, padding, dilation, groups):
    """Cross-correlation of `x` (n, *space, c) with `kernel` (*window, c / groups, k)."""
    return lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=_layout(len(strides)),
        feature_group_count=groups,
    )


def conv_input_grad(dy, kernel, *, space, strides, padding, dilation, groups):
    """The transpose of `conv` in `x`: from (n, *out, k) back to (n, *space, c). This is transposed convolution."""
    x = jax.ShapeDtypeStruct((dy.shape[0], *space, kernel.shape[-2] * groups), dy.dtype)

    def forward(x):
        return conv(x, kernel, strides=strides, padding=padding, dilation=dilation, groups=groups)

    return jax.linear_transpose(forward, x)(dy)[0]


def max_pool(x, *, window, strides, padding):
    """Maximum of `x` (n, *space, c) under a window; padding never wins."""
    lowest = -np.inf if np.issubdtype(x.dtype, np.floating) or x.dtype.name == "bfloat16" else np.iinfo(x.dtype).min
    return _windows(x, np.array(lowest, x.dtype), lax.max, window, strides, padding)


def sum_pool(x, *, window, strides, padding):
    """Sum of `x` (n, *space, c) under a window; padding adds zeros."""
    return _windows(x, np.array(0, x.dtype), lax.add, window, strides, padding)


def _windows(x, initial, operation, window, strides, padding):
    return lax.reduce_window(
        x, initial, operation, (1, *window, 1), (1, *strides, 1), ((0, 0), *padding, (0, 0))
    )
