"""Windows side by side: the elements of one are dimensions of their own, and what they get is spread by broadcast.

Elsewhere each element of a window is a slice with strides, and what comes of them has to be interleaved.
"""

import math

import jax.numpy as jnp
from jax import lax

from jaxconv.functional.lowering import plain
from jaxconv.functional.lowering.taps import pad


def side_by_side(space, out, window, strides) -> bool:
    """Whether no element of `space` is in two windows, nor between two; one window alone may have any stride."""
    apart = (w == s or o == 1 for w, s, o in zip(window, strides, out))
    return all(isinstance(size, int) for size in (*space, *out)) and all(apart)  # else symbols of `jax.export`


def sum_pool_transpose(dy, *, space, window, padding):
    """See `plain.sum_pool_transpose`."""
    return _joined(_spread(dy, window), space, window, padding)


def max_pool_scatter(dy, index, *, space, window, padding):
    """See `plain.max_pool_scatter`, of the `index` of each window's maximum, counted in row-major order."""
    numbers = jnp.arange(math.prod(window), dtype=index.dtype).reshape(window)
    for axis in range(len(window)):
        numbers = jnp.expand_dims(numbers, 2 * axis)
    numbers = jnp.expand_dims(numbers, (0, 2 * len(window) + 1))
    chosen = _spread(index, window) == numbers
    return _joined(jnp.where(chosen, _spread(dy, window), 0), space, window, padding)


def max_pool_gather(t, index, *, window, padding):
    """See `plain.max_pool_gather`, of the index of each window's maximum, along one dimension."""
    axis, t = _axis(window), _split(t, 0, window, index.shape[1:-1], padding)
    chosen = lax.broadcasted_iota(index.dtype, t.shape, axis) == jnp.expand_dims(index, axis)
    return jnp.where(chosen, t, 0).sum(axis, dtype=t.dtype)


def first_maximum(x, *, out, window, padding):
    """The index of each window's first maximum, along one dimension."""
    x, axis = _split(x, plain.lowest(x.dtype), window, out, padding), _axis(window)
    largest = ~(x < x.max(axis, keepdims=True))  # all of them where one is NaN
    return jnp.where(largest, lax.broadcasted_iota(jnp.int32, x.shape, axis), max(window)).min(axis)


def _axis(window):
    """That of the elements of a window, after the one of its places."""
    return 2 + window.index(max(window))


def _split(x, outside, window, out, padding):
    """From (n, *space, c), one of whose dimensions becomes (places, elements)."""
    lacking = [(low, o * w - low - size) for size, w, o, (low, _) in zip(x.shape[1:-1], window, out, padding)]
    x, axis = pad(x, lacking, outside), _axis(window)
    return x.reshape(*x.shape[: axis - 1], out[axis - 2], max(window), *x.shape[axis:])


def _spread(a, window):
    """From (n, *out, c) to (n, out, window, out, window ..., c)."""
    for axis, size in enumerate(window):
        at = 2 * axis + 2
        a = jnp.expand_dims(a, at)
        a = jnp.broadcast_to(a, (*a.shape[:at], size, *a.shape[at + 1 :]))
    return a


def _joined(values, space, window, padding):
    """From (n, out, window, out, window ..., c) to (n, *space, c): zeros for what no window sees."""
    for axis in range(1, len(window) + 1):
        places, size = values.shape[axis : axis + 2]
        values = values.reshape(*values.shape[:axis], places * size, *values.shape[axis + 2 :])
    return pad(values, [(-low, n + low - seen) for n, seen, (low, _) in zip(space, values.shape[1:-1], padding)])
