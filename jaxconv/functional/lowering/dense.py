"""Gradients of ungrouped convolutions.

XLA writes a gradient as a convolution that it must then bring into a form which the CPU is good at, and inside a
loop (`lax.scan`, `while_loop`, `map`) it does not: there the plain forms are 5 to 70 times slower. The forms here are
good as they stand: forward convolutions in the layout (n, *space, c). `columns` has the products of matrices.
"""

import jax.numpy as jnp
from jax import lax

from jaxconv.functional.lowering import plain
from jaxconv.functional.lowering.chunk import add_over_images
from jaxconv.functional.lowering.taps import flip, transposed_padding, turned


def input_grad_flipped(dy, kernel, *, space, strides, padding, dilation, groups):
    """For stride 1: a convolution of `dy` with the flipped kernel."""
    around = transposed_padding(space, dy.shape[1:-1], kernel.shape[:-2], padding, dilation)
    return plain.conv(dy, turned(kernel), strides=strides, padding=around, dilation=dilation, groups=1)


def kernel_grad_rows(x, dy, *, window, strides, padding, dilation, groups):
    """A convolution whose window is the rows of `dy`, over the rows of `x`, with images and columns as its channels.

    One kernel column at a time takes the right columns of `x`; the kernel's rows are the positions of the convolution.
    It does the work of im2col without writing the columns, in chunks of images that stay in the second-level cache.
    """
    if len(window) == 1:
        x, dy, (pad_, stride, step) = x[:, None], dy[:, None], (padding[0], strides[0], dilation[0])
        settings = dict(strides=(1, stride), padding=((0, 0), pad_), dilation=(1, step), groups=1)
        return kernel_grad_rows(x, dy, window=(1, *window), **settings)[0]
    *lead, columns = window
    c, k, out = x.shape[-1], dy.shape[-1], dy.shape[1:-1]
    rows = [(o - 1) * s + d * (w - 1) + 1 for o, s, w, d in zip(out, strides, lead, dilation)]
    around = [(low, size - low - have) for (low, _), size, have in zip(padding, rows, x.shape[1:-2])]

    def grad(x, dy):
        n = x.shape[0]
        by_channel = lax.optimization_barrier(jnp.moveaxis(x, (-1, 0), (0, -2)))  # (c, *rows, n, columns)
        config = ((0, 0, 0), *((*p, 0) for p in around), (0, 0, 0), (*padding[-1], 0))
        padded = lax.pad(by_channel, jnp.zeros((), x.dtype), config)
        length = (out[-1] - 1) * strides[-1] + 1
        shifted = [
            lax.slice_in_dim(padded, j * dilation[-1], j * dilation[-1] + length, strides[-1], -1)
            for j in range(columns)
        ]
        lines = jnp.stack(shifted).reshape(columns * c, *rows, n * out[-1])
        weights = jnp.moveaxis(dy, 0, -3).reshape(*out[:-1], n * out[-1], k)
        lines, weights = lax.optimization_barrier((lines, weights))
        sums = plain.conv(
            lines,
            weights,
            strides=dilation[:-1],
            padding=((0, 0),) * len(lead),
            dilation=strides[:-1],
            groups=1,
        )
        return jnp.moveaxis(sums.reshape(columns, c, *lead, k), (0, 1), (-3, -2))

    return add_over_images(grad, x, dy)


def kernel_grad_swapped(x, dy, *, window, strides, padding, dilation, groups):
    """For stride 1: `kernel_grad_rows` with `x` and `dy` in each other's place."""
    around = transposed_padding(x.shape[1:-1], dy.shape[1:-1], window, padding, dilation)
    settings = dict(strides=strides, padding=around, dilation=dilation, groups=groups)
    return flip(kernel_grad_rows(dy, x, window=window, **settings)).swapaxes(-1, -2)


def kernel_grad_maps(x, dy, *, window, strides, padding, dilation, groups):
    """A convolution whose window is the whole map of `dy`, with images as its channels: XLA's form, written out."""
    # No barrier here: XLA then transposes and copies in one pass, which is as fast as its own form. A sum within that
    # pass, as `taps.after` is one, takes up to the time of the whole convolution again.
    by_channel, weights = x.swapaxes(0, -1), jnp.moveaxis(dy, 0, -2)
    # What the window cannot reach with full steps is cropped, so that there is one position for every tap.
    around = [
        (low, (o - 1) * s + d * (w - 1) + 1 - low - size)
        for (low, _), o, s, w, d, size in zip(padding, dy.shape[1:-1], strides, window, dilation, x.shape[1:-1])
    ]
    settings = dict(strides=dilation, padding=around, dilation=strides, groups=1)
    return jnp.moveaxis(plain.conv(by_channel, weights, **settings), 0, -2)
