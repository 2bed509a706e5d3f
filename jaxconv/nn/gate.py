"""Channel gates: what a whole image says of each channel weighs that channel."""

import jax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.functional.combine import spread
from jaxconv.nn import initializers
from jaxconv.nn.activation import Activation
from jaxconv.nn.conv import Conv


class SqueezeExcite(nnx.Module):
    """Channels weighed by gate(expand(activation(reduce(mean)))), both of them pointwise convolutions with a bias.

    The reference names the two convolutions differently from family to family; `names` are their attribute paths.

    Args:
        channels: channels of the input.
        reduced: channels between the two convolutions.
        names: ("fc1", "fc2") in timm's ResNets and RegNets, ("conv_reduce", "conv_expand") in its EfficientNets.
        activation: between the two.
        gate: maps the result to weights.
        kernel_init: draws both kernels.

    Reference: Hu et al., "Squeeze-and-Excitation Networks", arXiv:1709.01507, equation 3.
    """

    def __init__(
        self,
        channels: int,
        reduced: int,
        *,
        names: tuple[str, str] = ("fc1", "fc2"),
        activation: Activation = jax.nn.relu,
        gate: Activation = jax.nn.sigmoid,
        kernel_init: initializers.Initializer = initializers.he_fan_in,
    ):
        self.names, self.activation, self.gate = names, activation, gate
        setattr(self, names[0], Conv(channels, reduced, 1, padding=0, kernel_init=kernel_init))
        setattr(self, names[1], Conv(reduced, channels, 1, padding=0, kernel_init=kernel_init))

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n h w c"]:
        """Weighs the channels of x (n, h, w, channels)."""
        reduce, expand = (getattr(self, name) for name in self.names)
        return x * spread(self.gate(expand(self.activation(reduce(x.mean((1, 2), keepdims=True))))), x)


class EfficientChannelAttention(nnx.Module):
    """Channels weighed by the sigmoid of a convolution along them: each sees `window` neighbours, one kernel for all.

    Args:
        window: channels that one weight sees, odd.

    Reference: Wang et al., "ECA-Net", arXiv:1910.03151, equation 9.
    """

    def __init__(self, window: int = 3):
        self.conv = Conv(1, 1, (window,), padding=(window - 1) // 2, use_bias=False)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n h w c"]:
        """Weighs the channels of x (n, h, w, c)."""
        along = x.mean((1, 2))[..., None]
        return x * spread(jax.nn.sigmoid(self.conv(along))[:, None, None, :, 0], x)
