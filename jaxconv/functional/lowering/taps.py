"""Slices, pads and their transposes: what a window is made of."""

import functools
import itertools
import operator

import jax.numpy as jnp
import numpy as np
from jax import lax


def offsets(window):
    """The positions within a window, in row-major order."""
    return list(itertools.product(*map(range, window)))


def pad(x, padding, value: int | np.ndarray = 0):
    """`x` (n, *space, c) with `value` around, or cut off where a width is negative.

    It is written out at once, so that reading it needs no bounds checks.
    """
    if not any(map(any, padding)):
        return x
    config = ((0, 0, 0), *((low, high, 0) for low, high in padding), (0, 0, 0))
    return lax.optimization_barrier(lax.pad(x, np.array(value, x.dtype), config))


def after(a, x):
    """`x` itself, but not before `a` is known.

    What a gradient prepares of `x` alone (a padded or transposed copy) XLA would make in the forward pass already, and
    keep until it is used. So a zero is added that only the bits of an element of `a` tell.
    """
    first = lax.slice(a, (0,) * a.ndim, (1,) * a.ndim).reshape(())
    half = 4 * a.dtype.itemsize
    bits = lax.bitcast_convert_type(first, f"uint{2 * half}")
    return x + ((bits >> half) >> half).astype(x.dtype)


def tap(x, offset, strides, dilation, out):
    """What each output position (n, *out, c) sees at one offset of its window, `x` being padded already."""
    # One place needs no stride, and with one XLA takes a wrong element where it divides the dimension among devices.
    strides = [1 if size == 1 else s for s, size in zip(strides, out)]
    start = [i * d for i, d in zip(offset, dilation)]
    limit = [a + (size - 1) * s + 1 for a, size, s in zip(start, out, strides)]
    return lax.slice(x, (0, *start, 0), (x.shape[0], *limit, x.shape[-1]), (1, *strides, 1))


def untap(t, offset, strides, dilation, space, padding):
    """The transpose of `pad` and `tap`: (n, *out, c) back into (n, *space, c), zeros elsewhere."""
    along = zip(t.shape[1:-1], offset, space, strides, padding, dilation)
    return _put(t, [(0, 0, t.shape[0], 0), *(_place(*each) for each in along), (0, 0, t.shape[-1], 0)])


def untap_along(axis, t, *settings):
    """`untap` along one dimension of space, by its offset, size, stride, padding and dilation."""
    places = [(0, 0, size, 0) for size in t.shape]
    places[1 + axis] = _place(t.shape[1 + axis], *settings)
    return _put(t, places)


def _place(out, offset, size, stride, padding, dilation):
    before = offset * dilation - padding[0]
    return before, size - before - (out - 1) * stride - 1, size, stride - 1


def _put(t, places):
    """`t` with (before, after, size in all, between) in each dimension; what is negative is cut off."""
    # XLA's partitioner aborts on padding that is both interior and negative, so what sticks out is sliced off.
    t = lax.pad(t, np.array(0, t.dtype), [(max(low, 0), max(high, 0), between) for low, high, _, between in places])
    start = [max(-low, 0) for low, *_ in places]
    return lax.slice(t, start, [a + size for a, (_, _, size, _) in zip(start, places)])


def phase_shifts(window, stride, padding, dilation):
    """Along one dimension of a transposed convolution: which taps reach the positions of one phase, and from where.

    Position `stride * q + phase` of the input gets tap i of the output position `q + shift`; the result has a mapping
    from i to shift for every phase.
    """
    low, _ = padding
    reach = [[(i, phase + low - dilation * i) for i in range(window)] for phase in range(stride)]
    return [{i: ahead // stride for i, ahead in taps if ahead % stride == 0} for taps in reach]


def spread(term, arrays, *, space, window, strides, padding, dilation, channels=None):
    """A transposed window: each position (n, *space, c) of the input adds what the windows over it give it.

    One phase modulo the strides after another is a sum of shifted slices; the phases are then interleaved.

    Args:
        term: function of an offset in the window and of one slice of every array, each (n, *q, c), giving
            (n, *q, channels).
        arrays: pairs of an array (n, *out, c) and the value that stands outside it.
        space: size of the input.
        window: size of the window that is transposed.
        strides: its strides.
        padding: its padding.
        dilation: its dilation.
        channels: of the result; as many as the arrays have by default.
    """
    shifts = [phase_shifts(*along) for along in zip(window, strides, padding, dilation)]
    every = [[0, *(shift for phase in along for shift in phase.values())] for along in shifts]
    size = [-(-a // s) for a, s in zip(space, strides)]
    before = [-min(along) for along in every]
    after = [max(0, q + max(along) - out) for q, along, out in zip(size, every, arrays[0][0].shape[1:-1])]
    padded = [pad(a, tuple(zip(before, after)), value) for a, value in arrays]
    ones, (first, _) = (1,) * len(window), arrays[0]

    def phase(position):
        taps = itertools.product(*(along[p].items() for along, p in zip(shifts, position)))
        terms = []
        for pairs in taps:
            start = [b + shift for b, (_, shift) in zip(before, pairs)]
            terms.append(term(tuple(i for i, _ in pairs), *(tap(a, start, ones, ones, size) for a in padded)))
        return add(terms) if terms else jnp.zeros((first.shape[0], *size, channels or first.shape[-1]), first.dtype)

    return interleave([phase(position) for position in offsets(strides)], strides, space)


def interleave(phases, strides, space):
    """Arrays (n, *q, c) for each phase, in row-major order, as one (n, *space, c): element s * q + phase is at q."""
    rank, (n, *q, c) = len(strides), phases[0].shape
    stacked = jnp.stack(phases).reshape(*strides, n, *q, c)
    order = [rank, *(axis for a in range(rank) for axis in (rank + 1 + a, a)), 2 * rank + 1]
    whole = stacked.transpose(order).reshape(n, *(size * s for size, s in zip(q, strides)), c)
    return whole[(slice(None), *(slice(size) for size in space))]


def add(terms):
    """The sum of at least one array."""
    return functools.reduce(operator.add, terms)


def out_space(space, window, strides, padding, dilation):
    """The number of window positions along each dimension."""
    return tuple(
        (size + low + high - d * (taps - 1) - 1) // s + 1
        for size, taps, s, (low, high), d in zip(space, window, strides, padding, dilation)
    )


def transposed_padding(space, out, window, padding, dilation):
    """For stride 1: the padding with which the flipped kernel takes (n, *out, k) back to (n, *space, c)."""
    result = []
    for size, o, taps, (low, _), d in zip(space, out, window, padding, dilation):
        before = d * (taps - 1) - low
        result.append((before, size + d * (taps - 1) - o - before))
    return tuple(result)


def flip(kernel):
    """`kernel` (*window, ...) reversed in every dimension of the window."""
    return jnp.flip(kernel, tuple(range(kernel.ndim - 2)))


def turned(kernel):
    """The kernel (*window, k, c) of the transposed convolution, written out."""
    *window, c, k = kernel.shape
    # XLA folds a flip of the window into the convolution, which no fast form of it takes; one of all taps as a single
    # dimension it cannot fold, and writes together with the transposition, in one pass.
    return lax.optimization_barrier(kernel.reshape(-1, c, k)[::-1].swapaxes(1, 2).reshape(*window, k, c))
