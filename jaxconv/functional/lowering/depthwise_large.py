"""Depthwise convolutions of large windows: a loop over the rows of the window, or over parts of a line.

Some rows of the output at a time, whose sum stays in the cache while the rows of the window pass.
"""

import jax.numpy as jnp
from jax import lax

from jaxconv.functional.lowering.depthwise import repeated, summed
from jaxconv.functional.lowering.depthwise_kernel import of_line, of_rows
from jaxconv.functional.lowering.taps import add, after, flip, out_space, pad, tap, transposed_padding

_AT_ONCE = 2**14  # elements of a sum: 2**13 to 2**19 are 0.9 to 1.3 times as slow
_TAPS = 32  # of a line at a time


def conv(x, kernel, *, strides, padding, dilation, groups):
    """See `plain.conv`, in one or two dimensions."""
    out = out_space(x.shape[1:-1], kernel.shape[:-2], strides, padding, dilation)
    x, kernel = repeated(pad(x, padding), kernel.shape[-1] // groups), kernel[..., 0, :]
    if len(out) == 2:
        return _sum(x, kernel, out, strides, (0, dilation[1]), dilation[0])

    def part(first, taps, number):
        weights, step = kernel[first : first + taps * number].reshape(number, taps, -1), dilation[0]
        return _sum(x[:, first * step :, None], weights, (*out, 1), (*strides, 1), (step, 0), taps * step)

    return add(part(*p) for p in _parts(len(kernel)))[:, :, 0]


def conv_input_grad(dy, kernel, *, space, strides, padding, dilation, groups):
    """See `plain.conv_input_grad`: `conv` of `dy`, zeros between its elements, with the flipped kernel."""
    dy = lax.pad(dy, jnp.zeros((), dy.dtype), ((0, 0, 0), *((0, 0, s - 1) for s in strides), (0, 0, 0)))
    around = transposed_padding(space, dy.shape[1:-1], kernel.shape[:-2], padding, dilation)
    settings = dict(strides=(1,) * len(space), padding=around, dilation=dilation, groups=dy.shape[-1])
    return summed(conv(dy, flip(kernel), **settings), groups)


def conv_kernel_grad(x, dy, *, window, strides, padding, dilation, groups):
    """See `plain.conv_kernel_grad`."""
    x = after(dy, x)
    if len(window) == 2:
        settings = dict(strides=strides, padding=padding, dilation=dilation, groups=groups)
        rows = jnp.arange(window[0]) * dilation[0]
        return lax.map(lambda ahead: of_rows(x, dy, ahead, window=(1, window[1]), **settings)[0], rows)
    x = repeated(pad(x, padding), dy.shape[-1] // groups)
    (size,), (stride,), (step,) = window, strides, dilation

    def part(first, taps, rows):
        at = (first + taps * jnp.arange(rows)) * step
        return lax.map(lambda ahead: of_line(x, dy, ahead, taps, stride, step), at)

    return jnp.concatenate([part(*p).reshape(-1, 1, dy.shape[-1]) for p in _parts(size)])


def _parts(size):
    """Of a line of taps: where parts of the same length begin, how many taps each has, and their number."""
    whole, rest = divmod(size, _TAPS)
    return [p for p in ((0, _TAPS, whole), (whole * _TAPS, rest, 1)) if p[1] and p[2]]


def _sum(x, kernel, out, strides, step, apart):
    """Of groups of taps: `x` is (n, rows, columns, c), padded already, `kernel` (groups, taps, c).

    The taps of a group are a `step` (rows, columns) apart, the groups `apart` rows.
    """
    n, (height, width), channels, (groups, taps, _) = x.shape[0], out, x.shape[-1], kernel.shape
    at_once = max(1, min(height, _AT_ONCE // (n * width * channels)))
    inside = (at_once - 1) * strides[0] + 1, (width - 1) * strides[1] + 1
    seen = [(taps - 1) * along + size for along, size in zip(step, inside)]

    def block(number, y):
        first = jnp.minimum(number * at_once, height - at_once)

        def group(i, sums):
            part = lax.dynamic_slice(x, (0, first * strides[0] + i * apart, 0, 0), (n, *seen, channels))
            weights = lax.dynamic_slice_in_dim(kernel, i, 1)[:, None]
            taken = (tap(part, (j, j), strides, step, (at_once, width)) for j in range(taps))
            return sums + add(a * weights[:, :, j : j + 1] for j, a in enumerate(taken))

        sums = lax.fori_loop(0, groups, group, jnp.zeros((n, at_once, width, channels), x.dtype))
        return lax.dynamic_update_slice(y, sums, (0, first, 0, 0))

    return lax.fori_loop(0, -(-height // at_once), block, jnp.zeros((n, *out, channels), x.dtype))
