"""Depthwise convolutions: shifted slices times one weight per channel, fused into one pass over memory.

A kernel (*window, 1, c * m) with m > 1 reads every channel m times; `x` is repeated for that.
"""

import jax.numpy as jnp
from jax import lax

from jaxconv.functional.lowering import rim
from jaxconv.functional.lowering.taps import add, after, offsets, out_space, pad, spread, tap


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
    dx = spread(lambda offset, dy: dy * _weight(kernel, offset), [(dy, 0)], **settings)
    multiplier = kernel.shape[-1] // groups
    return dx if multiplier == 1 else dx.reshape(*dx.shape[:-1], groups, multiplier).sum(-1)


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
    (n, height, width, channels), taps = dy.shape, offsets(window)
    at_once = _rows_at_once(height, len(taps))
    steps = -(-height // at_once)
    (low, _), reach = padding[0], (steps * at_once - 1) * strides[0] + dilation[0] * (window[0] - 1) + 1
    x = pad(_repeated(after(dy, x), channels // groups), ((low, reach - low - x.shape[1]), padding[1]))
    dy = pad(dy, ((0, steps * at_once - height), (0, 0)))

    def row(a, image, number):
        return lax.dynamic_slice(a, (image, number, 0, 0), (1, 1, *a.shape[2:]))[0, 0]

    def step(number, sums):
        image, first = number // steps, number % steps * at_once
        seen = {q * strides[0] + i * dilation[0]: None for q in range(at_once) for i in range(window[0])}
        xs = [row(x, image, first * strides[0] + ahead) for ahead in seen]
        dys = [row(dy, image, first + q) for q in range(at_once)]
        # The barrier keeps XLA from finding the rows anew for every tap.
        xs, dys = lax.optimization_barrier((xs, dys))
        xs = dict(zip(seen, xs))
        return tuple(
            add([s, *(_columns(xs[q * strides[0] + i * dilation[0]], j) * dys[q] for q in range(at_once))])
            for s, (i, j) in zip(sums, taps)
        )

    def _columns(line, j):
        start = j * dilation[1]
        return lax.slice(line, (start, 0), (start + (width - 1) * strides[1] + 1, channels), (strides[1], 1))

    sums = lax.fori_loop(0, n * steps, step, (jnp.zeros((width, channels), dy.dtype),) * len(taps))
    return jnp.stack([s.sum(0) for s in sums]).reshape(*window, 1, channels)


def _rows_at_once(height, taps):
    # More rows share one pass over the accumulators; the program grows with rows times taps.
    most = max(1, min(4, 98 // taps))
    return next((n for n in range(most, 1, -1) if height % n == 0), most)


def _repeated(x, multiplier):
    return x if multiplier == 1 else jnp.repeat(x, multiplier, axis=-1)


def _weight(kernel, offset):
    return kernel[offset].reshape((1,) * (kernel.ndim - 1) + (kernel.shape[-1],))
