"""Normalisation: statistics and what is done with them, in float32 for the half types, the result in the dtype of `x`.

Variances are biased (divided by the count) and taken about the mean in a second pass: E[x^2] - E[x]^2 loses every digit
when the mean is large.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxconv.functional.arrays import accumulator, check_arrays, check_mask, check_rank, floating_array, is_real
from jaxconv.functional.settings import number, whole


def batch_moments(
    x: Float[Array, "n *space c"], *, where: Bool[Array, "n"] | None = None
) -> tuple[Float[Array, "c"], Float[Array, "c"]]:
    """Mean and biased variance of each channel over batch and space, in float32 (float64 for float64).

    Args:
        x: input (n, *space, c).
        where: (n,), which examples count; the others may hold anything. With none at all both moments are zero.

    Returns:
        mean (c,) and variance (c,).

    Raises:
        TypeError: `x` is not floating, or `where` not of bool.
        ValueError: `x` has no channel axis beside the batch, or `where` is not (n,).
    """
    x = floating_array("batch_moments", x)
    check_rank("(n, *space, c)", x, 2)
    check_mask(where, x)
    axes = tuple(range(x.ndim - 1))
    x = x.astype(accumulator(x.dtype))
    if where is None:
        return _channel_moments(x)
    mask = where.reshape(-1, *(1,) * (x.ndim - 1))
    count = jnp.maximum(where.sum(dtype=x.dtype) * math.prod(x.shape[1:-1]), 1)
    mean = jnp.where(mask, x, 0).sum(axes) / count
    deviation = jnp.where(mask, x - _over_channels(mean, x), 0)
    return mean, jnp.square(deviation).sum(axes) / count


def batch_norm(
    x: Float[Array, "n *space c"],
    mean: Float[Array, "c"],
    variance: Float[Array, "c"],
    scale: Float[Array, "c"],
    bias: Float[Array, "c"],
    *,
    epsilon: int | float,
) -> Float[Array, "n *space c"]:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, for each channel (Ioffe and Szegedy, arXiv:1502.03167).

    Args:
        x: input (n, *space, c).
        mean: (c,), of the batch (`batch_moments`) in training, the running one in evaluation.
        variance: (c,), likewise.
        scale: (c,), gamma.
        bias: (c,), beta.
        epsilon: added to the variance; libraries disagree about it, so there is no default.

    Returns:
        (n, *space, c) in the dtype of `x`.

    Raises:
        TypeError: `x` is not floating, a statistic or parameter not real, or `epsilon` no number.
        ValueError: `x` has no channel axis beside the batch, a statistic or parameter that is not (c,), or `epsilon`
            below 0.
    """
    x = floating_array("batch_norm", x)
    check_rank("(n, *space, c)", x, 2)
    _check_channels(x, mean=mean, variance=variance, scale=scale, bias=bias)
    wide = x.astype(accumulator(x.dtype))
    factor = lax.rsqrt(variance.astype(wide.dtype) + number("epsilon", epsilon, 0)) * scale.astype(wide.dtype)
    return _scaled_about(wide, mean.astype(wide.dtype), factor, bias.astype(wide.dtype)).astype(x.dtype)


def layer_norm(
    x: Float[Array, "*batch c"], scale: Float[Array, "c"], bias: Float[Array, "c"], *, epsilon: int | float
) -> Float[Array, "*batch c"]:
    """Each position normalised over its channels, then scaled and shifted (Ba et al., arXiv:1607.06450).

    In a convolutional network this is the norm of ConvNeXt (`LayerNorm2d` in timm), where every pixel stands alone.

    Args:
        x: input (..., c).
        scale: (c,).
        bias: (c,).
        epsilon: added to the variance.

    Returns:
        (..., c) in the dtype of `x`.

    Raises:
        TypeError: `x` is not floating, `scale` or `bias` not real, or `epsilon` no number.
        ValueError: `x` has no dimension, `scale` or `bias` is not (c,), or `epsilon` below 0.
    """
    x = floating_array("layer_norm", x)
    check_rank("(*batch, c)", x, 1)
    _check_channels(x, scale=scale, bias=bias)
    return _affine(_normalized(x.astype(accumulator(x.dtype)), (-1,), epsilon), scale, bias).astype(x.dtype)


