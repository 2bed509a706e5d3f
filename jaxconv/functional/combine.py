"""Ways to join, gate, drop and rearrange feature maps."""

import math
from collections.abc import Callable, Iterable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from jaxconv.functional.adaptive import global_avg_pool
from jaxconv.functional.arrays import accumulator, check_arrays, check_key, check_rank, floating_array, space_rank
from jaxconv.functional.lowering import blocks
from jaxconv.functional.settings import known, number, per_dimension, whole


def inception(x: Float[Array, "n *space c"], branches: Sequence[Callable[[Array], Array]]) -> Float[Array, "n *out k"]:
    """Every branch applied to `x`, the results joined along channels (Szegedy et al., arXiv:1409.4842, figure 2).

    Args:
        x: input (n, *space, c).
        branches: functions from `x` to (n, *out, k_i), with one `out` for all.

    Returns:
        (n, *out, sum of k_i).

    Raises:
        TypeError: a branch is no function or gives no array, or branches that disagree in dtype.
        ValueError: no branch, or branches that disagree in batch or space, or give no channels.
    """
    parts = [branch(x) for branch in _functions(branches)]
    for at, part in enumerate(parts):
        check_rank("(n, *out, k)", part, 2, f"What branch {at} gives")
        if not part.shape[-1]:
            raise ValueError(f"Every branch must give channels; branch {at} gives the shape {part.shape}.")
    if len({part.dtype for part in parts}) > 1:
        raise TypeError(
            "Branches must share a dtype, there is no promotion; "
            f"theirs are {', '.join(str(part.dtype) for part in parts)}."
        )
    if len({part.shape[:-1] for part in parts}) > 1:
        raise ValueError(
            "Branches must agree in all but channels to be joined; "
            f"their shapes are {', '.join(str(part.shape) for part in parts)}."
        )
    return jnp.concatenate(parts, axis=-1)


def _functions(branches) -> list[Callable]:
    if not isinstance(branches, Iterable):
        raise TypeError(f"inception takes a sequence of branches; got {branches!r}.")
    branches = list(branches)
    if not branches:
        raise ValueError("inception needs at least one branch; got none.")
    for at, branch in enumerate(branches):
        if not callable(branch):
            raise TypeError(f"Every branch must be a function of x; branch {at} is {branch!r}.")
    return branches


def squeeze_excite(
    x: Float[Array, "n *space c"],
    reduce_kernel: Float[Array, "c r"],
    reduce_bias: Float[Array, "r"],
    expand_kernel: Float[Array, "r c"],
    expand_bias: Float[Array, "c"],
    *,
    activation: Callable[[Array], Array] = jax.nn.relu,
    gate: Callable[[Array], Array] = jax.nn.sigmoid,
) -> Float[Array, "n *space c"]:
    """Channels of `x` weighted by gate(activation(mean @ reduce) @ expand) (Hu et al., arXiv:1709.01507, equation 3).

    Args:
        x: input (n, *space, c).
        reduce_kernel: (c, r).
        reduce_bias: (r,).
        expand_kernel: (r, c).
        expand_bias: (c,).
        activation: between the two layers: relu in the paper, swish in EfficientNet.
        gate: after them: the logistic function in the paper, the hard one in MobileNetV3.

    Returns:
        (n, *space, c) in the dtype of `x`.

    Raises:
        TypeError: `x` is not floating, arrays of more than one dtype, or `activation` or `gate` is no function.
        ValueError: `x` has no spatial dimension, kernels or biases that do not lead from c channels back to c, or a
            `gate` that does not give (n, c).
    """
    rank = space_rank(x)
    for name, function in (("activation", activation), ("gate", gate)):
        if not callable(function):
            raise TypeError(f"{name} must be a function; got {function!r}.")
    check_arrays(reduce_kernel=reduce_kernel, reduce_bias=reduce_bias)
    check_arrays(expand_kernel=expand_kernel, expand_bias=expand_bias)
    channels, hidden = x.shape[-1], reduce_kernel.shape[1:]
    arrays = reduce_kernel, reduce_bias, expand_kernel, expand_bias
    shapes = tuple(array.shape for array in arrays)
    if len(hidden) != 1 or shapes != ((channels, *hidden), hidden, (*hidden, channels), (channels,)):
        raise ValueError(
            f"Kernels and biases must be (c, r), (r,), (r, c), (c,) for x with c={channels} channels; "
            f"their shapes are {', '.join(map(str, shapes))}."
        )
    if any(array.dtype != x.dtype for array in arrays):
        raise TypeError(
            "x, kernels and biases must share a dtype, there is no promotion; "
            f"x is {x.dtype}, the others are {', '.join(str(array.dtype) for array in arrays)}."
        )
    x = floating_array("squeeze_excite", x)
    squeezed = global_avg_pool(x)
    squeezed = activation(squeezed @ reduce_kernel + reduce_bias[None])
    weights = gate(squeezed @ expand_kernel + expand_bias[None])
    check_arrays(**{"What gate gives": weights})
    if weights.shape != (x.shape[0], channels):
        raise ValueError(f"gate must give (n, c), {(x.shape[0], channels)} here; it gives {weights.shape}.")
    return x * spread(weights.reshape(x.shape[0], *(1,) * rank, channels), x)


