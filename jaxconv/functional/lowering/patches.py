"""Gradients where windows lie side by side, as in a stem of patches: matrix products of a rearranged map.

Every element of the input is in one window at most, so a map of patches, all their elements as channels, is the input
itself in another order, and the convolution one of windows of one element.
"""

import math

import numpy as np
from jax import lax

from jaxconv.functional.lowering import pointwise


def conv_input_grad(dy, kernel, *, space, strides, padding, dilation, groups):
    """See `plain.conv_input_grad`, for windows as long as the strides."""
    *window, c, k = kernel.shape
    patches = pointwise.conv_input_grad(dy, kernel.reshape(-1, k), space=dy.shape[1:-1], **_points(window))
    n, *out, _ = patches.shape
    rank = len(window)
    order = [axis for a in range(rank) for axis in (1 + a, 1 + rank + a)]
    apart = patches.reshape(n, *out, *window, c).transpose(0, *order, 2 * rank + 1)
    whole = apart.reshape(n, *(o * w for o, w in zip(out, window)), c)
    return _cropped(whole, [(-low, low + size - o * w) for size, o, w, (low, _) in zip(space, out, window, padding)])


def conv_kernel_grad(x, dy, *, window, strides, padding, dilation, groups):
    """See `plain.conv_kernel_grad`, for windows as long as the strides."""
    (n, *space, c), out, rank = x.shape, dy.shape[1:-1], len(window)
    x = _cropped(x, [(low, o * w - low - size) for size, o, w, (low, _) in zip(space, out, window, padding)])
    pairs = [number for pair in zip(out, window) for number in pair]
    outer, inner = range(1, 2 * rank, 2), range(2, 2 * rank + 1, 2)
    patches = x.reshape(n, *pairs, c).transpose(0, *outer, *inner, 2 * rank + 1).reshape(n, *out, math.prod(window) * c)
    dkernel = pointwise.conv_kernel_grad_rows(patches, dy, window=(1,) * rank, **_points(window))
    return dkernel.reshape(*window, c, dy.shape[-1])


def _points(window):
    """Settings of a convolution of windows of one element, in as many dimensions."""
    return dict(strides=(1,) * len(window), padding=((0, 0),) * len(window), dilation=(1,) * len(window), groups=1)


def _cropped(x, around):
    """`x` (n, *space, c) with zeros around, or less where a number is negative."""
    config = ((0, 0, 0), *((low, high, 0) for low, high in around), (0, 0, 0))
    return lax.pad(x, np.array(0, x.dtype), config) if any(map(any, around)) else x
