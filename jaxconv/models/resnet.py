"""ResNet and what was built on it: ResNeXt, wide, squeeze-and-excitation, ECA, anti-aliased, ResNet-RS.

He et al., "Deep Residual Learning", arXiv:1512.03385, with the stride in the bottleneck's 3x3 convolution ("v1.5").
Stems and shortcuts: He et al., "Bag of Tricks", arXiv:1812.01187, figures 1 and 2. In timm's names a letter says which:
c has a stem of three 3x3 convolutions, d also averages before the shortcut's convolution, s has the wider deep stem, t
a tiered one (24, 32, 64). SENet-154 is Hu et al., arXiv:1709.01507; RS is Bello et al., arXiv:2103.07579.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.models.head import GlobalPool
from jaxconv.models.network import Network, check_output_stride
from jaxconv.models.published import variants
from jaxconv.models.resnet_table import PRUNED, TABLE
from jaxconv.models.widths import divisible
from jaxconv.nn import (
    Activate,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    DropPath,
    EfficientChannelAttention,
    GroupNorm,
    MaxPool,
    Sequential,
    SqueezeExcite,
    branch_key,
    initializers,
    rising_rates,
)
from jaxconv.nn.conv_unit import shortcut_average
from jaxconv.nn.pool import BlurPool
from jaxconv.nn.variables import parameter

Norm = Callable[[int], nnx.Module]
Smoothing = Literal["", "avg", "blur"]
NORMS = {"batch": BatchNorm, "group": GroupNorm}


def conv(in_channels: int, out_channels: int, window: int, *, strides: int = 1, dilation: int = 1, groups: int = 1):
    """A convolution without bias that keeps the size at stride 1."""
    return Conv(
        in_channels,
        out_channels,
        window,
        padding=dilation * (window - 1) // 2,
        strides=strides,
        dilation=dilation,
        groups=groups,
        use_bias=False,
        kernel_init=initializers.he_fan_out,
    )


class Block(nnx.Module):
    """A residual block: two 3x3 convolutions, or the bottleneck of 1x1, 3x3, 1x1; a gate; the shortcut.

    Args:
        in_channels: channels of the input.
        widths: channels after each convolution: two or three of them.
        strides: stride of the (first) 3x3 convolution and of the shortcut.
        dilation: of the 3x3 convolutions.
        first_dilation: of the first one and of the shortcut, where the block before has another than this.
        groups: of the bottleneck's 3x3 convolution.
        norm: builds a norm from a number of channels.
        smoothing: what strides in the place of the 3x3 convolution: "avg", "blur", or "" for nothing.
        gate: the channel gate; None for none.
        shortcut: what the input passes; None for the identity.
        drop_path: rate of stochastic depth.
    """

    def __init__(
        self,
        in_channels: int,
        widths: tuple[int, ...],
        *,
        strides: int = 1,
        dilation: int = 1,
        first_dilation: int = 1,
        groups: int = 1,
        norm: Norm = BatchNorm,
        smoothing: Smoothing = "",
        gate: nnx.Module | None = None,
        shortcut: Callable[..., Array] | None = None,
        drop_path: int | float = 0.0,
    ):
        smoothed = smoothing and (strides > 1 or first_dilation != dilation)
        strided = {"strides": 1 if smoothed else strides, "dilation": first_dilation}
        if len(widths) == 2:
            settings = ({"window": 3, **strided}, {"window": 3, "dilation": dilation})
        else:
            settings = ({"window": 1}, {"window": 3, **strided, "groups": groups}, {"window": 1})
        self.depth = len(widths)
        for i, (before, width, setting) in enumerate(zip((in_channels, *widths), widths, settings), start=1):
            setattr(self, f"conv{i}", conv(before, width, **setting))
            setattr(self, f"bn{i}", norm(width))
        getattr(self, f"bn{self.depth}").scale = parameter((widths[-1],), initializers.zeros)
        self.aa = smoother(smoothing, strides) if smoothed else None
        self.se = gate
        self.downsample = shortcut
        self.drop_path = DropPath(drop_path)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, in_channels) to (n, out, out, widths[-1])."""
        y = x
        for i in range(1, self.depth + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y), train)
            y = jax.nn.relu(y) if i < self.depth else y
            y = self.aa(y) if self.aa is not None and i == self.depth - 1 else y
        y = y if self.se is None else self.se(y)
        shortcut = x if self.downsample is None else self.downsample(x, train)
        return jax.nn.relu(self.drop_path(y, train, key) + shortcut)


