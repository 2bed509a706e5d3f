"""Pools on the CPU: maxima and sums of slices, and their transposes, in place of XLA's windows loop by loop."""

import functools
import math

import jax.numpy as jnp
from jax import lax

from jaxconv.functional.lowering import plain
from jaxconv.functional.lowering.taps import add, offsets, out_space, pad, tap, untap

_MANY = 49  # taps: above, the program grows too long, and a window is so large that XLA's own form is used


def _few(plain_form):
    def decorate(form):
        @functools.wraps(form)
        def chosen(*arrays, **settings):
            return (form if math.prod(settings["window"]) <= _MANY else plain_form)(*arrays, **settings)

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
    """See `plain.max_pool`; one dimension of the window at a time."""
    for axis, size in enumerate(window):
        along = [(w if a == axis else 1) for a, w in enumerate(window)]
        if (size, strides[axis], padding[axis]) != (1, 1, (0, 0)):
            steps = [(s if a == axis else 1) for a, s in enumerate(strides)]
            around = [(p if a == axis else (0, 0)) for a, p in enumerate(padding)]
            x = lax.reduce_window(
                x, plain.lowest(x.dtype), lax.max, (1, *along, 1), (1, *steps, 1), ((0, 0), *around, (0, 0))
            )
    return x


def max_pool_gather(t, x, *, window, strides, padding):
    """See `plain.max_pool_gather`."""
    taps = _taps(x, window, strides, padding, plain.lowest(x.dtype))
    values = _taps(t, window, strides, padding, 0)
    best, chosen = next(taps), next(values)
    for candidate, value in zip(taps, values):
        better = candidate > best
        best, chosen = jnp.where(better, candidate, best), jnp.where(better, value, chosen)
    return chosen


@_wide
@_few(plain.max_pool_scatter)
def max_pool_scatter(dy, x, *, window, strides, padding):
    """See `plain.max_pool_scatter`."""
    first = lax.optimization_barrier(_first_maximum(x, window, strides, padding))
    zero = jnp.zeros((), dy.dtype)
    ones = (1,) * len(window)
    return add(
        untap(jnp.where(first == number, dy, zero), offset, strides, ones, x.shape[1:-1], padding)
        for number, offset in enumerate(offsets(window))
    )


@_wide
@_few(plain.sum_pool)
def sum_pool(x, *, window, strides, padding):
    """See `plain.sum_pool`."""
    return add(_taps(x, window, strides, padding, 0))


@_wide
@_few(plain.sum_pool_transpose)
def sum_pool_transpose(dy, *, space, window, strides, padding):
    """See `plain.sum_pool_transpose`."""
    ones = (1,) * len(window)
    return add(untap(dy, i, strides, ones, space, padding) for i in offsets(window))


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
        better = candidate > best
        best, index = jnp.where(better, candidate, best), jnp.where(better, numbers(number), index)
    return index
