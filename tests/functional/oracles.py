"""Convolutions and pools written as their definitions: loops over every index, float64, no window arithmetic shared.

`pairs` are explicit (low, high) widths. For two spatial dimensions `conv` is seven nested loops.
"""

from itertools import product

import numpy as np


def conv(x, kernel, *, strides, pairs, dilation, groups=1):
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    *window, inputs, features = kernel.shape
    space = x.shape[1:-1]
    out = []
    for size, taps, stride, (low, high), gap in zip(space, window, strides, pairs, dilation):
        starts = [s for s in range(-low, size + high, stride) if s + gap * (taps - 1) < size + high]
        out.append(len(starts))
    y = np.zeros((x.shape[0], *out, features))
    for n in range(x.shape[0]):
        for place in product(*map(range, out)):
            for k in range(features):
                first = k // (features // groups) * inputs
                for tap in product(*map(range, window)):
                    at = tuple(
                        p * s - low + t * d for p, s, (low, _), t, d in zip(place, strides, pairs, tap, dilation)
                    )
                    if all(0 <= a < size for a, size in zip(at, space)):
                        for c in range(inputs):
                            y[(n, *place, k)] += x[(n, *at, first + c)] * kernel[(*tap, c, k)]
    return y


def conv_transpose(x, kernel, *, out, strides, lows, dilation, groups=1):
    """Every input stamps its kernel onto an output of the stated size; what falls outside is lost."""
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    *window, inputs, features = kernel.shape
    y = np.zeros((x.shape[0], *out, features))
    for n in range(x.shape[0]):
        for place in product(*map(range, x.shape[1:-1])):
            for tap in product(*map(range, window)):
                at = tuple(p * s + t * d - low for p, s, t, d, low in zip(place, strides, tap, dilation, lows))
                if all(0 <= a < size for a, size in zip(at, out)):
                    for k in range(features):
                        first = k // (features // groups) * inputs
                        for c in range(inputs):
                            y[(n, *at, k)] += x[(n, *place, first + c)] * kernel[(*tap, c, k)]
    return y


def windows(x, *, window, strides, pairs, ceil_mode=False):
    """Yields every output index with the real pixels (pixels, c) under it and the count of real and padded ones."""
    space = x.shape[1:-1]
    starts = []
    for size, taps, stride, (low, high) in zip(space, window, strides, pairs):
        # A place fits wholly; rounding up adds one where the places before leave something uncovered, unless that one
        # would begin beyond the low padding and the real pixels.
        begins = range(-low, size + high, stride)
        wanted = [s for s in begins if s + taps <= size + high]
        if ceil_mode:
            wanted = [s for s in begins if s in wanted or (s < size and s - stride + taps < size + high)]
        starts.append(wanted)
    out = tuple(len(s) for s in starts)
    for n in range(x.shape[0]):
        for place in product(*map(range, out)):
            spans = [range(s[p], s[p] + taps) for s, p, taps in zip(starts, place, window)]
            stated = 1
            for span, size, (_, high) in zip(spans, space, pairs):
                stated *= sum(a < size + high for a in span)
            inside = [at for at in product(*spans) if all(0 <= a < size for a, size in zip(at, space))]
            yield (n, *place), np.array([x[(n, *at)] for at in inside]), stated


def pool(x, reduce, **geometry):
    """`reduce(real pixels (pixels, c), number of real and padded ones) -> (c,)` under every window."""
    x = np.asarray(x, np.float64)
    found = {index: reduce(pixels, stated) for index, pixels, stated in windows(x, **geometry)}
    shape = tuple(1 + max(index[axis] for index in found) for axis in range(x.ndim - 1))
    return np.array([found[index] for index in np.ndindex(*shape)]).reshape(*shape, x.shape[-1])


def max_pool(x, **geometry):
    return pool(x, lambda pixels, stated: pixels.max(0), **geometry)


def avg_pool(x, *, count_include_pad=False, **geometry):
    return pool(x, lambda pixels, stated: pixels.sum(0) / (stated if count_include_pad else len(pixels)), **geometry)


def lp_pool(x, *, p, **geometry):
    return pool(x, lambda pixels, stated: (np.abs(pixels) ** p).sum(0) ** (1 / p), **geometry)


def adaptive_pool(x, size, reduce):
    x = np.asarray(x, np.float64)
    y = np.zeros((x.shape[0], *size, x.shape[-1]))
    for n in range(x.shape[0]):
        for part in product(*map(range, size)):
            cut = tuple(
                slice(int(np.floor(i * length / count)), int(np.ceil((i + 1) * length / count)))
                for i, length, count in zip(part, x.shape[1:-1], size)
            )
            y[(n, *part)] = reduce(x[(n, *cut)].reshape(-1, x.shape[-1]))
    return y
