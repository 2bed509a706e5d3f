"""Convolution with its kernel as a parameter, and the unit that most networks are made of."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray

import jaxconv.functional as F
from jaxconv.functional.settings import Padding, per_dimension, whole
from jaxconv.nn import initializers
from jaxconv.nn.norm import BatchNorm
from jaxconv.nn.variables import parameter, per_channel, read


class Conv(nnx.Module):
    """`functional.conv` with its kernel, and a bias, as parameters.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        window: kernel size; an int means a square one over two dimensions, a sequence gives the rank.
        padding: "SAME", "SAME_LOWER", "VALID", an int, or (low, high) pairs; see `functional.conv`.
        strides: step of the window.
        dilation: distance between the taps of the window.
        groups: number of independent convolutions that share out the channels.
        use_bias: whether a bias is added; without it where a norm follows.
        kernel_init: draws the kernel (*window, in_channels / groups, out_channels).
        bias_init: draws the bias (out_channels,).

    Raises:
        TypeError: if a number of channels or groups, or the window, is not whole.
        ValueError: if one is below 1, or the groups do not divide the channels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        window: int | Sequence[int],
        *,
        padding: Padding,
        strides: int | Sequence[int] = 1,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        use_bias: bool = True,
        kernel_init: initializers.Initializer = initializers.he_fan_in,
        bias_init: initializers.Initializer = initializers.zeros,
    ):
        in_channels, out_channels = whole("in_channels", in_channels, 1), whole("out_channels", out_channels, 1)
        groups = whole("groups", groups, 1)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"groups must divide the channels: groups={groups}, in_channels={in_channels}, "
                f"out_channels={out_channels}."
            )
        window = per_dimension("window", window, len(window) if isinstance(window, Sequence) else 2)
        self.padding = frozen(padding)
        self.strides = frozen(strides)
        self.dilation = frozen(dilation)
        self.groups = groups
        self.kernel = parameter((*window, in_channels // groups, out_channels), kernel_init)
        self.bias = parameter((out_channels,), bias_init) if use_bias else None

    def __call__(
        self, x: Float[Array, "n *space c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n *out k"]:
        """Convolves x (n, *space, in_channels) to (n, *out, out_channels)."""
        settings = {"strides": self.strides, "dilation": self.dilation, "groups": self.groups}
        y = F.conv(x, self.effective_kernel(x.dtype), padding=self.padding, **settings)
        return y if self.bias is None else y + per_channel(read(self.bias, y.dtype), y)

    def effective_kernel(self, dtype: DTypeLike) -> Array:
        """The kernel (*window, in_channels / groups, out_channels) that a call convolves with."""
        return read(self.kernel, dtype)

    def weights(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Kernel and bias of a call, in float64: what `with_weights` takes, to be rounded once, there.

        Raises:
            ValueError: if the parameters are not drawn.
        """
        with jax.enable_x64(True):
            kernel = np.asarray(self.effective_kernel(jnp.float64))
        return kernel, None if self.bias is None else np.asarray(read(self.bias, jnp.float32), np.float64)

    def with_weights(self, kernel: np.ndarray, bias: np.ndarray | None) -> "Conv":
        """A plain convolution with the settings of this one and other values, kept in float32.

        Args:
            kernel: (*window, in_channels / groups, out_channels), of any window.
            bias: (out_channels,), or None for none.
        """
        *window, channels, width = kernel.shape
        settings = {"padding": self.padding, "strides": self.strides, "dilation": self.dilation, "groups": self.groups}
        plain = Conv(channels * self.groups, width, window, use_bias=bias is not None, **settings)
        plain.kernel.set_value(jnp.asarray(kernel, jnp.float32))
        if plain.bias is not None:
            plain.bias.set_value(jnp.asarray(bias, jnp.float32))
        return plain


class ConvNorm(nnx.Module):
    """`Conv` without bias, `BatchNorm`, an activation: `conv` and `bn` as timm and torchvision name them.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        window: as in `Conv`.
        padding: as in `Conv`.
        strides: as in `Conv`.
        dilation: as in `Conv`.
        groups: as in `Conv`.
        epsilon: as in `BatchNorm`.
        activation: applied last; None for none.
        kernel_init: draws the kernel.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        window: int | Sequence[int],
        *,
        padding: Padding,
        strides: int | Sequence[int] = 1,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        epsilon: float = 1e-5,
        activation: Callable[[Array], Array] | None = jax.nn.relu,
        kernel_init: initializers.Initializer = initializers.he_fan_out,
    ):
        self.conv = Conv(
            in_channels,
            out_channels,
            window,
            padding=padding,
            strides=strides,
            dilation=dilation,
            groups=groups,
            use_bias=False,
            kernel_init=kernel_init,
        )
        self.bn = BatchNorm(out_channels, epsilon=epsilon)
        self.activation = activation

    def __call__(
        self, x: Float[Array, "n *space c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n *out k"]:
        """Maps x (n, *space, in_channels) to (n, *out, out_channels)."""
        y = self.bn(self.conv(x), train=train)
        return y if self.activation is None else self.activation(y)


def frozen(setting: Any) -> Any:
    """The setting with its sequences as tuples: NNX keeps tuples as structure, and lists it would take for data."""
    return tuple(map(frozen, setting)) if isinstance(setting, list | tuple) else setting
