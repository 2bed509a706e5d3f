"""Pools on the CPU: maxima and sums of slices, and their transposes, in place of XLA's windows loop by loop."""

import functools
import math

import jax.numpy as jnp
from jax import lax

from jaxconv.functional.lowering import plain
from jaxconv.functional.lowering.taps import add, offsets, out_space, pad, spread, tap

_MANY = 49  # taps: above, the program grows too long, and a window is so large that XLA's own form is used
_APART = 2**18  # elements: above, XLA's own form sums windows that do not overlap


def _few(plain_form):
    def decorate(form):
        @functools.wraps(form)
        def chosen(values, *x, **settings):
            if math.prod(settings["window"]) <= _MANY:
                return form(values, *x, **settings)
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


def max_pool(x, *, window, strides, padding):
    """See `plain.max_pool`."""
    # Measured, times faster than `plain`: slices 1.7 (2x2) and 4.6 (3x3 stride 2) without padding; with padding, which
    # slices must copy, one dimension at a time is faster: 2.2 (3x3 stride 2 on 112x112, 8 images), 3.5 (3x3 on 14x14).
    if math.prod(window) <= 9 and not any(map(any, padding)):
        return functools.reduce(jnp.maximum, _taps(x, window, strides, padding, plain.lowest(x.dtype)))
    return _separable_max_pool(x, window, strides, padding)


def _separable_max_pool(x, window, strides, padding):
    for axis, size in enumerate(window):
        if (size, strides[axis], padding[axis]) != (1, 1, (0, 0)):

            def along(values, other, axis=axis):
                return tuple(value if a == axis else other for a, value in enumerate(values))

            settings = dict(window=along(window, 1), strides=along(strides, 1), padding=along(padding, (0, 0)))
            x = plain.max_pool(x, **settings)
    return x


@_few(plain.max_pool_gather)
def max_pool_gather(t, x, *, window, strides, padding):
    """See `plain.max_pool_gather`."""
    taps = _taps(x, window, strides, padding, plain.lowest(x.dtype))
    values = _taps(t, window, strides, padding, 0)
    best, chosen = next(taps), next(values)
    for candidate, value in zip(taps, values):
        better = ~(best >= candidate)  # a NaN wins and loses as in `select_and_scatter`
        best, chosen = jnp.where(better, candidate, best), jnp.where(better, value, chosen)
    return chosen


@_wide
@_few(plain.max_pool_scatter)
def max_pool_scatter(dy, x, *, window, strides, padding):
    """See `plain.max_pool_scatter`."""
    index = lax.optimization_barrier(_first_maximum(x, window, strides, padding))
    numbers = {offset: number for number, offset in enumerate(offsets(window))}

    def term(offset, dy, index):
        return jnp.where(index == numbers[offset], dy, jnp.zeros((), dy.dtype))

    settings = dict(window=window, strides=strides, padding=padding, dilation=(1,) * len(window))
    return spread(term, [(dy, 0), (index, -1)], space=x.shape[1:-1], **settings)


@_wide
@_few(plain.sum_pool)
def sum_pool(x, *, window, strides, padding):
    """See `plain.sum_pool`."""
    # Windows side by side read every element once, which XLA's own form does as fast: of 2x2 on 56x56, 128 channels, 8
    # images, slices are 1.1 times faster alone, but 0.75 to 0.85 with their transpose after them. Below a MiB they are
    # 1.1 to 2 times faster.
    if window == strides and _elements(x) > _APART:
        return plain.sum_pool(x, window=window, strides=strides, padding=padding)
    return add(_taps(x, window, strides, padding, 0))


@_wide
@_few(plain.sum_pool_transpose)
def sum_pool_transpose(dy, *, space, window, strides, padding):
    """See `plain.sum_pool_transpose`."""
    settings = dict(window=window, strides=strides, padding=padding, dilation=(1,) * len(window))
    return spread(lambda _, dy: dy, [(dy, 0)], space=space, **settings)


def _elements(x):
    return math.prod(size if isinstance(size, int) else 1 for size in x.shape)  # else a symbol of `jax.export`


def _taps(x, window, strides, padding, value):
    ones = (1,) * len(window)
    out = out_space(x.shape[1:-1], window, strides, padding, ones)
    x = pad(x, padding, value)
    return (tap(x, i, strides, ones, out) for i in offsets(window))


def _first_maximum(x, window, strides, padding):
    taps = _taps(x, window, strides, padding, plain.lowest(x.dtype))
    best = next(taps)
    numbers = jnp.int8 if len(offsets(window)) <= 127 else jnp.int32
    index = jnp.zeros(best.shape, numbers)
    for number, candidate in enumerate(taps, 1):
        better = ~(best >= candidate)  # a NaN wins and loses as in `select_and_scatter`
        best, index = jnp.where(better, candidate, best), jnp.where(better, numbers(number), index)
    return index
