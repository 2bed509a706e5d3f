"""Norms without running statistics: what one example, or one pixel, says of itself."""

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

import jaxconv.functional as F
from jaxconv.functional.arrays import accumulator
from jaxconv.nn import initializers
from jaxconv.nn.variables import parameter, per_channel, read


class LayerNorm(nnx.Module):
    """`functional.layer_norm` with its scale and bias: each position over its channels.

    Args:
        channels: length of the last axis.
        epsilon: added to the variance.
    """

    def __init__(self, channels: int, *, epsilon: int | float = 1e-6):
        self.epsilon = epsilon
        self.scale = parameter((channels,), initializers.ones)
        self.bias = parameter((channels,), initializers.zeros)

    def __call__(
        self, x: Float[Array, "*batch c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "*batch c"]:
        """Normalizes x (..., channels)."""
        return F.layer_norm(x, read(self.scale, jnp.float32), read(self.bias, jnp.float32), epsilon=self.epsilon)


class GroupNorm(nnx.Module):
    """`functional.group_norm` with its scale and bias: each example over space and a group of channels.

    Args:
        channels: length of the last axis.
        groups: number of groups.
        epsilon: added to the variance.
    """

    def __init__(self, channels: int, *, groups: int = 32, epsilon: int | float = 1e-5):
        self.groups, self.epsilon = groups, epsilon
        self.scale = parameter((channels,), initializers.ones)
        self.bias = parameter((channels,), initializers.zeros)

    def __call__(
        self, x: Float[Array, "n *space c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n *space c"]:
        """Normalizes x (n, *space, channels)."""
        scale, bias = read(self.scale, jnp.float32), read(self.bias, jnp.float32)
        return F.group_norm(x, scale, bias, groups=self.groups, epsilon=self.epsilon)


class ScaleNorm(nnx.Module):
    """x * scale / sqrt(mean square + epsilon) over channels; with `centred`, the unbiased variance in its place.

    The first is RMS norm (Zhang and Sennrich, arXiv:1910.07467), the second what timm calls simple norm: it measures
    the spread about the mean, and leaves the mean in.

    Args:
        channels: length of the last axis.
        epsilon: added under the root.
        centred: whether the spread is about the mean.
    """

    def __init__(self, channels: int, *, epsilon: int | float = 1e-6, centred: bool = False):
        self.epsilon, self.centred = epsilon, centred
        self.scale = parameter((channels,), initializers.ones)

    def __call__(
        self, x: Float[Array, "*batch c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "*batch c"]:
        """Scales x (..., channels)."""
        wide = x.astype(accumulator(x.dtype))
        spread = wide.var(-1, keepdims=True, ddof=1) if self.centred else (wide * wide).mean(-1, keepdims=True)
        return (wide * lax.rsqrt(spread + self.epsilon) * per_channel(read(self.scale, wide.dtype), wide)).astype(
            x.dtype
        )


class GlobalResponseNorm(nnx.Module):
    """Channels that compete: x + scale * x * n / mean(n) + bias, n the 2-norm of each channel over space.

    Args:
        channels: length of the last axis.
        epsilon: added to the mean of the norms.

    Reference: Woo et al., "ConvNeXt V2", arXiv:2301.00808, equations 1 to 3.
    """

    def __init__(self, channels: int, *, epsilon: int | float = 1e-6):
        self.epsilon = epsilon
        self.scale = parameter((channels,), initializers.zeros)
        self.bias = parameter((channels,), initializers.zeros)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n h w c"]:
        """Maps x (n, h, w, channels) to the same shape."""
        wide = x.astype(accumulator(x.dtype))
        square = (wide * wide).sum((1, 2), keepdims=True)
        # The root has no derivative at 0, where a channel is silent: there the norm is 0, and so is its gradient.
        norm = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
        response = wide * (norm / (norm.mean(-1, keepdims=True) + self.epsilon))
        scale, bias = (per_channel(read(variable, wide.dtype), wide) for variable in (self.scale, self.bias))
        return (wide + scale * response + bias).astype(x.dtype)
