"""The forms that XLA itself offers: what GPU and TPU get, and the reference for every other form.

Layouts are NHWC-like (batch, *space, channels) and HWIO-like (*window, in / groups, out) in any number of spatial
dimensions. Settings are full tuples; padding is a tuple of (low, high) pairs. Callers have checked them.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import primitives


def _layout(rank: int) -> lax.ConvDimensionNumbers:
    space = tuple(range(1, rank + 1))
    return lax.ConvDimensionNumbers((0, rank + 1, *space), (rank + 1, rank, *range(rank)), (0, rank + 1, *space))


def conv(x, kernel, *, strides, padding, dilation, groups):
    """Cross-correlation of `x` (n, *space, c) with `kernel` (*window, c / groups, k)."""
    return lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=_layout(len(strides)),
        feature_group_count=groups,
    )


def conv_input_grad(dy, kernel, *, space, strides, padding, dilation, groups):
    """The transpose of `conv` in `x`: from (n, *out, k) back to (n, *space, c). This is transposed convolution."""
    settings = dict(strides=strides, padding=padding, dilation=dilation, groups=groups)
    x = _like(dy, (dy.shape[0], *space, kernel.shape[-2] * groups))
    return jax.linear_transpose(lambda x: _conv_of_seen(x, kernel, **settings), x)(dy)[0]


def conv_kernel_grad(x, dy, *, window, strides, padding, dilation, groups):
    """The transpose of `conv` in `kernel`: from (n, *space, c) and (n, *out, k) to (*window, c / groups, k)."""
    settings = dict(strides=strides, padding=padding, dilation=dilation, groups=groups)
    kernel = _like(dy, (*window, x.shape[-1] // groups, dy.shape[-1]), divided=False)
    return jax.linear_transpose(lambda kernel: _conv_of_seen(x, kernel, **settings), kernel)(dy)[0]


def _conv_of_seen(x, kernel, *, strides, padding, dilation, groups):
    """`conv`, whose transpose also takes a space that is a symbol (`jax.export`), with strides.

    What the last full step leaves of `x` is a padding of the transpose, where JAX takes no symbol; it is cut off first.
    """
    settings = dict(strides=strides, dilation=dilation, groups=groups)
    if all(s == 1 or isinstance(size, int) for s, size in zip(strides, x.shape[1:-1])):
        return conv(x, kernel, padding=padding, **settings)
    extents = [d * (taps - 1) + 1 for taps, d in zip(kernel.shape, dilation)]
    padded = lax.pad(x, np.array(0, x.dtype), [(0, 0, 0), *((*pair, 0) for pair in padding), (0, 0, 0)])
    seen = [(size - e) // s * s + e for size, e, s in zip(padded.shape[1:-1], extents, strides)]
    padded = lax.slice(padded, (0,) * x.ndim, (x.shape[0], *seen, x.shape[-1]))
    return conv(padded, kernel, padding=((0, 0),) * len(strides), **settings)


def max_pool(x, *, window, strides, padding):
    """Maximum of `x` (n, *space, c) under a window; padding never wins."""
    return _windows(x, lowest(x.dtype), lax.max, window, strides, padding)


def max_pool_gather(t, x, *, window, strides, padding):
    """From each window of `t` the element where `x` has its maximum: the derivative of `max_pool` along `t`."""
    ones = (1,) * x.ndim
    settings = dict(base_dilation=ones, window_dilation=ones)
    return _choose(primitives.select_and_gather_add_p, t, x, window, strides, padding, **settings)


def max_pool_scatter(dy, x, *, window, strides, padding):
    """The gradient of `max_pool`: each `dy` goes where `x` has the first maximum of its window."""
    return _choose(primitives.select_and_scatter_add_p, dy, x, window, strides, padding)


def sum_pool(x, *, window, strides, padding):
    """Sum of `x` (n, *space, c) under a window; padding adds zeros."""
    return _windows(x, np.array(0, x.dtype), lax.add, window, strides, padding)


def sum_pool_transpose(dy, *, space, window, strides, padding):
    """The transpose of `sum_pool`: each `dy` (n, *out, c) is added to every element (n, *space, c) of its window."""
    settings = dict(window=window, strides=strides, padding=padding)
    x = _like(dy, (dy.shape[0], *space, dy.shape[-1]))
    return jax.linear_transpose(lambda x: sum_pool(x, **settings), x)(dy)[0]


def lowest(dtype) -> np.ndarray:
    """The value that every other of `dtype` is at least equal to."""
    if jnp.issubdtype(dtype, jnp.floating):
        infinity = np.array(-np.inf, dtype)  # NaN in some types of 8 bits
        return np.array(jnp.finfo(dtype).min, dtype) if np.isnan(infinity) else infinity
    return np.array(jnp.iinfo(dtype).min if jnp.issubdtype(dtype, jnp.integer) else False, dtype)


def _windows(x, initial, operation, window, strides, padding):
    return lax.reduce_window(x, initial, operation, (1, *window, 1), (1, *strides, 1), ((0, 0), *padding, (0, 0)))


def _choose(primitive, values, x, window, strides, padding, **settings):
    return primitive.bind(
        values,
        x,
        select_prim=lax.ge_p,
        window_dimensions=(1, *window, 1),
        window_strides=(1, *strides, 1),
        padding=((0, 0), *padding, (0, 0)),
        **settings,
    )


def _like(other, shape, divided=True):
    # An example for linear_transpose varies over the manual mesh axes that its cotangent varies over; one that does
    # not would be summed over those axes a second time. Over Explicit axes maps are divided alike, kernels not at all.
    kind = jax.typeof(other)
    sharding = kind.sharding if divided else kind.sharding.update(spec=jax.P(*[None] * len(shape)))
    return jax.ShapeDtypeStruct(shape, other.dtype, sharding=sharding, manual_axis_type=kind.manual_axis_type)
