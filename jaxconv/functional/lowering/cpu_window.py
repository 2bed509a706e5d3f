"""What pools on the CPU share: how many slices a window is worth, the rim apart, sums of half types in float32."""

import functools
import math

import jax.numpy as jnp

from jaxconv.functional.lowering import rim
from jaxconv.functional.lowering.taps import offsets, out_space, pad, tap

FEW = 16  # elements of a window: above, one dimension after another takes a small part of the steps
LONG = 256  # taps of one dimension: above, even that program is too long, and XLA's own form is used
# Positions of the input from which the rim is treated apart. Measured on 51 pools of 2x2 and 3x3 with padding, 7x7 to
# 112x112, 1 to 32 images: from 14x14 gradients of maxima were 0.9 to 5.1 times as fast (geometric mean 1.5), sums 0.9
# to 6.9 (1.8), on 7x7 and 8x8 0.85 to 1.8; maxima from 28x28 1.0 to 4.1 (1.5), below 0.45 to 1.7.
ROOM, ROOM_MAX = 144, 576


def by_size(plain_form, by_lines, few=lambda window, strides: FEW):
    """Of a window of more than `few` elements one dimension after another, and of a very long one XLA's own form."""
    # 5x5 and more in place of all elements at once, 28x28 to 56x56, 1 and 8 images: sums and their transposes 1.1 to 7
    # times as fast, gradients of maxima 1.3 to 7 times; 4x4: 0.6 to 2. In place of XLA's form, which large windows had
    # before: gradients of maxima 8 to 400 times, transposes of sums 60 to 600 times.

    def decorate(form):
        @functools.wraps(form)
        def chosen(values, *x, window, strides, **settings):
            settings |= dict(window=window, strides=strides)
            sharded = settings.get("sharded", False)
            if sharded or _sliceable(strides, values, *x):
                if math.prod(window) <= few(window, strides):
                    return form(values, *x, **settings)
                if max(window) <= LONG:
                    return by_lines(form, values, *x, **settings)
            settings.pop("sharded", None)
            return plain_form(values, *(a.astype(values.dtype) for a in x), **settings)

        return chosen

    return decorate


def _sliceable(strides, *arrays):
    """Whether slices can be counted: not where there are strides over symbols of `jax.export`."""
    known = all(isinstance(size, int) for a in arrays for size in a.shape[1:-1])
    return known or all(s == 1 for s in strides)


def wide(form):
    """Sum half types in float32."""

    @functools.wraps(form)
    def widened(values, *x, **settings):
        dtype = values.dtype
        half = jnp.issubdtype(dtype, jnp.floating) and dtype.itemsize < 4
        return form(values.astype("float32") if half else values, *x, **settings).astype(dtype)

    return widened


def roomy(x, window, positions):
    """Whether `x` is worth dividing into inside and rim, for which its space must be known."""
    space = x.shape[1:-1]
    return math.prod(window) <= 9 and all(isinstance(size, int) for size in space) and math.prod(space) >= positions


def apart(form, x, outside, sharded, *, window, strides, padding):
    """`form` of the taps of `x`, with `outside` beyond it; the rim apart where that is faster."""

    def whole(x, padding):
        return form(slices(x, window, strides, padding, outside))

    if sharded or not roomy(x, window, ROOM):
        return whole(x, padding)
    return rim.apart(whole, x, window=window, strides=strides, padding=padding, dilation=(1,) * len(window))


def slices(x, window, strides, padding, value):
    """What each place of the window sees at one of its elements after another, `value` standing beyond `x`."""
    ones = (1,) * len(window)
    out = out_space(x.shape[1:-1], window, strides, padding, ones)
    x = pad(x, padding, value)
    return (tap(x, i, strides, ones, out) for i in offsets(window))