def group_norm(
    x: Float[Array, "n *space c"],
    scale: Float[Array, "c"],
    bias: Float[Array, "c"],
    *,
    groups: int,
    epsilon: int | float,
) -> Float[Array, "n *space c"]:
    """Each example normalised over space and over its channels' group (Wu and He, arXiv:1803.08494).

    Args:
        x: input (n, *space, c).
        scale: (c,).
        bias: (c,).
        groups: blocks of neighbouring channels; 1 normalises all together, c each alone (instance norm).
        epsilon: added to the variance.

    Returns:
        (n, *space, c) in the dtype of `x`.

    Raises:
        TypeError: `x` is not floating, `scale` or `bias` not real, `groups` no whole number, or `epsilon` no number.
        ValueError: `x` has no channel axis beside the batch, `groups` is below 1 or does not divide c, `scale` or
            `bias` is not (c,), or `epsilon` below 0.
    """
    x = floating_array("group_norm", x)
    check_rank("(n, *space, c)", x, 2)
    _check_channels(x, scale=scale, bias=bias)
    channels = x.shape[-1]
    groups = whole("groups", groups, 1)
    if channels % groups:
        raise ValueError(f"groups must divide the channels; x has {channels}, groups={groups}.")
    # One dimension is split or joined at a time: more in one reshape JAX refuses over Explicit mesh axes.
    lines = x.astype(accumulator(x.dtype)).reshape(x.shape[0], math.prod(x.shape[1:-1]), channels)
    split = lines.reshape(*lines.shape[:-1], groups, channels // groups)
    normalized = _normalized(split, (1, 3), epsilon).reshape(lines.shape).reshape(x.shape)
    return _affine(normalized, scale, bias).astype(x.dtype)


def local_response_norm(
    x: Float[Array, "n *space c"], *, size: int, alpha: int | float, beta: int | float, k: int | float
) -> Float[Array, "n *space c"]:
    """Quotient x / (k + alpha / size * sum of x^2 over `size` neighbouring channels)^beta.

    AlexNet's (Krizhevsky et al. 2012, section 3.3) with alpha divided by the size, as Caffe and
    `torch.nn.LocalResponseNorm` do: the paper's 1e-4 without division is 5e-4 here. Libraries disagree about every
    default, so there is none.

    Args:
        x: input (n, *space, c).
        size: channels in the sum: size // 2 before, (size - 1) // 2 after; zeros beyond the first and last.
        alpha: weight of the mean square.
        beta: exponent.
        k: added constant.

    Returns:
        (n, *space, c) in the dtype of `x`.

    Raises:
        TypeError: `x` is not floating, `size` no whole number, or another setting no number.
        ValueError: `x` has no channel axis beside the batch, `size` is below 1, or `alpha` or `k` below 0.
    """
    x = floating_array("local_response_norm", x)
    check_rank("(n, *space, c)", x, 2)
    size, beta = whole("size", size, 1), number("beta", beta, -math.inf)
    alpha, k = number("alpha", alpha, 0), number("k", k, 0)
    wide = x.astype(accumulator(x.dtype))
    borders = ((0, 0),) * (x.ndim - 1) + ((size // 2, (size - 1) // 2),)
    squares = jnp.pad(jnp.square(wide), borders)
    total = sum(squares[..., shift : shift + x.shape[-1]] for shift in range(size))
    return (wide * (k + alpha / size * total) ** -beta).astype(x.dtype)


def standardize_kernel(
    kernel: Float[Array, "*window i k"], gain: Float[Array, "k"] | None = None, *, epsilon: int | float
) -> Float[Array, "*window i k"]:
    """Each output channel's kernel with mean 0 and variance 1 (Qiao et al., arXiv:1903.10520), times `gain`.

    timm's `StdConv2d`; with gain = gamma * (fan-in)^-0.5 it is the `ScaledStdConv2d` of NFNets (arXiv:2101.08692).

    Args:
        kernel: (*window, c / groups, k).
        gain: (k,), or None for one.
        epsilon: added to the biased variance over the window and the input channels.

    Returns:
        (*window, c / groups, k) in the dtype of `kernel`.

    Raises:
        TypeError: `kernel` is not floating, `gain` not real, or `epsilon` no number.
        ValueError: `kernel` has no input and output channels, `gain` is not (k,), or `epsilon` below 0.
    """
    check_rank("(*window, i, k)", kernel, 2, "kernel")
    kernel = floating_array("standardize_kernel", kernel)
    axes = tuple(range(kernel.ndim - 1))
    normalized = _normalized(kernel.astype(accumulator(kernel.dtype)), axes, epsilon)
    if gain is not None:
        _check_channels(kernel, gain=gain)
        normalized *= _over_channels(gain, normalized)
    return normalized.astype(kernel.dtype)


def _moments(x, axes: tuple[int, ...], *, keepdims: bool):
    mean = x.mean(axes, keepdims=True)
    variance = jnp.square(x - mean).mean(axes, keepdims=keepdims)
    return mean if keepdims else mean.squeeze(axes), variance


# The derivatives are written out, so that training keeps the input and the output of a batch norm only: what autodiff
# makes of the definitions keeps the deviations from the mean too, and adds up sums that are known. `x - mean`,
# `x + -mean` and `x * t - mean * t` stand in different places lest XLA keep one array of them for two sums.
@jax.custom_jvp
def _channel_moments(x):
    return _moments(x, tuple(range(x.ndim - 1)), keepdims=False)


@_channel_moments.defjvp
def _channel_moments_jvp(primals, tangents):
    (x,), (t,) = primals, tangents
    axes = tuple(range(x.ndim - 1))
    mean, variance = _channel_moments(x)
    # The deviations sum to zero, so the tangent of the mean adds nothing to that of the variance.
    t_variance = 2 * (x * t - _over_channels(mean, x) * t).mean(axes)
    return (mean, variance), (t.mean(axes), t_variance)


@jax.custom_jvp
def _scaled_about(x, mean, factor, bias):
    """(x - mean) * factor + bias for each channel."""
    return _affine(x - _over_channels(mean, x), factor, bias)


@_scaled_about.defjvp
def _scaled_about_jvp(primals, tangents):
    x, mean, factor, _ = primals
    t, t_mean, t_factor, t_bias = tangents
    deviation = x + _over_channels(-mean, x)
    tangent = _affine(t, factor, t_bias - t_mean * factor) + deviation * _over_channels(t_factor, x)
    return _scaled_about(*primals), tangent


def _normalized(x, axes: tuple[int, ...], epsilon: int | float):
    mean, variance = _moments(x, axes, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + number("epsilon", epsilon, 0))


def _affine(x, scale, bias):
    return x * _over_channels(scale, x) + _over_channels(bias, x)


def _over_channels(vector, x):
    """`vector` (c,) with the rank and the dtype of `x`, so that it broadcasts over everything but channels."""
    return vector.astype(x.dtype).reshape(*(1,) * (x.ndim - 1), -1)


def _check_channels(x, **vectors) -> None:
    check_arrays(**vectors)
    for name, vector in vectors.items():
        if vector.shape != x.shape[-1:]:
            raise ValueError(
                f"{name} must hold one number for each of the {x.shape[-1]} channels of x; "
                f"its shape is {vector.shape}, that of x is {x.shape}."
            )
        if not is_real(vector.dtype):
            raise TypeError(f"{name} must hold real numbers; its dtype is {vector.dtype}.")
