"""The blocks and stems that `byobnet.py` stacks, and what a table says of them.

Four residual blocks differ in the order of their convolutions alone, so one class reads them from `STEPS`:

| kind | convolutions | attention |
|---|---|---|
| basic | 3x3, 3x3 | last |
| bottle | 1x1, 3x3, (3x3), 1x1 | before the last 1x1 |
| dark | 1x1, 3x3 | last |
| edge | 3x3, 1x1 | before the 1x1 |

The blocks of RepVGG and MobileOne are in `byob_branches.py`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.models.widths import divisible
from jaxconv.nn import (
    AvgPool,
    Conv,
    ConvUnit,
    DropPath,
    EfficientChannelAttention,
    MaxPool,
    SqueezeExcite,
    branch_key,
    initializers,
    shortcut_average,
)
from jaxconv.nn.activation import Activation

Attention = Callable[[int], nnx.Module]


@dataclass(frozen=True)
class Block:
    """One block as a table states it.

    Attributes:
        kind: "basic", "bottle", "dark", "edge"; "rep" (RepVGG) or "one" (MobileOne).
        width: channels of the output.
        strides: 1 or 2.
        group: channels of one group of its inner convolution; 0 for one group, 1 for depthwise.
        ratio: inner channels by those of the output, or of the input where `from_input`.
        from_input: as said there.
        extra: whether a "bottle" has a second 3x3 convolution.
        linear: whether it ends without activation.
        window: side of the kernel of "one".
        branches: how many equal convolutions "one" adds up.
        attention: builds an attention from a number of channels; None for none.
    """

    kind: str
    width: int
    strides: int = 1
    group: int = 0
    ratio: float = 1.0
    from_input: bool = False
    extra: bool = False
    linear: bool = False
    window: int = 3
    branches: int = 1
    attention: Attention | None = None


@dataclass(frozen=True)
class Style:
    """What all blocks of a network share.

    Attributes:
        norm: builds a norm from a number of channels.
        activation: after each norm, and at the end of a block.
        active_norm: builds the norm where that activation would follow, and stands for both; None for norm and
            activation (evolved norms have an activation inside).
        shortcut: what a changed shape passes through: "conv1x1", "avg" (average, then 1x1), or "" for no shortcut.
        average: as in `ConvUnit`.
        zero_init_last: whether a branch that has a shortcut starts at zero.
    """

    norm: Callable[[int], nnx.Module]
    activation: Activation
    active_norm: Callable[[int], nnx.Module] | None = None
    shortcut: str = "conv1x1"
    average: bool = False
    zero_init_last: bool = True

    def unit(self, channels: int, width: int, window: int, *, active: bool = True, **settings) -> ConvUnit:
        """A convolution, the norm, and, where `active`, the activation."""
        if active and self.active_norm:
            settings |= {"norm": self.active_norm, "activation": None}
        else:
            settings |= {"norm": self.norm, "activation": self.activation if active else None}
        return ConvUnit(channels, width, window, average=self.average, **settings)


@dataclass(frozen=True)
class Place:
    """Where a block stands: channels that reach it, its stride, the dilations before and from it on, its drop rate."""

    channels: int
    strides: int
    dilation: tuple[int, int]
    drop_path_rate: float

    def changes(self, width: int) -> bool:
        """Whether the block's output has another shape than its input, or another dilation."""
        return self.channels != width or self.strides != 1 or self.dilation[0] != self.dilation[1]


@dataclass(frozen=True)
class Step:
    """One convolution of a residual block: its name, its side, and which of the block's settings it takes."""

    name: str
    window: int
    strided: bool = False
    grouped: bool = False
    dilation: int = 0


STEPS = {
    "basic": (Step("conv1_kxk", 3, strided=True), Step("conv2_kxk", 3, grouped=True, dilation=1)),
    "bottle": (Step("conv1_1x1", 1), Step("conv2_kxk", 3, strided=True, grouped=True), Step("conv3_1x1", 1)),
    "dark": (Step("conv1_1x1", 1), Step("conv2_kxk", 3, strided=True, grouped=True)),
    "edge": (Step("conv1_kxk", 3, strided=True, grouped=True), Step("conv2_1x1", 1)),
}
"""Kind -> its convolutions; all but the last have the inner width and an activation."""
_EXTRA = Step("conv2b_kxk", 3, grouped=True, dilation=1)
ATTENTION_LAST = ("basic", "dark")


