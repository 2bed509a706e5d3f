"""Depthwise convolutions: shifted slices times one weight per channel, fused into one pass over memory.

A kernel (*window, 1, c * m) with m > 1 reads every channel m times; `x` is repeated for that.
"""

import jax.numpy as jnp
from jax import lax

from jaxconv.functional.lowering import rim
from jaxconv.functional.lowering.taps import add, after, flip, offsets, out_space, pad, spread, tap, transposed_padding


def conv(x, kernel, *, strides, padding, dilation, groups):
    """See `plain.conv`."""
    window = kernel.shape[:-2]
    x = _repeated(x, kernel.shape[-1] // groups)
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
    return _summed(spread(lambda offset, dy: dy * _weight(kernel, offset), [(dy, 0)], **settings), groups)


def conv_input_grad_within(dy, kernel, *, space, strides, padding, dilation, groups):
    """For stride 1: `conv_within` of `dy` with the flipped kernel."""
    around = transposed_padding(space, dy.shape[1:-1], kernel.shape[:-2], padding, dilation)
    settings = dict(strides=strides, padding=around, dilation=dilation, groups=dy.shape[-1])
    return _summed(conv_within(dy, flip(kernel), **settings), groups)


def conv_kernel_grad(x, dy, *, window, strides, padding, dilation, groups):
    """See `plain.conv_kernel_grad`; one sum for each tap."""
    x = pad(_repeated(x, dy.shape[-1] // groups), padding)
    out, rows = dy.shape[1:-1], tuple(range(dy.ndim - 1))
    sums = [(tap(x, i, strides, dilation, out) * dy).sum(rows) for i in offsets(window)]
    return jnp.stack(sums).reshape(*window, 1, dy.shape[-1])


def conv_kernel_grad_rows(x, dy, *, window, strides, padding, dilation, groups):
    """See `plain.conv_kernel_grad`, for one or two dimensions; a loop over some rows of an image at a time.

    Each tap has an accumulator (columns, channels), to which products of rows are added: XLA makes that fast, and a sum
    over rows, columns and images at once slow.
    """
    if len(window) == 1:
        x, dy, window = x[:, None], dy[:, None], (1, *window)
        strides, padding, dilation = (1, *strides), ((0, 0), *padding), (1, *dilation)
        settings = dict(strides=strides, padding=padding, dilation=dilation, groups=groups)
        return conv_kernel_grad_rows(x, dy, window=window, **settings)[0]
    # Else a normalised map would be kept from the forward pass: MobileNetV2, 827 MiB of temporaries for 602, and 1.08
    # times the time a step, though this alone is 1.0 to 1.8 times as fast, with strides to 3.6.
    x = after(dy, x)
    (n, height, width, channels), taps = dy.shape, offsets(window)
    at_once = _rows_at_once(height, len(taps))
    steps = -(-height // at_once)
    seen = {q * strides[0] + i * dilation[0]: None for q in range(at_once) for i in range(window[0])}
    inside = [_inside(x.shape[2], width, strides[1], j * dilation[1] - padding[1][0]) for j in range(window[1])]

    def product(line, dy, j):
        of_x, of_dy = inside[j]
        return line[of_x] * dy[of_dy]

    def step(number, sums):
        image, first = number // steps, number % steps * at_once
        xs = [_row(x, image, first * strides[0] + ahead - padding[0][0]) for ahead in seen]
        xs = [_repeated(line, channels // groups) for line in xs]
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


def _repeated(x, multiplier):
    return x if multiplier == 1 else jnp.repeat(x, multiplier, axis=-1)


def _summed(dx, groups):
    """The sum over the features that come from the same channel."""
    multiplier = dx.shape[-1] // groups
    return dx if multiplier == 1 else dx.reshape(*dx.shape[:-1], groups, multiplier).sum(-1)


def _weight(kernel, offset):
    return kernel[offset].reshape((1,) * (kernel.ndim - 1) + (kernel.shape[-1],))
