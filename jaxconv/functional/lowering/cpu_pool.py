"""Pools on the CPU: maxima and sums of slices, and their transposes, in place of XLA's windows loop by loop.

`sharded` says that XLA is to divide the program among devices: slices of a rim it would have to gather.
"""

import functools
import math

import jax.numpy as jnp
from jax import lax

from jaxconv.functional.lowering import lines, plain, rim
from jaxconv.functional.lowering.taps import add, offsets, out_space, pad, spread, tap, transposed_padding

_MANY = 49  # taps: above, the program grows too long, and a window is so large that XLA's own form is used
_LONG = 256  # taps of one dimension: above, even that program is too long
_APART = 2**18  # elements: above, XLA's own form sums windows that do not overlap
# Positions of the input from which the rim is treated apart. Measured on 51 pools of 2x2 and 3x3 with padding, 7x7 to
# 112x112, 1 to 32 images: from 14x14 gradients of maxima were 0.9 to 5.1 times as fast (geometric mean 1.5), sums 0.9
# to 6.9 (1.8), on 7x7 and 8x8 0.85 to 1.8; maxima from 28x28 1.0 to 4.1 (1.5), below 0.45 to 1.7.
_ROOM, _ROOM_MAX = 144, 576


def _few(plain_form, by_lines):
    """For a large window XLA's own form; one dimension after another where XLA might divide it, and get it wrong."""

    def decorate(form):
        @functools.wraps(form)
        def chosen(values, *x, sharded=False, **settings):
            if math.prod(settings["window"]) <= _MANY:
                return form(values, *x, sharded=sharded, **settings)
            if sharded and max(settings["window"]) <= _LONG:
                return by_lines(functools.partial(form, sharded=True), values, *x, **settings)
            return plain_form(values, *(a.astype(values.dtype) for a in x), **settings)

        return chosen

    return decorate


def _wide(form):
    """Sum half types in float32."""

    @functools.wraps(form)
    def widened(values, *x, **settings):
        dtype = values.dtype
        half = jnp.issubdtype(dtype, jnp.floating) and dtype.itemsize < 4
        return form(values.astype("float32") if half else values, *x, **settings).astype(dtype)

    return widened


def max_pool(x, *, window, strides, padding, sharded=False):
    """See `plain.max_pool`."""
    # Measured, times faster than `plain`: slices 1.7 (2x2) and 4.6 (3x3 stride 2) without padding; where they must copy
    # for padding, one dimension at a time is faster: 2.2 (3x3 stride 2 on 112x112, 8 images), 3.5 (3x3 on 14x14).
    settings = dict(window=window, strides=strides, padding=padding)
    if sharded:
        return _sliced_max_pool(x, **settings)
    if (math.prod(window) <= 9 and not any(map(any, padding))) or _roomy(x, window, _ROOM_MAX):
        return _apart(functools.partial(functools.reduce, jnp.maximum), x, plain.lowest(x.dtype), sharded, **settings)
    return lines.pooled(plain.max_pool, x, **settings)


def _sliced_max_pool(x, window, strides, padding):
    """By slices alone: maxima of windows XLA gets wrong, or ends the process, where each device has few rows."""
    x = pad(x, padding, plain.lowest(x.dtype))
    ones = (1,) * len(window)
    out = out_space(x.shape[1:-1], window, strides, ((0, 0),) * len(window), ones)
    for axis, size in enumerate(window, start=1):
        x = _running_maximum(x, size, axis)
    return tap(x, (0,) * len(window), strides, ones, out)


def _running_maximum(x, size, axis):
    """Of `size` neighbours, from two that `reach` as far already: the program is short for large windows too."""
    reach = 1
    while reach < size:
        step = min(reach, size - reach)
        left = x.shape[axis] - step
        x = jnp.maximum(lax.slice_in_dim(x, 0, left, axis=axis), lax.slice_in_dim(x, step, step + left, axis=axis))
        reach += step
    return x


