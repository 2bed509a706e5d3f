"""Max pools on the CPU: maxima of slices, and scatter by the index of the first one, in place of XLA's windows.

`sharded` says that XLA is to divide the program among devices: slices of a rim it would have to gather.
"""

import functools
import math

import jax.numpy as jnp
from jax import lax

from jaxconv.functional.lowering import lines, plain, running, sections
from jaxconv.functional.lowering.cpu_window import FEW, ROOM_MAX, apart, by_size, roomy, slices, wide
from jaxconv.functional.lowering.taps import offsets, out_space, pad, spread, tap

_MANY = 49  # elements of windows side by side: above, the program grows too long


def max_pool(x, *, window, strides, padding, sharded=False):
    """See `plain.max_pool`."""
    # Measured, times faster than `plain`: slices 1.7 (2x2) and 4.6 (3x3 stride 2) without padding; where they must copy
    # for padding, one dimension at a time is faster: 2.2 (3x3 stride 2 on 112x112, 8 images), 3.5 (3x3 on 14x14).
    settings = dict(window=window, strides=strides, padding=padding)
    if sharded:
        return _sliced_max_pool(x, **settings)
    if (math.prod(window) <= 9 and not any(map(any, padding))) or roomy(x, window, ROOM_MAX):
        return apart(functools.partial(functools.reduce, jnp.maximum), x, plain.lowest(x.dtype), sharded, **settings)
    if window == strides:  # 130 pools of one to 32 images: one dimension after another 0.45 to 2.4 times as fast
        return plain.max_pool(x, **settings)
    return lines.pooled(_max_pool_line, x, **settings)


def _max_pool_line(x, *, window, strides, padding):
    long = max(window) > FEW and set(strides) == {1}
    form = _sliced_max_pool if long else plain.max_pool
    return form(x, window=window, strides=strides, padding=padding)


def _sliced_max_pool(x, *, window, strides, padding):
    """By slices alone: maxima of windows XLA gets wrong, or ends the process, where each device has few rows."""
    x = pad(x, padding, plain.lowest(x.dtype))
    ones = (1,) * len(window)
    out = out_space(x.shape[1:-1], window, strides, ((0, 0),) * len(window), ones)
    for axis, size in enumerate(window, start=1):
        x = running.maximum(x, size, axis)
    return tap(x, (0,) * len(window), strides, ones, out)


@by_size(plain.max_pool_gather, functools.partial(lines.gathered, max_pool))
def max_pool_gather(t, x, *, window, strides, padding, sharded=False):
    """See `plain.max_pool_gather`."""
    out = out_space(x.shape[1:-1], window, strides, padding, (1,) * len(window))
    long = math.prod(window) > FEW  # a line
    if long and not sharded and sections.side_by_side(x.shape[1:-1], out, window, strides):
        index = sections.first_maximum(x, out=out, window=window, padding=padding)
        return sections.max_pool_gather(t, index, window=window, padding=padding)
    taps = slices(x, window, strides, padding, plain.lowest(x.dtype))
    values = slices(t, window, strides, padding, 0)
    best, chosen = next(taps), next(values)
    for candidate, value in zip(taps, values):
        better = ~(best >= candidate)  # a NaN wins and loses as in `select_and_scatter`
        best, chosen = jnp.where(better, candidate, best), jnp.where(better, value, chosen)
    return chosen


def _few_for_scatter(window, strides):
    return _MANY if window == strides else FEW


@wide
@by_size(plain.max_pool_scatter, functools.partial(lines.scattered, max_pool), _few_for_scatter)
def max_pool_scatter(dy, x, *, window, strides, padding, sharded=False):
    """See `plain.max_pool_scatter`."""
    settings = dict(window=window, strides=strides, padding=padding)
    space, out = x.shape[1:-1], dy.shape[1:-1]
    beside = not sharded and sections.side_by_side(space, out, window, strides)
    if beside and math.prod(window) > _MANY:  # a line
        index = sections.first_maximum(x, out=out, window=window, padding=padding)
    else:
        index = lax.optimization_barrier(apart(_first_maximum, x, plain.lowest(x.dtype), sharded, **settings))
    if beside:
        return sections.max_pool_scatter(dy, index, space=space, window=window, padding=padding)
    numbers = {offset: number for number, offset in enumerate(offsets(window))}

    def term(offset, dy, index):
        return jnp.where(index == numbers[offset], dy, jnp.zeros((), dy.dtype))

    return spread(term, [(dy, 0), (index, -1)], space=space, dilation=(1,) * len(window), **settings)


def _first_maximum(taps):
    best, *others = taps
    numbers = jnp.int8 if len(others) < 127 else jnp.int32
    index = jnp.zeros(best.shape, numbers)
    for number, candidate in enumerate(others, 1):
        better = ~(best >= candidate)  # a NaN wins and loses as in `select_and_scatter`
        best, index = jnp.where(better, candidate, best), jnp.where(better, numbers(number), index)
    return index
