"""Depthwise convolutions: shifted slices times one weight per channel, fused into one pass over memory.

A kernel (*window, 1, c * m) with m > 1 reads every channel m times; `x` is repeated for that.
"""

import jax.numpy as jnp

from jaxconv.functional.lowering import rim
from jaxconv.functional.lowering.taps import add, flip, offsets, out_space, pad, spread, tap, transposed_padding


def conv(x, kernel, *, strides, padding, dilation, groups):
    """See `plain.conv`."""
    window = kernel.shape[:-2]
    x = repeated(x, kernel.shape[-1] // groups)
    out = out_space(x.shape[1:-1], window, strides, padding, dilation)
    x = pad(x, padding)
    return add(tap(x, i, strides, dilation, out) * _weight(kernel, i) for i in offsets(window))


def conv_within(x, kernel, *, strides, padding, dilation, groups):
    """`conv` without a padded copy of `x`."""
    settings = dict(strides=strides, dilation=dilation)

    def form(x, padding):
        return conv(x, kernel, padding=padding, groups=groups, **settings)

    return rim.apart(form, x, window=kernel.shape[:-2], padding=padding, **settings)


def conv_input_grad(dy, kernel, *, space, strides, padding, dilation, groups):
    """See `plain.conv_input_grad`."""
    window = kernel.shape[:-2]
    settings = dict(space=space, window=window, strides=strides, padding=padding, dilation=dilation)
    return summed(spread(lambda offset, dy: dy * _weight(kernel, offset), [(dy, 0)], **settings), groups)


def conv_input_grad_within(dy, kernel, *, space, strides, padding, dilation, groups):
    """For stride 1: `conv_within` of `dy` with the flipped kernel."""
    around = transposed_padding(space, dy.shape[1:-1], kernel.shape[:-2], padding, dilation)
    settings = dict(strides=strides, padding=around, dilation=dilation, groups=dy.shape[-1])
    return summed(conv_within(dy, flip(kernel), **settings), groups)


def repeated(x, multiplier):
    """`x` with every channel as often as features come from it."""
    return x if multiplier == 1 else jnp.repeat(x, multiplier, axis=-1)


def summed(dx, groups):
    """The sum over the features that come from the same channel."""
    multiplier = dx.shape[-1] // groups
    return dx if multiplier == 1 else dx.reshape(*dx.shape[:-1], groups, multiplier).sum(-1)


def _weight(kernel, offset):
    return kernel[offset].reshape((1,) * (kernel.ndim - 1) + (kernel.shape[-1],))
