"""Filter response norm with its thresholded unit (Singh and Krishnan, arXiv:1911.09737, equations 1 to 4)."""

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.functional.arrays import accumulator
from jaxconv.nn import initializers
from jaxconv.nn.variables import parameter, per_channel, read


class FilterResponseNorm(nnx.Module):
    """x over the root mean square of its channel, scaled and shifted, then the larger of that and a learned threshold.

    Args:
        channels: length of the last axis.
        activated: whether there is the threshold.
        epsilon: added to the mean square.
    """

    def __init__(self, channels: int, *, activated: bool = True, epsilon: int | float = 1e-5):
        self.epsilon = epsilon
        self.scale = parameter((channels,), initializers.ones)
        self.bias = parameter((channels,), initializers.zeros)
        self.tau = parameter((channels,), initializers.zeros) if activated else None

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n h w c"]:
        """Normalizes and activates x (n, h, w, channels)."""
        wide = x.astype(accumulator(x.dtype))
        y = wide * lax.rsqrt((wide * wide).mean((1, 2), keepdims=True) + self.epsilon)
        scale, bias = (per_channel(read(variable, wide.dtype), wide) for variable in (self.scale, self.bias))
        y = y * scale + bias
        y = y if self.tau is None else jnp.maximum(y, per_channel(read(self.tau, wide.dtype), wide))
        return y.astype(x.dtype)