@_few(plain.max_pool_gather, functools.partial(lines.gathered, _sliced_max_pool))
def max_pool_gather(t, x, *, window, strides, padding, sharded=False):
    """See `plain.max_pool_gather`."""
    taps = _taps(x, window, strides, padding, plain.lowest(x.dtype))
    values = _taps(t, window, strides, padding, 0)
    best, chosen = next(taps), next(values)
    for candidate, value in zip(taps, values):
        better = ~(best >= candidate)  # a NaN wins and loses as in `select_and_scatter`
        best, chosen = jnp.where(better, candidate, best), jnp.where(better, value, chosen)
    return chosen


@_wide
@_few(plain.max_pool_scatter, functools.partial(lines.scattered, _sliced_max_pool))
def max_pool_scatter(dy, x, *, window, strides, padding, sharded=False):
    """See `plain.max_pool_scatter`."""
    settings = dict(window=window, strides=strides, padding=padding)
    index = lax.optimization_barrier(_apart(_first_maximum, x, plain.lowest(x.dtype), sharded, **settings))
    numbers = {offset: number for number, offset in enumerate(offsets(window))}

    def term(offset, dy, index):
        return jnp.where(index == numbers[offset], dy, jnp.zeros((), dy.dtype))

    return spread(term, [(dy, 0), (index, -1)], space=x.shape[1:-1], dilation=(1,) * len(window), **settings)


@_wide
@_few(plain.sum_pool, lines.pooled)
def sum_pool(x, *, window, strides, padding, sharded=False):
    """See `plain.sum_pool`."""
    # Windows side by side read every element once, which XLA's own form does as fast: of 2x2 on 56x56, 128 channels, 8
    # images, slices are 1.1 times faster alone, but 0.75 to 0.85 with their transpose after them. Below a MiB they are
    # 1.1 to 2 times faster.
    # Padded ones over a divided height XLA sums wrongly where each device has few rows.
    if window == strides and _elements(x) > _APART and not (sharded and any(map(any, padding))):
        return plain.sum_pool(x, window=window, strides=strides, padding=padding)
    return _apart(add, x, 0, sharded, window=window, strides=strides, padding=padding)


@_wide
@_few(plain.sum_pool_transpose, lines.spread)
def sum_pool_transpose(dy, *, space, window, strides, padding, sharded=False):
    """See `plain.sum_pool_transpose`."""
    ones = (1,) * len(window)
    if strides == ones:
        around = transposed_padding(space, dy.shape[1:-1], window, padding, ones)
        return _apart(add, dy, 0, sharded, window=window, strides=ones, padding=around)
    settings = dict(window=window, strides=strides, padding=padding, dilation=ones)
    return spread(lambda _, dy: dy, [(dy, 0)], space=space, **settings)


def _elements(x):
    return math.prod(size if isinstance(size, int) else 1 for size in x.shape)  # else a symbol of `jax.export`


def _roomy(x, window, positions):
    """Whether `x` is worth dividing into inside and rim, for which its space must be known."""
    space = x.shape[1:-1]
    return math.prod(window) <= 9 and all(isinstance(size, int) for size in space) and math.prod(space) >= positions


def _apart(form, x, outside, sharded, *, window, strides, padding):
    """`form` of the taps of `x`, with `outside` beyond it; the rim apart where that is faster."""

    def whole(x, padding):
        return form(_taps(x, window, strides, padding, outside))

    if sharded or not _roomy(x, window, _ROOM):
        return whole(x, padding)
    return rim.apart(whole, x, window=window, strides=strides, padding=padding, dilation=(1,) * len(window))


def _taps(x, window, strides, padding, value):
    ones = (1,) * len(window)
    out = out_space(x.shape[1:-1], window, strides, padding, ones)
    x = pad(x, padding, value)
    return (tap(x, i, strides, ones, out) for i in offsets(window))


def _first_maximum(taps):
    best, *others = taps
    numbers = jnp.int8 if len(others) < 127 else jnp.int32
    index = jnp.zeros(best.shape, numbers)
    for number, candidate in enumerate(others, 1):
        better = ~(best >= candidate)  # a NaN wins and loses as in `select_and_scatter`
        best, index = jnp.where(better, candidate, best), jnp.where(better, numbers(number), index)
    return index
