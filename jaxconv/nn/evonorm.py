"""EvoNorms: norm and activation in one expression (Liu et al., "Evolving Normalization ...", arXiv:2004.02967)."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.functional.arrays import accumulator
from jaxconv.functional.combine import spread
from jaxconv.nn import initializers
from jaxconv.nn.variables import parameter, per_channel, read


class EvoNormS0(nnx.Module):
    """x * sigmoid(v x) / group deviation * scale + bias; without activation, x * scale + bias (table 3, S0).

    Args:
        channels: length of the last axis.
        groups: number of groups whose deviation divides.
        activated: whether the expression holds the activation, and with it the division.
        epsilon: added to the variance of a group.
        always: timm's S0a, which divides without the activation too.
    """

    def __init__(
        self,
        channels: int,
        *,
        groups: int = 32,
        activated: bool = True,
        epsilon: int | float = 1e-5,
        always: bool = False,
    ):
        self.groups, self.activated, self.epsilon, self.always = groups, activated, epsilon, always
        self.scale = parameter((channels,), initializers.ones)
        self.bias = parameter((channels,), initializers.zeros)
        self.v = parameter((channels,), initializers.ones) if activated else None

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n h w c"]:
        """Normalizes and activates x (n, h, w, channels)."""
        scale, bias = (per_channel(read(variable, x.dtype), x) for variable in (self.scale, self.bias))
        if self.v is not None:
            gate = jax.nn.sigmoid(x * per_channel(read(self.v, x.dtype), x))
            x = x * gate * self._inverse_deviation(x)
        elif self.always:
            x = x * self._inverse_deviation(x)
        return x * scale + bias

    def _inverse_deviation(self, x: Array) -> Array:
        """1 over the deviation of each example's groups, in the shape of x."""
        n, h, w, channels = x.shape
        split = x.astype(accumulator(x.dtype)).reshape(n, h * w, self.groups, -1)
        inverse = lax.rsqrt(split.var((1, 3), keepdims=True) + self.epsilon)
        whole = jnp.broadcast_to(inverse, (n, 1, self.groups, channels // self.groups))
        return spread(whole.reshape(n, 1, 1, channels), x)
