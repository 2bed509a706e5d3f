"""Pools as primitives.

The derivative of a maximum is a gather, from each window the element where `x` has its first maximum; its transpose is
a scatter to there. Both are linear given `x`, and each is the transpose of the other. A sum is linear itself. So
derivatives of every order and mode stay among these primitives.
"""

from jax.custom_derivatives import zero_from_primal
from jax.interpreters import ad, batching

from jaxconv.functional.lowering import cpu_max_pool, cpu_sum_pool, plain
from jaxconv.functional.lowering.primitive import bind, define, map_over_batch, merge, unmerge


def max_pool(x, *, window, strides, padding):
    """Maximum of `x` (n, *space, c) under a window; padding never wins."""
    return bind(_max, x, window=window, strides=strides, padding=padding)


def max_pool_gather(t, x, *, window, strides, padding):
    """From each window of `t` the element where `x` has its first maximum."""
    return bind(_gather, t, x, window=window, strides=strides, padding=padding)


def max_pool_scatter(dy, x, *, window, strides, padding):
    """The transpose of `max_pool_gather` in `t`: each `dy` goes where `x` has the first maximum of its window."""
    return bind(_scatter, dy, x, window=window, strides=strides, padding=padding)


def sum_pool(x, *, window, strides, padding):
    """Sum of `x` (n, *space, c) under a window; padding adds zeros."""
    return bind(_sum, x, window=window, strides=strides, padding=padding)


def sum_pool_transpose(dy, *, space, window, strides, padding):
    """The transpose of `sum_pool`: each `dy` (n, *out, c) is added to every element (n, *space, c) of its window."""
    return bind(_sum_transpose, dy, space=space, window=window, strides=strides, padding=padding)


def _pooled(x, *_, window, strides, padding):
    out = (
        (size + low + high - taps) // stride + 1
        for size, taps, stride, (low, high) in zip(x[1:-1], window, strides, padding)
    )
    return (x[0], *out, x[-1])


def _like_x(dy, x, **_):
    return x


def _spread(dy, *, space, **_):
    return (dy[0], *space, dy[-1])


_max = define("max_pool", _pooled, plain.max_pool, cpu_max_pool.max_pool)
_gather = define("max_pool_gather", _pooled, plain.max_pool_gather, cpu_max_pool.max_pool_gather)
_scatter = define("max_pool_scatter", _like_x, plain.max_pool_scatter, cpu_max_pool.max_pool_scatter)
_sum = define("sum_pool", _pooled, plain.sum_pool, cpu_sum_pool.sum_pool)
_sum_transpose = define("sum_pool_transpose", _spread, plain.sum_pool_transpose, cpu_sum_pool.sum_pool_transpose)

ad.defjvp(_max, lambda t, x, **settings: max_pool_gather(t, x, **settings))
ad.deflinear2(_sum, lambda dy, x, **s: [sum_pool_transpose(dy, space=x.aval.shape[1:-1], **s)])
ad.deflinear2(_sum_transpose, lambda x, dy, space, **s: [sum_pool(x, **s)])


def _define_linear_given_x(primitive, function, transposed):
    def derivative(primals, tangents, **settings):
        y = function(*primals, **settings)
        t, _ = tangents
        if type(t) is ad.Zero:
            return y, zero_from_primal(y)
        return y, function(t, primals[1], **settings)

    def transpose(result, t, x, **settings):
        return [transposed(result, x, **settings), None]

    ad.primitive_jvps[primitive] = derivative
    ad.primitive_transposes[primitive] = transpose


_define_linear_given_x(_gather, max_pool_gather, max_pool_scatter)
_define_linear_given_x(_scatter, max_pool_scatter, max_pool_gather)


def _batched(function):
    def rule(arrays, batch_axes, batch, **settings):
        folded = (merge(batching.bdim_at_front(a, axis, batch), 0, 0) for a, axis in zip(arrays, batch_axes))
        return unmerge(function(*folded, **settings), batch, 0)

    return rule


for _primitive, _function in (
    (_max, max_pool),
    (_gather, max_pool_gather),
    (_scatter, max_pool_scatter),
    (_sum, sum_pool),
    (_sum_transpose, sum_pool_transpose),
):
    map_over_batch(_primitive, _function, _batched(_function))
