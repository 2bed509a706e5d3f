"""Grouped convolutions as a few dense ones.

Few channels a group waste a matrix product, so neighbouring groups are joined, with zeros between them in the kernel,
until a block has `_WIDTH` input channels, or `_WIDEST` where there are very many groups; the blocks are then convolved
one after another.
"""

from functools import partial

import jax.numpy as jnp
import numpy as np

from jaxconv.functional.lowering import columns, dense, plain, pointwise
from jaxconv.functional.lowering.chunk import add_over_images

# Measured for 32 groups of 4, 8 and 16 channels, 1, 8 and 32 images: 16 takes 0.7 to 1.0 of the time of 32 forward and
# for the kernel gradient, 8 more than 16, 64 more than 32. More than _BLOCKS make too long a program.
_WIDTH, _WIDEST, _BLOCKS = 16, 32, 64


def conv(x, kernel, *, groups, **settings):
    """See `plain.conv`."""
    form = pointwise.conv if _is_point(kernel.shape[:-2]) else plain.conv
    return _by_blocks(form, x, kernel, groups, settings)


def conv_input_grad(dy, kernel, *, groups, **settings):
    """See `plain.conv_input_grad`."""
    if _is_point(kernel.shape[:-2]):
        form = pointwise.conv_input_grad
    else:
        unit = all(s == 1 for s in settings["strides"])
        form = dense.input_grad_flipped if unit else columns.input_grad_columns
    return _by_blocks(form, dy, kernel, groups, settings)


def conv_kernel_grad(x, dy, *, groups, **settings):
    """See `plain.conv_kernel_grad`."""
    form = pointwise.conv_kernel_grad if _is_point(settings["window"]) else dense.kernel_grad_rows
    # All blocks of a few images before the next images: what is sliced out of them for the blocks is in the cache then.
    return add_over_images(partial(_kernel_grad, form, groups=groups, settings=settings), x, dy)


def conv_kernel_grad_maps(x, dy, *, groups, **settings):
    """See `plain.conv_kernel_grad`; without loops over images."""
    return _kernel_grad(dense.kernel_grad_maps, x, dy, groups, settings)


def blocks(groups, channels):
    """The number of dense convolutions that stand for `groups` groups of `channels` input channels."""
    while groups % 2 == 0 and channels < (_WIDEST if groups > _BLOCKS else _WIDTH):
        groups, channels = groups // 2, channels * 2
    return groups


def _is_point(window):
    return all(size == 1 for size in window)


def _by_blocks(form, a, kernel, groups, settings):
    count = blocks(groups, kernel.shape[-2])
    parts = zip(jnp.split(a, count, -1), jnp.split(_joined(kernel, groups, count), count, -1))
    return jnp.concatenate([form(a, kernel, groups=1, **settings) for a, kernel in parts], -1)


def _joined(kernel, groups, count):
    """The kernel of `groups` groups as one of `count` groups, zero between the groups that were joined."""
    *window, c, k = kernel.shape
    joint = groups // count
    split = kernel.reshape(*window, 1, c, count, joint, k // groups)
    same = np.eye(joint, dtype=bool).reshape((1,) * len(window) + (joint, 1, 1, joint, 1))
    # Chosen, not weighed: what is not finite in one group's kernel must not reach another group as 0 * NaN.
    return jnp.where(same, split, 0).reshape(*window, joint * c, k)


def _kernel_grad(form, x, dy, groups, settings):
    c, k = x.shape[-1] // groups, dy.shape[-1] // groups
    count = blocks(groups, c)
    joint = groups // count

    def block(x, dy):
        every = form(x, dy, groups=1, **settings).reshape(*settings["window"], joint, c, joint, k)
        return jnp.concatenate([every[..., i, :, i, :] for i in range(joint)], -1)

    parts = zip(jnp.split(x, count, -1), jnp.split(dy, count, -1))
    return jnp.concatenate([block(*part) for part in parts], -1)
