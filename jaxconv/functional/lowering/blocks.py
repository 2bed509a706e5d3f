"""Blocks of positions as channels, and back: the rearrangements of `space_to_depth` and `depth_to_space`."""

import math


def to_channels(x, block):
    """From (n, *space, c) to (n, *space / block, prod(block) * c), the position in the block slowest."""
    rank, coarse = len(block), [size // side for size, side in zip(x.shape[1:-1], block)]
    split = x
    # One dimension is split or joined at a time: more in one reshape JAX refuses over Explicit mesh axes.
    for axis, pair in zip(range(1, 2 * rank, 2), zip(coarse, block)):
        split = split.reshape(*split.shape[:axis], *pair, *split.shape[axis + 1 :])
    outer, inner = range(1, 2 * rank + 1, 2), range(2, 2 * rank + 2, 2)
    return split.transpose(0, *outer, *inner, 2 * rank + 1).reshape(x.shape[0], *coarse, math.prod(block) * x.shape[-1])


def from_channels(x, block):
    """The inverse of `to_channels`."""
    rank = len(block)
    split = x.reshape(*x.shape[:-1], *block, x.shape[-1] // math.prod(block))
    order = [axis for a in range(1, rank + 1) for axis in (a, a + rank)]
    joined = split.transpose(0, *order, 2 * rank + 1)
    for axis, (size, side) in enumerate(zip(x.shape[1:-1], block), start=1):
        joined = joined.reshape(*joined.shape[:axis], size * side, *joined.shape[axis + 2 :])
    return joined
