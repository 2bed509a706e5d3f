"""Maps in tiles, and the sums that minimal filtering makes of their elements and of the taps of a kernel.

`tiles` is a mapping from dimensions of space to `minimal.Tile`. Arrays along several of them are listed in row-major
order.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxconv.functional.lowering.taps import add


def to_whole(space, out, window, padding, tiles):
    """The padding that makes every output part of a tile, and the number of tiles along each dimension."""
    counts = [-(-size // tiles[axis].size) if axis in tiles else size for axis, size in enumerate(out)]
    seen = [
        count * (tiles[axis].size if axis in tiles else 1) + taps - 1
        for axis, (count, taps) in enumerate(zip(counts, window))
    ]
    return [(low, size - low - had) for size, had, (low, _) in zip(seen, space, padding)], counts


def along_each(tiles, function, array):
    """What `function` of an axis, its tile and an array makes of it along one axis, and of all that along the next."""
    arrays = [array]
    for axis, one in tiles.items():
        # Along one dimension at a time: in a single pass they are as fast, but take LLVM five times as long.
        arrays = lax.optimization_barrier([done for a in arrays for done in function(axis, one, a)])
    return arrays


def sums_of_elements(axis, one, x):
    """The sums of the inputs of each tile."""
    return _of_strides(one.inputs, one.size, axis, x)


def sums_of_outputs(axis, one, dy):
    """The transpose of the sums of products that are the outputs of each tile."""
    return _of_strides(list(zip(*one.outputs)), one.size, axis, dy)


def sums_of_taps(axis, one, kernel):
    """The sums of the taps of a kernel."""
    taps = [lax.slice_in_dim(kernel, i, i + 1, axis=axis) for i in range(kernel.shape[axis])]
    return _combined(one.weights, taps)


def taps_of_sums(axis, one, sums):
    """The transpose of `sums_of_taps`."""
    return jnp.concatenate(_combined(list(zip(*one.weights)), sums), axis)


def _of_strides(rows, step, axis, x):
    length, axis = len(rows[0]), axis + 1
    last = (x.shape[axis] - length) // step * step
    return _combined(rows, [lax.slice_in_dim(x, i, i + last + 1, step, axis) for i in range(length)])


def _combined(rows, arrays):
    """The sum of the arrays for each row of coefficients."""
    return [add([_times(factor, a) for factor, a in zip(row, arrays) if factor]) for row in rows]


def _times(factor, a):
    return a if factor == 1 else -a if factor == -1 else a * np.array(factor, a.dtype)


def first_to_last(rows, arrays):
    """The sums of the arrays along the first of several dimensions; it becomes the last."""
    rest = len(arrays) // len(rows[0])
    return [done for first in range(rest) for done in _combined(rows, arrays[first::rest])]
