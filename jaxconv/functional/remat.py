"""What `jax.checkpoint` keeps."""

import jax

from jaxconv.functional.lowering import trilinear


def dots_and_convs_saveable(prim, *avals, **params) -> bool:
    """`jax.checkpoint_policies.dots_saveable`, which keeps products of matrices, for jaxconv's convolutions too.

    JAX's own policy knows `lax.conv_general_dilated` by its primitive; those of `F.conv` and its kin are others, so it
    would compute them again in the backward pass: `jax.checkpoint(block, policy=F.dots_and_convs_saveable)`.

    Args:
        prim: the primitive of an operation.
        avals: types of its arguments.
        params: its settings.

    Returns:
        Whether the results of the operation are kept for the backward pass.
    """
    return prim in trilinear.PRIMITIVES or jax.checkpoint_policies.dots_saveable(prim, *avals, **params)
