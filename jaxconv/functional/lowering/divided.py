"""Gradients as slices and products alone, one a tap, which XLA divides among devices along any dimension.

Where a height is divided and there are strides, or padding past the window, XLA gives wrong numbers for some of its own
gradients of convolutions, and for some ends the process (`experiments/LOG.md`).
"""

import jax.numpy as jnp
from jax import lax

from jaxconv.functional.lowering.taps import offsets, pad, spread, tap


def input_grad(dy, kernel, *, space, strides, padding, dilation, groups):
    """See `plain.conv_input_grad`: a product of `dy` with the kernel's weights at each tap, all groups at once."""
    *window, c, _ = kernel.shape
    kernel = kernel.reshape(*window, c, groups, -1)

    def term(offset, dy):
        apart = dy.reshape(*dy.shape[:-1], groups, -1)
        last = apart.ndim - 1
        dx = lax.dot_general(apart, kernel[offset], (((last,), (2,)), ((last - 1,), (1,))))  # (groups, n, *q, c)
        return jnp.moveaxis(dx, 0, -2).reshape(*dy.shape[:-1], -1)

    settings = dict(space=space, window=window, strides=strides, padding=padding, dilation=dilation)
    return spread(term, [(dy, 0)], channels=groups * c, **settings)


def kernel_grad(x, dy, *, window, strides, padding, dilation, groups):
    """See `plain.conv_kernel_grad`: a product with `dy` for each tap, all groups at once."""
    x, out, rows, group = pad(x, padding), dy.shape[1:-1], tuple(range(dy.ndim - 1)), (dy.ndim - 1,)
    dy = dy.reshape(*dy.shape[:-1], groups, -1)
    products = []
    for offset in offsets(window):
        seen = tap(x, offset, strides, dilation, out)
        seen = seen.reshape(*seen.shape[:-1], groups, -1)
        products.append(lax.dot_general(seen, dy, ((rows, rows), (group, group))))  # (groups, c, k)
    return jnp.moveaxis(jnp.stack(products), 1, 2).reshape(*window, x.shape[-1] // groups, -1)