class ResidualBlock(nnx.Module):
    """The convolutions that `STEPS` lists, attention, the shortcut, an activation.

    Args:
        block: its row of the table, one of the kinds of `STEPS`.
        place: where it stands.
        style: what it shares with the others.
    """

    def __init__(self, block: Block, place: Place, style: Style):
        steps = STEPS[block.kind]
        if block.extra:
            steps = (*steps[:-1], _EXTRA, steps[-1])
        self.names = tuple(step.name for step in steps)
        inner = divisible((place.channels if block.from_input else block.width) * block.ratio)
        self.shortcut = _shortcut(place, block.width, style)
        self.keeps = bool(style.shortcut) or not place.changes(block.width)
        self._add(steps, block, place, style, inner)
        last = block.kind in ATTENTION_LAST
        self.attn = block.attention(inner) if block.attention and not last else None
        self.attn_last = block.attention(block.width) if block.attention and last else None
        self.drop_path = DropPath(place.drop_path_rate)
        self.activation = None if block.linear else style.activation

    def _add(self, steps: tuple[Step, ...], block: Block, place: Place, style: Style, inner: int) -> None:
        channels = place.channels
        for step in steps:
            ends = step is steps[-1]
            width = block.width if ends else inner
            unit = style.unit(
                channels,
                width,
                step.window,
                strides=place.strides if step.strided else 1,
                dilation=place.dilation[step.dilation] if step.window > 1 else 1,
                groups=inner // block.group if step.grouped and block.group else 1,
                active=not ends,
                zero=ends and style.zero_init_last and self.keeps,
            )
            setattr(self, step.name, unit)
            channels = width

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, channels) to (n, out, out, width)."""
        y = x
        for name in self.names[:-1]:
            y = getattr(self, name)(y, train)
        y = y if self.attn is None else self.attn(y, train, branch_key(key, 0))
        y = getattr(self, self.names[-1])(y, train)
        y = y if self.attn_last is None else self.attn_last(y, train, branch_key(key, 1))
        y = self.drop_path(y, train, branch_key(key, 2))
        if self.keeps:
            y = y + (x if self.shortcut is None else self.shortcut(x, train))
        return y if self.activation is None else self.activation(y)


class AverageShortcut(nnx.Module):
    """An average in the place of the stride, then a 1x1 convolution."""

    def __init__(self, place: Place, width: int):
        self.pool = shortcut_average(place.strides, place.dilation[0])
        self.conv = ConvUnit(place.channels, width, 1, activation=None)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, channels) to (n, out, out, width)."""
        return self.conv(self.pool(x), train)


class Stem(nnx.Module):
    """3x3 convolutions conv1, conv2, ... one after another: the first strides, and either the last or a pool.

    Args:
        in_chans: channels of the images.
        widths: of each convolution.
        plain: how many of the first have neither norm nor activation.
        pool: "max" (3x3), "avg2" (2x2), or "" for none.
        style: as in `ResidualBlock`.
    """

    def __init__(self, in_chans: int, widths: tuple[int, ...], *, plain: int, pool: str, style: Style):
        self.count, channels = len(widths), in_chans
        style = replace(style, average=False)
        for number, width in enumerate(widths, 1):
            strides = 2 if number == 1 or (number == self.count and not pool) else 1
            build = _plain if number <= plain else style.unit
            setattr(self, f"conv{number}", build(channels, width, 3, strides=strides))
            channels = width
        self.pool = POOLS[pool]() if pool else None

    def levels(self, x: Float[Array, "n h w c"], train: bool = False) -> tuple[Array, Array]:
        """The last map at stride 2, and the stem's output, at stride 4."""
        maps = [x]
        for number in range(1, self.count + 1):
            maps.append(getattr(self, f"conv{number}")(maps[-1], train))
        return (maps[-2], maps[-1]) if self.pool is None else (maps[-1], self.pool(maps[-1]))

    @property
    def level_names(self) -> tuple[str, str]:
        """The modules that make `levels`."""
        last = f"conv{self.count}"
        return (f"conv{self.count - 1}", last) if self.pool is None else (last, "pool")


POOLS = {
    "max": partial(MaxPool, 3, strides=2, padding=1),
    "avg2": partial(AvgPool, 2, strides=2, padding="VALID"),
}


def squeeze_excite(channels: int, *, ratio: float = 1 / 16, divisor: int = 8) -> SqueezeExcite:
    """`SqueezeExcite` with a part of the channels between, rounded to a multiple of `divisor`."""
    reduced = divisible(channels * ratio, divisor, kept=0)
    return SqueezeExcite(channels, reduced, kernel_init=initializers.he_fan_out)


def channel_attention(channels: int) -> EfficientChannelAttention:
    """`EfficientChannelAttention` whose window grows with the channels (arXiv:1910.03151, equation 12)."""
    steps = int((math.log2(channels) + 1) / 2)
    return EfficientChannelAttention(max(steps if steps % 2 else steps + 1, 3))


def _plain(channels: int, width: int, window: int, *, strides: int) -> Conv:
    settings = {"padding": (window - 1) // 2, "strides": strides, "kernel_init": initializers.he_fan_out}
    return Conv(channels, width, window, use_bias=False, **settings)


def _shortcut(place: Place, width: int, style: Style) -> nnx.Module | None:
    if not style.shortcut or not place.changes(width):
        return None
    if style.shortcut == "avg":
        return AverageShortcut(place, width)
    return style.unit(place.channels, width, 1, strides=place.strides, active=False)
