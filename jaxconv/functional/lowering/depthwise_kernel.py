"""Kernel gradients of depthwise convolutions: an accumulator for each tap, in a loop over parts of the maps.

Where a channel has several features, it is repeated for each of them.
"""

import jax.numpy as jnp
from jax import lax

from jaxconv.functional.lowering.depthwise import repeated
from jaxconv.functional.lowering.taps import add, after, offsets, pad, tap

_PART = 2**13  # elements of an accumulator for a part of a line: 2**12 to 2**16 are 0.9 to 1.5 times as slow


def conv_kernel_grad(x, dy, *, window, strides, padding, dilation, groups):
    """See `plain.conv_kernel_grad`; one sum for each tap."""
    x = pad(repeated(x, dy.shape[-1] // groups), padding)
    out, rows = dy.shape[1:-1], tuple(range(dy.ndim - 1))
    sums = [(tap(x, i, strides, dilation, out) * dy).sum(rows) for i in offsets(window)]
    return jnp.stack(sums).reshape(*window, 1, dy.shape[-1])


def conv_kernel_grad_rows(x, dy, *, window, strides, padding, dilation, groups):
    """See `plain.conv_kernel_grad`, for two dimensions; a loop over some rows of an image at a time.

    Each tap has an accumulator (columns, channels), to which products of rows are added: XLA makes that fast, and a sum
    over rows, columns and images at once slow.
    """
    # Else a normalised map would be kept from the forward pass: MobileNetV2, 827 MiB of temporaries for 602, and 1.08
    # times the time a step, though this alone is 1.0 to 1.8 times as fast, with strides to 3.6.
    settings = dict(window=window, strides=strides, padding=padding, dilation=dilation, groups=groups)
    return of_rows(after(dy, x), dy, 0, **settings)


def of_rows(x, dy, ahead, *, window, strides, padding, dilation, groups):
    """Of a window whose first row is `ahead` rows lower."""
    (n, height, width, channels), taps = dy.shape, offsets(window)
    at_once = _rows_at_once(height, len(taps))
    steps = -(-height // at_once)
    seen = {q * strides[0] + i * dilation[0]: None for q in range(at_once) for i in range(window[0])}
    top = ahead - padding[0][0]
    inside = [_inside(x.shape[2], width, strides[1], j * dilation[1] - padding[1][0]) for j in range(window[1])]

    def product(line, dy, j):
        of_x, of_dy = inside[j]
        return line[of_x] * dy[of_dy]

    def step(number, sums):
        image, first = number // steps, number % steps * at_once
        xs = [_row(x, image, first * strides[0] + top + row) for row in seen]
        xs = [repeated(line, channels // groups) for line in xs]
        dys = [_row(dy, image, first + q) for q in range(at_once)]
        # The barrier keeps XLA from finding the rows anew for every tap.
        xs, dys = lax.optimization_barrier((xs, dys))
        xs = dict(zip(seen, xs))
        return tuple(
            add([s, *(product(xs[q * strides[0] + i * dilation[0]], dys[q], j) for q in range(at_once))])
            for s, (i, j) in zip(sums, taps)
        )

    zeros = tuple(jnp.zeros_like(dy[0, 0, inside[j][1]]) for _, j in taps)
    sums = lax.fori_loop(0, n * steps, step, zeros)
    return jnp.stack([s.sum(0) for s in sums]).reshape(*window, 1, channels)


def conv_kernel_grad_line(x, dy, *, window, strides, padding, dilation, groups):
    """The same for one dimension; a loop over parts of a line, short enough that the accumulators stay in the cache."""
    x = repeated(pad(after(dy, x), padding), dy.shape[-1] // groups)
    return of_line(x, dy, 0, *window, *strides, *dilation)


def of_line(x, dy, ahead, size, stride, step):
    """Of `size` taps, `step` apart, the first of them `ahead`; `x` being padded already."""
    n, length, channels = dy.shape
    part = min(length, max(4, _PART // channels))
    parts, reach = -(-length // part), (part - 1) * stride + (size - 1) * step + 1
    taps = [slice(i * step, i * step + (part - 1) * stride + 1, stride) for i in range(size)]

    def products(number, sums):
        image, first = number // parts, number % parts * part
        # The last part begins earlier where the length is no multiple; what was seen already counts no second time.
        start = jnp.minimum(first, length - part)
        there = lax.dynamic_slice(dy, (image, start, 0), (1, part, channels))[0]
        there = jnp.where(jnp.arange(part)[:, None] >= first - start, there, 0)
        seen = lax.dynamic_slice(x, (image, start * stride + ahead, 0), (1, reach, channels))[0]
        # The barrier keeps XLA from finding the part anew for every tap.
        seen, there = lax.optimization_barrier((seen, there))
        return tuple(s + seen[where] * there for s, where in zip(sums, taps))

    sums = lax.fori_loop(0, n * parts, products, (jnp.zeros((part, channels), dy.dtype),) * size)
    return jnp.stack([s.sum(0) for s in sums])[:, None]


def conv_kernel_grad_slices(x, dy, *, window, strides, padding, dilation, groups):
    """The same for three dimensions: two of them at a time, for each place of the window along the first."""
    settings = dict(window=window[1:], strides=strides[1:], padding=padding[1:], dilation=dilation[1:], groups=groups)
    x = pad(x, (padding[0], *((0, 0),) * (len(window) - 1)))

    def place(i):
        first = i * dilation[0]
        seen = lax.slice_in_dim(x, first, first + (dy.shape[1] - 1) * strides[0] + 1, strides[0], axis=1)
        return conv_kernel_grad_rows(_flat(seen), _flat(dy), **settings)

    return jnp.stack([place(i) for i in range(window[0])])


def _flat(a):
    """Images of two dimensions from those of three."""
    return a.reshape(-1, *a.shape[2:])


def _row(a, image, number):
    """A row (columns, c) of an image of `a` (n, rows, columns, c); zeros for one above the first or below the last."""
    last = a.shape[1] - 1
    row = lax.dynamic_slice(a, (image, jnp.clip(number, 0, last), 0, 0), (1, 1, *a.shape[2:]))[0, 0]
    return jnp.where((number >= 0) & (number <= last), row, 0)


def _inside(size, out, stride, ahead):
    """The places where a tap, `ahead` of its window, is within `size` positions: there, and among `out` windows."""
    places = [i for i in range(out) if 0 <= i * stride + ahead < size]
    if not places:
        return slice(0), slice(0)
    first, last = places[0], places[-1]
    return slice(first * stride + ahead, last * stride + ahead + 1, stride), slice(first, last + 1)


def _rows_at_once(height, taps):
    # More rows share one pass over the accumulators; the program grows with rows times taps.
    most = max(1, min(4, 98 // taps))
    return next((n for n in range(most, 1, -1) if height % n == 0), most)
