"""Convolutions and gradients by minimal filtering: fewer products of sums of inputs with sums of taps.

`conv` filters along every dimension of three taps, two outputs a tile: a window of 3x3 takes 16 products in place of
36, all of them products of matrices (Lavin and Gray 2015, arXiv:1509.09308, sections 4.1, 4.2). The forms of rows
filter along one dimension, two or four outputs a tile: half the products for three taps, 8 of 20 for five, 8 of 14 for
seven, each of them of rows with what is left of the window. They write fewer sums, so they pay for few channels, too.

Of the largest result, errors are about 1e-6 for three taps and 2e-6 for five, 6e-6 at worst, where XLA's form has 4e-7
and 1e-6 (kernel gradients 1e-6, 6e-6; `experiments/LOG.md`). What is not finite reaches all outputs of its tile, and
where a window sees nothing but zeros, the rounding of what else its tile sees is left.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from jaxconv.functional.lowering import plain, tiled
from jaxconv.functional.lowering.chunk import add_over_images, map_over_images
from jaxconv.functional.lowering.columns import gathered
from jaxconv.functional.lowering.minimal import tile
from jaxconv.functional.lowering.taps import after, flip, interleave, out_space, pad, transposed_padding, turned

# Positions in a chunk of images. Measured under jax 0.12, 1 to 128 images: of `conv`, on 64 to 512 channels, 4x4 to
# 56x56, 2048 to all at once, and where there are 4096 or more, all at once took up to 1.7 times as long; of rows, in
# training steps of a CIFAR ResNet-18, ResNet-50 and LeNet, 2048 to 16384: 0.92 to 1.04 of the speed.
_POSITIONS = 4096
# Outputs of a tile, and by taps those of a tile of rows.
_OUTPUTS, _ROW_OUTPUTS = 2, {3: 4, 5: 4, 7: 2}
# An element of a kernel that comes out transposed costs as much as so many elements of columns. On two cores of an AMD
# EPYC (Zen 5), 119 random layers of more channels than features, 8 to 16 are alike, 2 is 0.86 times as fast, and 0, the
# columns of the narrow map for all, 0.73 (`experiments/LOG.md`).
_TRANSPOSED = 12
# Rows with what is left of the window: since jax 0.12 XLA's convolution is 1.0 to 1.4 times as fast as a product of
# columns, before 0.4 to 1.0 (its like on many channels runs on one core). 13 layers, two AMD EPYC cores.
_CONVOLVES = jax.__version_info__ >= (0, 12)


def conv(x, kernel, *, strides, padding, dilation, groups):
    """See `plain.conv`, for stride 1 without dilation and three taps or one along each dimension."""
    return _filtered(x, after(x, kernel), padding, _every(kernel.shape[:-2]))


def conv_rows(x, kernel, *, strides, padding, dilation, groups):
    """See `plain.conv`, for stride 1 without dilation and windows that have a `filtered_axis`."""
    return _filtered(x, after(x, kernel), padding, _rows(kernel.shape[:-2]))


def conv_input_grad(dy, kernel, *, space, strides, padding, dilation, groups):
    """See `plain.conv_input_grad`; for the same as `conv`."""
    around = transposed_padding(space, dy.shape[1:-1], kernel.shape[:-2], padding, dilation)
    # The factors are read as they lie: to transpose a large kernel first took up to a fifth of the time again.
    return _filtered(dy, flip(after(dy, kernel)), around, _every(kernel.shape[:-2]), contracted=1)


def conv_input_grad_rows(dy, kernel, *, space, strides, padding, dilation, groups):
    """See `plain.conv_input_grad`; for the same as `conv_rows`."""
    around = transposed_padding(space, dy.shape[1:-1], kernel.shape[:-2], padding, dilation)
    return _filtered(dy, turned(after(dy, kernel)), around, _rows(kernel.shape[:-2]))


def conv_kernel_grad_rows(x, dy, *, window, strides, padding, dilation, groups):
    """See `plain.conv_kernel_grad`; for the same as `conv_rows`, whose transpose it is."""
    if not _fewer_columns_pay(x, dy):
        return _kernel_grad_rows(x, dy, window, padding)
    around = transposed_padding(x.shape[1:-1], dy.shape[1:-1], window, padding, dilation)
    return flip(_kernel_grad_rows(dy, x, window, around)).swapaxes(-1, -2)


def _fewer_columns_pay(x, dy):
    """Whether the columns of `dy`, where it has fewer channels, spare more than to transpose the kernel costs."""
    c, k, images = x.shape[-1], dy.shape[-1], dy.shape[0]
    positions = math.prod(dy.shape[1:-1]) * (images if isinstance(images, int) else 1)
    return positions * (c - k) >= _TRANSPOSED * c * k


def _kernel_grad_rows(x, dy, window, padding):
    """A product for each sum of rows: what the rest of the window sees of it, with the same sum of `dy`."""
    ((axis, one),) = _rows(window).items()
    rest = [1 if a == axis else taps for a, taps in enumerate(window)]
    around, tiles = tiled.to_whole(x.shape[1:-1], dy.shape[1:-1], window, padding, {axis: one})
    more = [(0, tiles[a] * one.size - size if a == axis else 0) for a, size in enumerate(dy.shape[1:-1])]

    def grad(x, dy):
        seen = tiled.sums_of_elements(axis, one, pad(x, around))
        given = tiled.sums_of_outputs(axis, one, pad(dy, more))
        seen, given = lax.optimization_barrier((seen, given))
        columns = lax.optimization_barrier([_columns(a, rest) for a in seen])
        pairs = [(a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1])) for a, b in zip(columns, given)]
        products = [lax.dot_general(a, b, (((0,), (0,)), ((), ()))) for a, b in pairs]
        return jnp.stack(lax.optimization_barrier(products))

    products = add_over_images(grad, x, dy, max(1, _POSITIONS // math.prod(dy.shape[1:-1])))
    return tiled.taps_of_sums(axis, one, products.reshape(-1, *rest, x.shape[-1], dy.shape[-1]))


def _every(window):
    return {axis: tile(_OUTPUTS, taps) for axis, taps in enumerate(window) if taps > 1}


def filtered_axis(window) -> int | None:
    """The dimension along which forms of rows filter, the one that spares most; None where there is none."""
    # With a second dimension the sums for seven taps cost what they spare.
    axes = [a for a, taps in enumerate(window) if taps in _ROW_OUTPUTS and (taps < 7 or math.prod(window) == taps)]
    return min(axes, key=lambda axis: taken(window[axis], _ROW_OUTPUTS[window[axis]]), default=None)


def taken(taps: int, outputs: int) -> float:
    """The part of all products that forms of rows take, for so many outputs along the dimension that they filter."""
    size = _ROW_OUTPUTS[taps]
    return -(-outputs // size) * (size + taps - 1) / (taps * outputs)


def growth(window) -> float:
    """How many times as large as a map its sums are."""
    ((_, one),) = _rows(window).items()
    return len(one.inputs) / one.size


def _rows(window):
    axis = filtered_axis(window)
    return {axis: tile(_ROW_OUTPUTS[window[axis]], window[axis])}


def _filtered(x, kernel, padding, tiles, contracted=0):
    """The convolution by `tiles`, a mapping from dimensions to `minimal.Tile`; XLA's own along the others.

    Of the last two dimensions of the kernel, `contracted` is that of channels; 1 for products alone.
    """
    window, ones = kernel.shape[:-2], (1,) * (kernel.ndim - 2)
    out = out_space(x.shape[1:-1], window, ones, padding, ones)
    around, _ = tiled.to_whole(x.shape[1:-1], out, window, padding, tiles)
    factors = tiled.along_each(tiles, tiled.sums_of_taps, kernel)

    def some(x):
        sums = tiled.along_each(tiles, tiled.sums_of_elements, x)
        products = lax.optimization_barrier([_correlated(a, b, contracted) for a, b in zip(sums, factors)])
        for one in tiles.values():
            products = tiled.first_to_last(one.outputs, products)
        return interleave(products, [tiles[axis].size if axis in tiles else 1 for axis in range(len(out))], out)

    return map_over_images(lambda x: some(pad(x, around)), x, max(1, _POSITIONS // math.prod(out)))


def _correlated(x, kernel, contracted):
    """A convolution without padding, which for a window of one element is a product."""
    window = kernel.shape[:-2]
    ones, taps = (1,) * len(window), math.prod(window)
    if taps > 1 and _CONVOLVES:
        return plain.conv(x, kernel, strides=ones, padding=((0, 0),) * len(ones), dilation=ones, groups=1)
    seen = x if taps == 1 else lax.optimization_barrier(_columns(x, window))
    return lax.dot_general(seen, kernel.reshape(-1, kernel.shape[-1]), (((x.ndim - 1,), (contracted,)), ((), ())))


def _columns(x, window):
    """What the window sees at each place within `x`, (n, *out, taps of c)."""
    ones = (1,) * len(window)
    return gathered(x, window, ones, ones, out_space(x.shape[1:-1], window, ones, ((0, 0),) * len(window), ones))
