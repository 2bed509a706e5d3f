"""Convolutions of three taps along a dimension by minimal filtering: 16 products in place of 36 for a window of 3x3.

Two neighbouring outputs of three taps take four products, not six, of sums of four inputs with sums of the taps:
F(2, 3) of Winograd 1980, along each dimension in turn (Lavin and Gray 2015, arXiv:1509.09308, sections 4.1, 4.2). The
sums only add, subtract and halve, and there are fewer products to add up than in the convolution, so the result is
rounded about as that of XLA's form (`experiments/LOG.md`). What is not finite reaches all outputs of its tile.

A window has three taps or one along each dimension. A tile is two outputs and the four inputs that they see along every
dimension of three taps. Sums of tiles, in row-major order, are arrays (n, *tiles, c), those of a kernel (c, k).
"""

import math

import jax.numpy as jnp
from jax import lax

from jaxconv.functional.lowering.chunk import map_over_images
from jaxconv.functional.lowering.taps import after, out_space, pad, transposed_padding

# Positions in a chunk of images. Measured under jax 0.12 on 3x3 windows of 64 to 512 channels, 4x4 to 56x56, 1 to 128
# images: 2048 to all at once; where there are 4096 or more, all at once took up to 1.7 times as long.
_POSITIONS = 4096


def conv(x, kernel, *, strides, padding, dilation, groups):
    """See `plain.conv`, for stride 1 without dilation."""
    *window, c, k = kernel.shape
    factors = [a.reshape(c, k) for a in _kernel_sums(after(x, kernel), _weights)]
    return _filtered(x, factors, 0, window, padding)


def conv_input_grad(dy, kernel, *, space, strides, padding, dilation, groups):
    """See `plain.conv_input_grad`, for stride 1 without dilation."""
    *window, c, k = kernel.shape
    sums = _kernel_sums(after(dy, kernel), lambda first, middle, last: _weights(last, middle, first))
    factors = [a.reshape(c, k) for a in sums]
    return _filtered(dy, factors, 1, window, transposed_padding(space, dy.shape[1:-1], window, padding, dilation))


def _filtered(x, factors, contracted, window, padding):
    """The outputs of tiles: of their sums times `factors`, of which the dimension `contracted` is that of channels."""
    ones, axes = (1,) * len(window), _axes(window)
    out = out_space(x.shape[1:-1], window, ones, padding, ones)

    def some(x):
        sums = lax.optimization_barrier(_input_sums(_whole_tiles(x, padding, out, window), axes))
        dimensions = (((x.ndim - 1,), (contracted,)), ((), ()))
        products = lax.optimization_barrier([lax.dot_general(a, b, dimensions) for a, b in zip(sums, factors)])
        for _ in axes:
            products = _first_to_last(_outputs, products)
        return _woven(products, axes, out)

    return map_over_images(some, x, max(1, _POSITIONS // math.prod(out)))


def _axes(window):
    return [axis for axis, taps in enumerate(window, 1) if taps == 3]


def _whole_tiles(x, padding, out, window):
    """`x` padded as wanted, and along dimensions of three taps to whole tiles."""
    seen = [size + (size % 2 if taps == 3 else 0) + taps - 1 for size, taps in zip(out, window)]
    return pad(x, [(low, size - low - had) for size, had, (low, _) in zip(seen, x.shape[1:-1], padding)])


def _input_sums(x, axes):
    def along(a, axis):
        length = a.shape[axis] - 2
        return _inputs(*(lax.slice_in_dim(a, i, i + length - 1, 2, axis) for i in range(4)))

    return _along_each(axes, along, x)


def _kernel_sums(kernel, weights):
    def along(a, axis):
        return weights(*(lax.slice_in_dim(a, i, i + 1, axis=axis - 1) for i in range(3)))

    return lax.optimization_barrier(_along_each(_axes(kernel.shape[:-2]), along, kernel))


def _along_each(axes, function, array):
    """What `function` makes of an array along one axis, and of all that along the next."""
    arrays = [array]
    for axis in axes:
        # Along one dimension at a time: in a single pass they are as fast, but take LLVM five times as long.
        arrays = [done for a in lax.optimization_barrier(arrays) for done in function(a, axis)]
    return arrays


def _first_to_last(function, arrays):
    """`function` of the four arrays along the first of several dimensions, in row-major order; it becomes the last."""
    rest = len(arrays) // 4
    return [done for first in range(rest) for done in function(*arrays[first::rest])]


def _woven(arrays, axes, out):
    """The first and second outputs of all tiles along each axis, in row-major order, as one map (n, *out, k)."""
    for axis in reversed(axes):
        pairs = [jnp.stack(pair, axis + 1) for pair in zip(arrays[::2], arrays[1::2])]
        arrays = [a.reshape(*a.shape[:axis], -1, *a.shape[axis + 2 :]) for a in pairs]
    (whole,) = arrays
    return lax.slice(whole, (0,) * whole.ndim, (whole.shape[0], *out, whole.shape[-1]))


def _inputs(a, b, c, d):
    return a - c, b + c, c - b, b - d


def _weights(a, b, c):
    outer = (a + c) / 2
    return a, outer + b / 2, outer - b / 2, c


def _outputs(a, b, c, d):
    return a + b + c, b - c - d
