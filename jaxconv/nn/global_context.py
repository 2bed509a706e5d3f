"""Global context: one weighted mean of all positions, transformed and added to every position."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.functional.combine import spread
from jaxconv.nn import initializers
from jaxconv.nn.activation import Activation
from jaxconv.nn.conv import Conv
from jaxconv.nn.still_norm import LayerNorm


class ContextTransform(nnx.Module):
    """The bottleneck that transforms the context: pointwise, layer norm, activation, pointwise (from zero)."""

    def __init__(self, channels: int, reduced: int, activation: Activation):
        self.fc1 = Conv(channels, reduced, 1, padding=0, kernel_init=initializers.he_fan_out)
        self.norm, self.act = LayerNorm(reduced), activation
        self.fc2 = Conv(reduced, channels, 1, padding=0, kernel_init=initializers.zeros)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n h w c"]:
        """Maps x (n, h, w, channels) to the same shape."""
        return self.fc2(self.act(self.norm(self.fc1(x))))


class GlobalContext(nnx.Module):
    """X plus a transform of the mean of all its positions, weighed by a softmax of one learned map.

    Args:
        channels: channels of the input.
        ratio: channels between the transform's two convolutions, as a part of `channels`.
        scales: whether the transform's sigmoid is a factor of the input instead of what is added to it.
        activation: between the transform's two convolutions; ReLU in the paper.

    Reference: Cao et al., "GCNet", arXiv:1904.11492, figure 4d.
    """

    def __init__(
        self,
        channels: int,
        ratio: float = 1 / 8,
        *,
        scales: bool = False,
        activation: Activation = jax.nn.relu,
    ):
        self.conv_attn = Conv(channels, 1, 1, padding=0, kernel_init=initializers.he_fan_in)
        transform = ContextTransform(channels, round(channels * ratio), activation)
        self.mlp_scale, self.mlp_add = (transform, None) if scales else (None, transform)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n h w c"]:
        """Adds the context of x (n, h, w, channels) to x, or scales x by it."""
        weights = jax.nn.softmax(self.conv_attn(x), axis=(1, 2))
        context = jnp.sum(x * spread(weights, x), (1, 2), keepdims=True)
        if self.mlp_scale is None:
            return x + spread(self.mlp_add(context), x)  # pyright: ignore[reportOptionalCall]  (one of the two)
        return x * spread(jax.nn.sigmoid(self.mlp_scale(context)), x)
