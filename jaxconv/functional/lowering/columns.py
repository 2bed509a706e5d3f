"""Ungrouped convolutions as matrix products of all taps: im2col, where the products read, and col2im, where they add.

XLA's own convolution passes over the whole kernel for every row of a map, so it falls short of a product where the
kernel is larger than the second-level cache, or the map is small.
"""

import math

import jax.numpy as jnp
from jax import lax

from jaxconv.functional.lowering.chunk import map_over_images
from jaxconv.functional.lowering.taps import add, after, offsets, out_space, pad, tap, transposed_padding, untap_along

# Positions in a product of a forward convolution. Measured on 3x3 windows, 128 to 512 channels, 7x7 to 28x28: as fast
# as 256 and 4096 or faster.
_POSITIONS = 1024


def conv_gathered(x, kernel, *, strides, padding, dilation, groups):
    """See `plain.conv`: all taps of some images (im2col), times the kernel."""
    window = kernel.shape[:-2]
    out = out_space(x.shape[1:-1], window, strides, padding, dilation)
    matrix = kernel.reshape(-1, kernel.shape[-1])

    def some(x):
        columns = lax.optimization_barrier(gathered(pad(x, padding), window, strides, dilation, out))
        return lax.dot_general(columns, matrix, (((columns.ndim - 1,), (0,)), ((), ())))

    return map_over_images(some, x, _at_once(out))


def conv_spread(x, kernel, *, strides, padding, dilation, groups):
    """See `plain.conv`, for stride 1: some images times the whole kernel, added up where windows see them (col2im)."""
    *window, c, k = kernel.shape
    out = out_space(x.shape[1:-1], window, strides, padding, dilation)
    around = transposed_padding(out, x.shape[1:-1], window, padding, dilation)
    matrix = jnp.moveaxis(kernel.reshape(-1, c, k), 1, 0)[:, ::-1].reshape(c, -1)

    def some(x):
        columns = lax.dot_general(x, matrix, (((x.ndim - 1,), (0,)), ((), ())))
        return added(columns, window, out, strides, around, dilation)

    return map_over_images(some, x, _at_once(x.shape[1:-1]))


def input_grad_columns(dy, kernel, *, space, strides, padding, dilation, groups):
    """For any stride: the product of every `dy` with the whole kernel, added up where its taps lie (col2im)."""
    window, matrix = kernel.shape[:-2], kernel.reshape(-1, kernel.shape[-1])

    def grad(dy):
        columns = lax.dot_general(dy, matrix, (((dy.ndim - 1,), (1,)), ((), ())))
        return added(columns, window, space, strides, padding, dilation)

    return map_over_images(grad, dy)


def kernel_grad_columns(x, dy, *, window, strides, padding, dilation, groups):
    """One product of all taps of `x`, a row for each channel (im2col), with `dy`."""
    out, k = dy.shape[1:-1], dy.shape[-1]
    by_channel = lax.optimization_barrier(jnp.moveaxis(pad(after(dy, x), padding), -1, 0)[..., None])
    taps = [tap(by_channel, (0, *i), (1, *strides), (1, *dilation), (x.shape[0], *out)) for i in offsets(window)]
    rows = jnp.concatenate(taps).reshape(len(taps) * x.shape[-1], -1)
    return (rows @ dy.reshape(-1, k)).reshape(*window, x.shape[-1], k)


def _at_once(space):
    return max(1, _POSITIONS // math.prod(space))


def gathered(x, window, strides, dilation, out):
    """What each position sees of `x`, padded already: (n, *out, taps of c)."""
    seen = jnp.stack([tap(x, i, strides, dilation, out) for i in offsets(window)], -2)
    return seen.reshape(*seen.shape[:-2], -1)


def added(columns, window, space, strides, padding, dilation):
    """The sum over the taps of a window of their features, columns (n, *out, taps of c), each put where it lies.

    One dimension of space after another: a place adds as many terms as the window has rows, then as it has columns,
    and not one for each element, every one with its checks of bounds. Not rounded alike to one sum of all.
    """
    for axis, (size, *settings) in enumerate(zip(window, space, strides, padding, dilation)):
        parts = jnp.split(columns, size, -1)
        columns = add(untap_along(axis, part, i, *settings) for i, part in enumerate(parts))
        columns = columns if axis == len(window) - 1 else lax.optimization_barrier(columns)
    return columns