def smoother(kind: Smoothing, strides: int) -> nnx.Module:
    """What lowers the resolution after a convolution of stride 1: an average, or a blur (Zhang, arXiv:1904.11486)."""
    return AvgPool(strides, strides=strides, padding="VALID") if kind == "avg" else BlurPool(3, strides=strides)


def squeeze(channels: int, ratio: int | float = 1 / 16) -> SqueezeExcite:
    """The gate of SE-ResNets: a sixteenth of the channels in between, rounded to eights."""
    reduced = divisible(channels * ratio, 8, kept=0)
    return SqueezeExcite(channels, reduced, kernel_init=initializers.he_fan_out)


def attend(channels: int) -> EfficientChannelAttention:
    """The gate of ECA-Nets, whose window grows with the channels (arXiv:1910.03151, equation 12: gamma 2, b 1)."""
    reach = int(abs(math.log2(channels) + 1) / 2)
    return EfficientChannelAttention(max(reach if reach % 2 else reach + 1, 3))


GATES = {"": None, "se": squeeze, "se4": partial(squeeze, ratio=1 / 4), "eca": attend}


class ResNet(Network):
    """A stem, four stages of residual blocks, a classifier.

    Args:
        num_classes: length of the output; 0 leaves out the classifier.
        in_chans: channels of the input.
        layers: blocks of each stage.
        bottleneck: whether each stage's blocks are bottlenecks; one answer for all, or one for each.
        channels: width of each stage, a quarter of a bottleneck's output.
        groups: of the bottleneck's 3x3 convolution.
        base_width: width of a bottleneck's group where the stage is 64 wide.
        stem: "" for the 7x7 convolution, "deep" for three 3x3 ones, "tiered" for three that widen.
        stem_width: width of a deep stem, half of what it returns.
        stem_pool: whether the stem ends in a max pool; a strided 3x3 convolution takes its place otherwise.
        shortcut: window of the shortcut's convolution; 0 for 1x1 after an average.
        reduce_first: what a block's first convolution divides its width by.
        norm: "batch" or "group".
        smoothing: as in `Block`.
        gate: one of `GATES`.
        pruned: a row of `PRUNED`, the widths of every block of a pruned network; "" for none.
        drop_rate: dropout before the classifier.
        drop_path_rate: rate of stochastic depth in the last block.
        global_pool: as in `GlobalPool`.
        output_stride: 32, 16 or 8; below 32 the last strides become dilation.

    Raises:
        ValueError: if the output stride is none of these.
    """

    level_names = ("act1", "layer1", "layer2", "layer3", "layer4")

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        *,
        layers: tuple[int, ...],
        bottleneck: bool | tuple[bool, ...] = True,
        channels: tuple[int, ...] = (64, 128, 256, 512),
        groups: int = 1,
        base_width: int = 64,
        stem: str = "",
        stem_width: int = 64,
        stem_pool: bool = True,
        shortcut: int = 1,
        reduce_first: int = 1,
        norm: str = "batch",
        smoothing: Smoothing = "",
        gate: str = "",
        pruned: str = "",
        drop_rate: int | float = 0.0,
        drop_path_rate: int | float = 0.0,
        global_pool: str = "avg",
        output_stride: int = 32,
    ):
        check_output_stride(output_stride)
        self.norm, self.smoothing, self.groups, self.shortcut = NORMS[norm], smoothing, groups, shortcut
        width = self._add_stem(in_chans, stem, stem_width, stem_pool)
        kinds = bottleneck if isinstance(bottleneck, tuple) else (bottleneck,) * len(layers)
        planned = _widths(layers, kinds, channels, groups, base_width, reduce_first)
        # A pruned block keeps the gate's window of the block that it was.
        gates = [None if GATES[gate] is None else partial(GATES[gate], stage[0][-1]) for stage in planned]
        width = self._add_stages(width, PRUNED[pruned] if pruned else planned, gates, drop_path_rate, output_stride)
        self.pool = GlobalPool(global_pool, num_classes)
        self.dropout = Dropout(drop_rate)
        self.fc = Dense(self.pool.width(width), num_classes) if num_classes else None

    def _add_stem(self, in_chans: int, stem: str, stem_width: int, stem_pool: bool) -> int:
        width = 2 * stem_width if stem else 64
        if stem:
            first = 3 * (stem_width // 4) if stem == "tiered" else stem_width
            steps = [conv(in_chans, first, 3, strides=2), self.norm(first), Activate()]
            steps += [conv(first, stem_width, 3), self.norm(stem_width), Activate(), conv(stem_width, width, 3)]
            self.conv1 = Sequential(*steps)
        else:
            self.conv1 = conv(in_chans, width, 7, strides=2)
        self.bn1 = self.norm(width)
        self.maxpool = self._stem_pool(width, stem_pool)
        return width

    def _stem_pool(self, width: int, stem_pool: bool):
        if not stem_pool:
            return Sequential(conv(width, width, 3, strides=2), self.norm(width), Activate())
        if self.smoothing == "avg":
            return AvgPool(2, strides=2, padding="VALID")
        if self.smoothing == "blur":
            return Sequential(MaxPool(3, strides=1, padding=1), BlurPool(3, strides=2))
        return MaxPool(3, strides=2, padding=1)

    def _add_stages(self, width: int, widths, gates, drop_path_rate: int | float, output_stride: int) -> int:
        rates = iter(rising_rates(drop_path_rate, sum(map(len, widths))))
        stride, dilation, before = 4, 1, 1
        for index, stage in enumerate(widths):
            wanted = 1 if index == 0 else 2
            strides = wanted if stride < output_stride else 1
            dilation, stride = dilation * wanted // strides, stride * strides
            blocks = []
            for number, block in enumerate(stage):
                first = number == 0
                step = strides if first else 1
                changes = step > 1 or width != block[-1]
                joins = self._shortcut(width, block[-1], step, dilation, before) if first and changes else None
                settings: dict[str, Any] = dict(
                    dilation=dilation, first_dilation=before, norm=self.norm, smoothing=self.smoothing
                )
                settings |= dict(groups=self.groups, shortcut=joins, drop_path=next(rates))
                settings |= dict(gate=gates[index] and gates[index]())
                blocks.append(Block(width, block, strides=step, **settings))
                width, before = block[-1], dilation
            setattr(self, f"layer{index + 1}", Sequential(*blocks))
        return width

    def _shortcut(self, before: int, width: int, strides: int, dilation: int, first_dilation: int):
        if self.shortcut == 0:
            return Sequential(shortcut_average(strides, dilation), conv(before, width, 1), self.norm(width))
        window = 1 if strides == dilation == 1 else self.shortcut
        spread = first_dilation if window > 1 else 1
        return Sequential(conv(before, width, window, strides=strides, dilation=spread), self.norm(width))

    def features(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "n _h _w _c"], ...]:
        """The maps after the stem's convolutions and after each stage."""
        maps = [jax.nn.relu(self.bn1(self.conv1(x, train), train))]
        y = self.maxpool(maps[0], train)
        for index in range(1, 5):
            y = getattr(self, f"layer{index}")(y, train, branch_key(key, index))
            maps.append(y)
        return tuple(maps)

    def classify(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."]:
        """From the last map to logits (n, num_classes)."""
        y = self.dropout(self.pool(x), train, key)
        return y if self.fc is None else self.fc(y)


def _widths(layers, kinds, channels, groups: int, base_width: int, reduce_first: int):
    """The channels after each convolution of each block of each stage."""
    stages = []
    for count, bottleneck, planes in zip(layers, kinds, channels):
        width = math.floor(planes * (base_width / 64)) * groups
        block = (width // reduce_first, width, 4 * planes) if bottleneck else (planes // reduce_first, planes)
        stages.append((block,) * count)
    return tuple(stages)


VARIANTS = variants(ResNet, "He et al. 2015, arXiv:1512.03385", TABLE)
