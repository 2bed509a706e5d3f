"""The unit of timm's configurable families: a convolution, any norm, an activation, and perhaps an average."""

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.nn import initializers
from jaxconv.nn.activation import Activation
from jaxconv.nn.conv import Conv
from jaxconv.nn.norm import BatchNorm
from jaxconv.nn.pool import AvgPool
from jaxconv.nn.variables import parameter


class ConvUnit(nnx.Module):
    """`Conv` without bias that keeps the size at stride 1, a norm, an activation: timm's `ConvNormAct`.

    `ConvNorm` with any norm, whose attribute path stays `bn`, and with kernels drawn by the fan of their own group.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        window: side of the square kernel, odd.
        strides: as in `Conv`.
        dilation: as in `Conv`.
        groups: as in `Conv`.
        norm: builds the norm from a number of channels.
        activation: applied after it; None for none.
        average: whether the convolution has stride 1 and an average over the stride's square comes last (CLIP's
            antialiasing).
        zero: whether the norm's scale starts at zero, which starts a residual branch at the identity.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        window: int,
        *,
        strides: int = 1,
        dilation: int = 1,
        groups: int = 1,
        norm: Callable[[int], Any] = BatchNorm,
        activation: Activation | None = jax.nn.relu,
        average: bool = False,
        zero: bool = False,
    ):
        averaged = average and strides > 1
        self.conv = Conv(
            in_channels,
            out_channels,
            window,
            padding=dilation * (window - 1) // 2,
            strides=1 if averaged else strides,
            dilation=dilation,
            groups=groups,
            use_bias=False,
            kernel_init=initializers.he_fan_out_per_group(groups),
        )
        self.bn = norm(out_channels)
        if zero:
            self.bn.scale = parameter((out_channels,), initializers.zeros)
        self.activation = activation
        self.aa = AvgPool(strides, strides=strides, padding="VALID") if averaged else None

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, in_channels) to (n, out, out, out_channels)."""
        y = self.bn(self.conv(x), train=train)
        y = y if self.activation is None else self.activation(y)
        return y if self.aa is None else self.aa(y)


def shortcut_average(strides: int, dilation: int) -> AvgPool:
    """The average before a shortcut's 1x1 convolution, in the place of its stride (ResNet-D, arXiv:1812.01187).

    Where a dilated block took the stride's place, the window stays and moves by one, the border's zeros counted.
    """
    if strides > 1:
        return AvgPool(2, strides=strides, padding="VALID", ceil_mode=True)
    if dilation > 1:
        return AvgPool(2, strides=1, padding=((0, 1), (0, 1)), count_include_pad=True)
    return AvgPool(1, strides=1, padding="VALID")
