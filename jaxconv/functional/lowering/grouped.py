"""Grouped convolutions as a few dense ones.

Few channels a group waste a matrix product, so neighbouring groups are joined, with zeros between them in the kernel,
until a block has `_WIDTH` input channels; the blocks are then convolved one after another.
"""

import jax.numpy as jnp

from jaxconv.functional.lowering import plain
from jaxconv.functional.lowering.taps import offsets, pad, tap

_WIDTH = 16


def conv(x, kernel, *, groups, **settings):
    """See `plain.conv`."""
    blocks = _blocks(groups, kernel.shape[-2])
    kernel = _joined(kernel, groups, blocks)
    parts = zip(jnp.split(x, blocks, -1), jnp.split(kernel, blocks, -1))
    return jnp.concatenate([plain.conv(a, b, groups=1, **settings) for a, b in parts], -1)


def conv_input_grad(dy, kernel, *, groups, **settings):
    """See `plain.conv_input_grad`."""
    blocks = _blocks(groups, kernel.shape[-2])
    kernel = _joined(kernel, groups, blocks)
    parts = zip(jnp.split(dy, blocks, -1), jnp.split(kernel, blocks, -1))
    return jnp.concatenate([plain.conv_input_grad(a, b, groups=1, **settings) for a, b in parts], -1)


def conv_kernel_grad(x, dy, *, window, strides, padding, dilation, groups):
    """See `plain.conv_kernel_grad`: for every offset and group one product of (c, rows) and (rows, k)."""
    x, out = pad(x, padding), dy.shape[1:-1]
    dy = dy.reshape(-1, groups, dy.shape[-1] // groups)
    taps = [tap(x, i, strides, dilation, out).reshape(-1, groups, x.shape[-1] // groups) for i in offsets(window)]
    sums = jnp.stack([jnp.einsum("rgc,rgk->cgk", t, dy) for t in taps])
    return sums.reshape(*window, sums.shape[1], -1)


def _blocks(groups, channels):
    while groups % 2 == 0 and channels < _WIDTH:
        groups, channels = groups // 2, channels * 2
    return groups


def _joined(kernel, groups, blocks):
    """The kernel of `groups` groups as one of `blocks` groups: (*window, c / blocks, k), zero between groups."""
    *window, c, k = kernel.shape
    joint = groups // blocks
    split = kernel.reshape(*window, 1, c, blocks, joint, k // groups)
    same = jnp.eye(joint, dtype=kernel.dtype).reshape((1,) * len(window) + (joint, 1, 1, joint, 1))
    return (split * same).reshape(*window, joint * c, k)
