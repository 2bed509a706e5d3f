"""Convolution as one trilinear form, <conv(x, kernel), dy>.

Its three contractions, one for each argument left out, are three primitives. Each is bilinear and each is the transpose
of the others, so derivatives of every order and mode stay among the three, and each platform may write each of them as
it likes.

The indices that the arguments share, besides positions: x (n, c), kernel (c, k), dy (n, k). A batch of one argument is
folded into the index which that argument shares with the result; a batch of both into more groups.

A convolution has the `precision` of the `jax.default_matmul_precision` in which it is called, and so have all its
derivatives, as with `lax.conv_general_dilated`.
"""

import functools

import jax
from jax.interpreters import ad

from jaxconv.functional.lowering import cpu, plain
from jaxconv.functional.lowering.primitive import bind, define, map_over_batch, merge, unmerge

# The dimension of each argument that holds an index.
_AXES = {"x": {"n": 0, "c": -1}, "kernel": {"c": -2, "k": -1}, "dy": {"n": 0, "k": -1}}


def conv(x, kernel, **settings):
    """Cross-correlation of `x` (n, *space, c) with `kernel` (*window, c / groups, k).

    Settings of all three: `strides`, `padding`, `dilation`, `groups`, and `precision` if it is not that of here.
    """
    return bind(_conv, x, kernel, **(_precision() | settings))


def conv_input_grad(dy, kernel, **settings):
    """The transpose of `conv` in `x`: from (n, *out, k) back to (n, *space, c). This is transposed convolution."""
    return bind(_input_grad, dy, kernel, **(_precision() | settings))


def conv_kernel_grad(x, dy, **settings):
    """The transpose of `conv` in `kernel`: from (n, *space, c) and (n, *out, k) to (*window, c / groups, k)."""
    return bind(_kernel_grad, x, dy, **(_precision() | settings))


def _precision():
    return {"precision": jax.config.jax_default_matmul_precision}


def _with_precision(form):
    """`form` with a setting `precision`, which counts, and not the one in force where a program is lowered."""

    def precise(*arrays, precision, **settings):
        with jax.default_matmul_precision(precision):
            return form(*arrays, **settings)

    return precise


def _conv_shape(x, kernel, *, strides, padding, dilation, **_):
    window, k = kernel[:-2], kernel[-1]
    out = (
        (size + low + high - step * (taps - 1) - 1) // stride + 1
        for size, taps, stride, (low, high), step in zip(x[1:-1], window, strides, padding, dilation)
    )
    return (x[0], *out, k)


def _input_grad_shape(dy, kernel, *, space, groups, **_):
    return (dy[0], *space, kernel[-2] * groups)


def _kernel_grad_shape(x, dy, *, window, groups, **_):
    return (*window, x[-1] // groups, dy[-1])


def _define(name, shape, *forms):
    return define(name, shape, *map(_with_precision, forms))


_conv = _define("conv", _conv_shape, plain.conv, cpu.conv)
_input_grad = _define("conv_input_grad", _input_grad_shape, plain.conv_input_grad, cpu.conv_input_grad)
_kernel_grad = _define("conv_kernel_grad", _kernel_grad_shape, plain.conv_kernel_grad, cpu.conv_kernel_grad)
PRIMITIVES = frozenset((_conv, _input_grad, _kernel_grad))


def _space(x):
    return x.aval.shape[1:-1]


def _window(kernel):
    return kernel.aval.shape[:-2]


ad.defbilinear(
    _conv,
    lambda dy, x, kernel, **s: conv_input_grad(dy, kernel, space=_space(x), **s),
    lambda dy, x, kernel, **s: conv_kernel_grad(x, dy, window=_window(kernel), **s),
)
ad.defbilinear(
    _input_grad,
    lambda x, dy, kernel, space, **s: conv(x, kernel, **s),
    lambda x, dy, kernel, space, **s: conv_kernel_grad(x, dy, window=_window(kernel), **s),
)
ad.defbilinear(
    _kernel_grad,
    lambda kernel, x, dy, window, **s: conv_input_grad(dy, kernel, space=_space(x), **s),
    lambda kernel, x, dy, window, **s: conv(x, kernel, **s),
)


def _batched(function, roles, arrays, batch_axes, batch, *, groups, **settings):
    """Rule of `function`, which maps two of the arguments, named by the first two `roles`, to the third."""
    if None not in batch_axes:
        return _batched_both(function, roles, arrays, batch_axes, batch, groups=groups, **settings)
    which = 1 if batch_axes[0] is None else 0
    role, result = roles[which], roles[2]
    (index,) = _AXES[role].keys() & _AXES[result].keys()
    folded = list(arrays)
    folded[which] = merge(arrays[which], batch_axes[which], _AXES[role][index], _parts(role, index, groups))
    y = function(*folded, groups=groups, **settings)
    return unmerge(y, batch, _AXES[result][index], _parts(result, index, groups))


def _parts(role, index, groups):
    # Groups are the outer part of the channels, except in the kernel's inputs, which hold one group only.
    return groups if index == "k" or (index == "c" and role == "x") else 1


def _batched_both(function, roles, arrays, batch_axes, batch, *, groups, **settings):
    if not isinstance(batch, int):
        raise TypeError(
            "vmap of both arguments of a convolution or its gradient makes groups of the batch, whose size must be "
            f"known; it is {batch}."
        )
    folded = [merge(a, axis, -1) for a, axis in zip(arrays, batch_axes)]
    y = function(*folded, groups=batch * groups, **settings)
    return unmerge(y, batch, -1)


for _primitive, _function, _roles in (
    (_conv, conv, ("x", "kernel", "dy")),
    (_input_grad, conv_input_grad, ("dy", "kernel", "x")),
    (_kernel_grad, conv_kernel_grad, ("x", "dy", "kernel")),
):
    map_over_batch(_primitive, _function, functools.partial(_batched, _function, _roles))
