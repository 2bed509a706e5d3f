"""Norms without running statistics: what one example, or one pixel, says of itself."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

import jaxconv.functional as F
from jaxconv.nn import initializers
from jaxconv.nn.variables import parameter, read


class LayerNorm(nnx.Module):
    """`functional.layer_norm` with its scale and bias: each position over its channels.

    Args:
        channels: length of the last axis.
        epsilon: added to the variance.
    """

    def __init__(self, channels: int, *, epsilon: float = 1e-6):
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

    def __init__(self, channels: int, *, groups: int = 32, epsilon: float = 1e-5):
        self.groups, self.epsilon = groups, epsilon
        self.scale = parameter((channels,), initializers.ones)
        self.bias = parameter((channels,), initializers.zeros)

    def __call__(
        self, x: Float[Array, "n *space c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n *space c"]:
        """Normalizes x (n, *space, channels)."""
        scale, bias = read(self.scale, jnp.float32), read(self.bias, jnp.float32)
        return F.group_norm(x, scale, bias, groups=self.groups, epsilon=self.epsilon)
