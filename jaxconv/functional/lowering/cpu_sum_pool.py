"""Sum pools on the CPU, and their transposes: sums of slices in place of XLA's windows.

`sharded` says that XLA is to divide the program among devices: slices of a rim it would have to gather.
"""

import math

from jaxconv.functional.lowering import lines, plain, running, sections
from jaxconv.functional.lowering.cpu_window import FEW, apart, by_size, wide
from jaxconv.functional.lowering.taps import add, out_space, pad, spread, transposed_padding

_APART = 2**18  # elements: above, XLA's own form sums windows that do not overlap


@wide
def sum_pool(x, *, window, strides, padding, sharded=False):
    """See `plain.sum_pool`."""
    settings, padded = dict(window=window, strides=strides, padding=padding), any(map(any, padding))
    one = all(o == 1 for o in out_space(x.shape[1:-1], window, strides, padding, (1,) * len(window)))
    # Padded ones over a divided height XLA sums wrongly where each device has few rows, and some of a single place.
    if (one and not sharded) or (window == strides and _summed_by_xla(x, window, padded) and not (sharded and padded)):
        return plain.sum_pool(x, **settings)
    return _sum_pool_of_slices(x, sharded=sharded, **settings)


def _summed_by_xla(x, window, padded):
    """Where windows side by side, which read every element once, are as fast in XLA's own form."""
    # Of 2x2 on 56x56, 128 channels, 8 images, slices are 1.1 times faster alone, but 0.75 to 0.85 with their transpose
    # after them; below a MiB they are 1.1 to 2 times faster. Padded, 4x4: 0.35 to 1.0, 13x13: 0.4 to 1.1; not padded,
    # 13x13: 0.4 to 1.3.
    taps = math.prod(window)
    return (padded and taps > 9) or max(window) > 9 or (taps <= FEW and _elements(x) > _APART)


@by_size(plain.sum_pool, lines.pooled)
def _sum_pool_of_slices(x, *, window, strides, padding, sharded):
    return _sums(x, sharded, window=window, strides=strides, padding=padding)


@wide
def sum_pool_transpose(dy, *, space, window, strides, padding, sharded=False):
    """See `plain.sum_pool_transpose`."""
    if not sharded and all(o == 1 for o in dy.shape[1:-1]):  # which XLA writes as one broadcast
        return plain.sum_pool_transpose(dy, space=space, window=window, strides=strides, padding=padding)
    if not sharded and sections.side_by_side(space, dy.shape[1:-1], window, strides):
        return sections.sum_pool_transpose(dy, space=space, window=window, padding=padding)
    settings = dict(window=window, strides=strides, padding=padding, sharded=sharded)
    return _overlapping_sum_transpose(dy, space=space, **settings)


@by_size(plain.sum_pool_transpose, lines.spread)
def _overlapping_sum_transpose(dy, *, space, window, strides, padding, sharded):
    ones = (1,) * len(window)
    if strides == ones:
        around = transposed_padding(space, dy.shape[1:-1], window, padding, ones)
        return _sums(dy, sharded, window=window, strides=ones, padding=around)
    settings = dict(window=window, strides=strides, padding=padding, dilation=ones)
    return spread(lambda _, dy: dy, [(dy, 0)], space=space, **settings)


def _sums(x, sharded, *, window, strides, padding):
    if max(window) <= FEW or any(s > 1 for s in strides):
        return apart(add, x, 0, sharded, window=window, strides=strides, padding=padding)
    x = pad(x, padding)
    for axis, size in enumerate(window, start=1):
        x = running.total(x, size, axis)
    return x


def _elements(x):
    return math.prod(size if isinstance(size, int) else 1 for size in x.shape)  # else a symbol of `jax.export`
