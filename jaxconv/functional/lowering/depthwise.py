"""Depthwise convolutions: shifted slices times one weight per channel, fused into one pass over memory.

A kernel (*window, 1, c * m) with m > 1 reads every channel m times; `x` is repeated for that.
"""

import jax.numpy as jnp

from jaxconv.functional.lowering.taps import (
    add,
    offsets,
    out_space,
    pad,
    tap,
    transposed_padding,
    untap,
)


def conv(x, kernel, *, strides, padding, dilation, groups):
    """See `plain.conv`."""
    window = kernel.shape[:-2]
    x = _repeated(x, kernel.shape[-1] // groups)
    out = out_space(x.shape[1:-1], window, strides, padding, dilation)
    x = pad(x, padding)
    return add(tap(x, i, strides, dilation, out) * _weight(kernel, i) for i in offsets(window))


def conv_input_grad(dy, kernel, *, space, strides, padding, dilation, groups):
    """See `plain.conv_input_grad`."""
    window = kernel.shape[:-2]
    if all(s == 1 for s in strides):
        padding = transposed_padding(space, dy.shape[1:-1], window, padding, dilation)
        dy = pad(dy, padding)
        terms = (
            tap(dy, [w - 1 - j for w, j in zip(window, i)], strides, dilation, space) * _weight(kernel, i)
            for i in offsets(window)
        )
        dx = add(terms)
    else:
        dx = add(untap(dy * _weight(kernel, i), i, strides, dilation, space, padding) for i in offsets(window))
    multiplier = kernel.shape[-1] // groups
    return dx if multiplier == 1 else dx.reshape(*dx.shape[:-1], groups, multiplier).sum(-1)


def conv_kernel_grad(x, dy, *, window, strides, padding, dilation, groups):
    """See `plain.conv_kernel_grad`."""
    x = pad(_repeated(x, dy.shape[-1] // groups), padding)
    out, rows = dy.shape[1:-1], tuple(range(dy.ndim - 1))
    sums = [(tap(x, i, strides, dilation, out) * dy).sum(rows) for i in offsets(window)]
    return jnp.stack(sums).reshape(*window, 1, dy.shape[-1])


def _repeated(x, multiplier):
    return x if multiplier == 1 else jnp.repeat(x, multiplier, axis=-1)


def _weight(kernel, offset):
    return kernel[offset].reshape((1,) * (kernel.ndim - 1) + (kernel.shape[-1],))
