"""The blocks of `regnet.py`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.nn import (
    BatchNorm,
    Conv,
    ConvUnit,
    DropPath,
    GroupNorm,
    Sequential,
    SqueezeExcite,
    activation,
    branch_key,
    initializers,
    shortcut_average,
)


@dataclass(frozen=True)
class Style:
    """What all blocks of a network have in common: `RegNet`'s settings of the same names, the activation looked up."""

    ratio: float
    se_ratio: float
    shortcut: str | None
    linear: bool
    preact: bool
    act: str
    norm: str
    zero_init_last: bool

    @property
    def unit(self) -> Callable[..., ConvUnit]:
        """Builds a convolution with what follows it."""
        return partial(ConvUnit, norm=NORMS[self.norm], activation=activation(self.act))


NORMS = {"batch": BatchNorm, "group16": lambda channels: GroupNorm(channels, groups=channels // 16)}
"""By the names that settings use."""


class Bottleneck(nnx.Module):
    """1x1, grouped 3x3, squeeze-excitation, 1x1, and the shortcut: a ResNeXt block that is as wide inside as out.

    Args:
        channels: channels of the input.
        width: channels of the output.
        group: channels of one group of the 3x3 convolution.
        strides: strides of it.
        dilation: dilations of this block's 3x3 convolution and of those after it.
        drop_path_rate: probability of dropping the branch.
        style: what it shares with the other blocks.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        *,
        group: int,
        strides: int,
        dilation: tuple[int, int],
        drop_path_rate: float,
        style: Style,
    ):
        inner, act = round(width * style.ratio), activation(style.act)
        self.conv1 = style.unit(channels, inner, 1)
        self.conv2 = style.unit(inner, inner, 3, strides=strides, dilation=dilation[0], groups=inner // group)
        self.se = _gate(inner, channels, style)
        self.conv3 = style.unit(inner, width, 1, activation=None, zero=style.zero_init_last)
        self.downsample = _shortcut(channels, width, strides, dilation, style)
        self.drop_path = DropPath(drop_path_rate)
        self.shortcut = style.shortcut is not None or not _changes(channels, width, strides, dilation)
        self.activation = None if style.linear else act

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, channels) to (n, out, out, width)."""
        y = self.conv2(self.conv1(x, train), train)
        y = self.conv3(y if self.se is None else self.se(y), train)
        if self.shortcut:
            y = self.drop_path(y, train, key) + (x if self.downsample is None else self.downsample(x, train))
        return y if self.activation is None else self.activation(y)


class PreBottleneck(nnx.Module):
    """`Bottleneck` with norm and activation before each convolution; the shortcut starts after the first of them."""

    def __init__(
        self,
        channels: int,
        width: int,
        *,
        group: int,
        strides: int,
        dilation: tuple[int, int],
        drop_path_rate: float,
        style: Style,
    ):
        inner, groups = round(width * style.ratio), round(width * style.ratio) // group
        self.norm1, self.conv1 = BatchNorm(channels), grouped_conv(channels, inner, 1)
        self.norm2 = BatchNorm(inner)
        self.conv2 = grouped_conv(inner, inner, 3, strides=strides, dilation=dilation[0], groups=groups)
        self.se = _gate(inner, channels, style)
        self.norm3, self.conv3 = BatchNorm(inner), grouped_conv(inner, width, 1)
        self.downsample = _shortcut(channels, width, strides, dilation, style)
        self.drop_path = DropPath(drop_path_rate)
        self.activation = activation(style.act)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, channels) to (n, out, out, width)."""
        x = self.activation(self.norm1(x, train))
        y = self.conv2(self.activation(self.norm2(self.conv1(x), train)))
        y = self.conv3(self.activation(self.norm3(y if self.se is None else self.se(y), train)))
        return self.drop_path(y, train, key) + (x if self.downsample is None else self.downsample(x, train))


class Stage(nnx.Module):
    """Blocks b1, b2, ... one after another."""

    def __init__(self, *blocks: nnx.Module):
        self.depth = len(blocks)
        for number, block in enumerate(blocks, 1):
            setattr(self, f"b{number}", block)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Applies each block to what the one before returned."""
        for number in range(1, self.depth + 1):
            x = getattr(self, f"b{number}")(x, train, branch_key(key, number))
        return x


def grouped_conv(
    channels: int, width: int, window: int, *, strides: int = 1, dilation: int = 1, groups: int = 1
) -> Conv:
    """`Conv` without bias that keeps the size at stride 1."""
    return Conv(
        channels,
        width,
        window,
        padding=dilation * (window - 1) // 2,
        strides=strides,
        dilation=dilation,
        groups=groups,
        use_bias=False,
        kernel_init=initializers.he_fan_out_per_group(groups),
    )


def _gate(inner: int, channels: int, style: Style) -> SqueezeExcite | None:
    if not style.se_ratio:
        return None
    reduced, act = round(channels * style.se_ratio), activation(style.act)
    return SqueezeExcite(inner, reduced, activation=act, kernel_init=initializers.he_fan_out)


def _changes(channels: int, width: int, strides: int, dilation: tuple[int, int]) -> bool:
    return channels != width or strides != 1 or dilation[0] != dilation[1]


def _shortcut(channels: int, width: int, strides: int, dilation: tuple[int, int], style: Style) -> nnx.Module | None:
    """What the shortcut passes through where the shape changes; None for nothing."""
    if not style.shortcut or not _changes(channels, width, strides, dilation):
        return None
    build = grouped_conv if style.preact else partial(style.unit, activation=None)
    if style.shortcut == "avg":
        return Sequential(shortcut_average(strides, dilation[0]), build(channels, width, 1))
    return build(channels, width, 1, strides=strides)