def spread(values: Array, like: Array) -> Array:
    """`values` as they broadcast to `like`, in its dtype; their gradient is summed in float32, of half types too."""
    wide = accumulator(like.dtype)
    if wide == like.dtype:
        return values.astype(like.dtype)
    # The transpose of a broadcast is a sum in its dtype: of 25,088 positions in bfloat16, 0.12 of the largest off.
    return jnp.broadcast_to(values.astype(wide), like.shape).astype(like.dtype)


def stochastic_depth(x: Float[Array, "n *rest"], rate: int | float, key: PRNGKeyArray) -> Float[Array, "n *rest"]:
    """Examples of a residual branch set to zero with probability `rate`, the others divided by 1 - rate.

    Huang et al., arXiv:1603.09382, in the inverted form of timm's `DropPath`: the expectation is `x`, and evaluation
    leaves the call out.

    Args:
        x: the branch (n, ...), before it is added to its input.
        rate: probability of a zero, in [0, 1); static.
        key: source of the n draws.

    Returns:
        (n, ...) in the dtype of `x`.

    Raises:
        TypeError: `x` is not floating, `rate` no number, or `key` no random key.
        ValueError: `x` has no examples' dimension, `rate` outside of [0, 1), or several keys.
    """
    check_rank("(n, ...)", x, 1)
    check_key(key)
    x = floating_array("stochastic_depth", x)
    rate = number("rate", rate)
    if not 0 <= rate < 1:
        raise ValueError(f"rate must be a probability below 1; got {rate}.")
    kept = jax.random.bernoulli(key, 1.0 - rate, (x.shape[0], *(1,) * (x.ndim - 1)))
    return jnp.where(kept, x / (1 - rate), 0)


def channel_shuffle(x: Shaped[Array, "n *space c"], groups: int) -> Shaped[Array, "n *space c"]:
    """Channels dealt out in turn from `groups` blocks: (g, c / g) transposed (ShuffleNet, arXiv:1707.01083, figure 1).

    Args:
        x: input (n, *space, c).
        groups: number of blocks.

    Raises:
        TypeError: `groups` is no whole number.
        ValueError: `x` has no channel axis beside the batch, or `groups` does not divide c.
    """
    check_rank("(n, *space, c)", x, 2)
    x, channels, groups = jnp.asarray(x), x.shape[-1], whole("groups", groups, 1)
    if channels % groups:
        raise ValueError(f"groups must divide the channels; x has {channels}, groups={groups}.")
    split = x.reshape(*x.shape[:-1], groups, channels // groups)
    return split.swapaxes(-1, -2).reshape(x.shape)


def space_to_depth(x: Shaped[Array, "n *space c"], block: int | Sequence[int]) -> Shaped[Array, "n *coarse k"]:
    """Blocks of pixels turned into channels, (n, *space / block, prod(block) * c).

    The position in the block varies slowest and the old channel fastest, as in `tf.nn.space_to_depth`; in
    `torch.nn.PixelUnshuffle` the old channel is slowest.

    Args:
        x: input (n, *space, c).
        block: pixels of a block, one int or one a dimension.

    Raises:
        TypeError: the space is symbolic (`jax.export`), and `block` is not known to divide it.
        ValueError: `block` does not divide the space, or there is none.
    """
    rank = space_rank(x)
    block = per_dimension("block", block, rank)
    if any(known(size % side, f"a block of {side} in {size} positions") for size, side in zip(x.shape[1:-1], block)):
        raise ValueError(f"block must divide the space; x has shape {x.shape}, block={block}.")
    return blocks.to_channels(jnp.asarray(x), block)


def depth_to_space(x: Shaped[Array, "n *space c"], block: int | Sequence[int]) -> Shaped[Array, "n *fine k"]:
    """The inverse of `space_to_depth`: (n, *space * block, c / prod(block)).

    Args:
        x: input (n, *space, c).
        block: pixels of a block, one int or one a dimension.

    Raises:
        ValueError: the block's pixels do not divide c, or there is no space.
    """
    rank = space_rank(x)
    block = per_dimension("block", block, rank)
    if x.shape[-1] % math.prod(block):
        raise ValueError(
            f"The block's {math.prod(block)} pixels must divide the channels; x has shape {x.shape}, block={block}."
        )
    return blocks.from_channels(jnp.asarray(x), block)
