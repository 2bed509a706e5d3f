"""ResNet v2: norm and activation before each convolution (He et al., "Identity Mappings", arXiv:1603.05027, figure 4e).

`*_bit` are Big Transfer's (Kolesnikov et al., arXiv:1912.11370): group norm, standardized kernels, all widths times a
factor, and a stem whose pool sees zeros around the map. The stride is in the 3x3 convolution.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

import jaxconv.functional as F
from jaxconv.models.head import ClassifierHead
from jaxconv.models.network import Network, check_output_stride
from jaxconv.models.published import variants
from jaxconv.models.widths import divisible
from jaxconv.nn import Conv, DropPath, Sequential, branch_key, initializers, rising_rates
from jaxconv.nn.conv_unit import shortcut_average
from jaxconv.nn.evonorm import EvoNormS0
from jaxconv.nn.filter_response import FilterResponseNorm
from jaxconv.nn.norm_act import BatchNormAct, GroupNormAct
from jaxconv.nn.standardized import StandardizedConv

NORMS: dict[str, Callable[[int], nnx.Module]] = {
    "batch": partial(BatchNormAct, activation=jax.nn.relu),
    "group": partial(GroupNormAct, activation=jax.nn.relu),
    "evo": EvoNormS0,
    "response": FilterResponseNorm,
}


def _conv(standardized: bool, before: int, after: int, window: int, *, strides=1, dilation=1, zero: bool = False):
    build = partial(StandardizedConv, epsilon=1e-8) if standardized else Conv
    draw = initializers.zeros if zero else initializers.he_fan_in
    padding = dilation * (window - 1) // 2
    spatial: dict[str, Any] = dict(padding=padding, strides=strides, dilation=dilation, use_bias=False)
    return build(before, after, window, kernel_init=draw, **spatial)


class Projection(nnx.Module):
    """A shortcut's convolution, its stride in itself or in an average before it."""

    def __init__(self, before: int, after: int, conv, *, strides: int, dilation: int, average: bool):
        self.pool = shortcut_average(strides, dilation) if average else None
        self.conv = conv(before, after, 1, strides=1 if average else strides)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, before) to (n, out, out, after)."""
        return self.conv(x if self.pool is None else self.pool(x))


class Block(nnx.Module):
    """Norm and activation before each of two 3x3 convolutions, or of 1x1, 3x3, 1x1.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        basic: whether there are two convolutions; three, with a quarter of the channels inside, otherwise.
        conv: builds a convolution.
        norm: builds a norm with its activation.
        strides: of the first 3x3 convolution.
        dilation: of the (second) 3x3 convolution.
        first_dilation: of the first one.
        shortcut: what the normalized input passes; None where the input itself is added.
        drop_path: rate of stochastic depth.
    """

    norm1: nnx.Module
    conv1: nnx.Module

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        basic: bool,
        conv,
        norm,
        strides: int,
        dilation: int,
        first_dilation: int,
        shortcut: nnx.Module | None,
        drop_path: int | float,
    ):
        self.downsample, self.drop_path = shortcut, DropPath(drop_path)
        inner = divisible(out_channels if basic else out_channels / 4)
        spatial = {"window": 3, "strides": strides, "dilation": first_dilation}
        steps = (
            ((inner, spatial), (out_channels, {"window": 3, "dilation": dilation}))
            if basic
            else ((inner, {"window": 1}), (inner, spatial), (out_channels, {"window": 1}))
        )
        self.depth, before = len(steps), in_channels
        for index, (width, settings) in enumerate(steps, start=1):
            setattr(self, f"norm{index}", norm(before))
            setattr(self, f"conv{index}", conv(before, width, zero=index == len(steps), **settings))
            before = width

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, in_channels) to (n, out, out, out_channels)."""
        y = self.norm1(x, train)
        shortcut = x if self.downsample is None else self.downsample(y, train)
        y = self.conv1(y)
        for index in range(2, self.depth + 1):
            y = getattr(self, f"conv{index}")(getattr(self, f"norm{index}")(y, train))
        return self.drop_path(y, train, key) + shortcut


class Stem(nnx.Module):
    """A 7x7 convolution, or three 3x3 ones with norms between; the pool comes after, in the network."""

    def __init__(self, in_chans: int, width: int, kind: str, conv, norm):
        if kind in ("", "fixed"):
            self.conv = conv(in_chans, width, 7, strides=2)
        else:
            first = 3 * width // 8 if kind == "tiered" else width // 2
            self.conv1, self.norm1 = conv(in_chans, first, 3, strides=2), norm(first)
            self.conv2, self.norm2 = conv(first, width // 2, 3), norm(width // 2)
            self.conv3 = conv(width // 2, width, 3)
        self.deep = kind not in ("", "fixed")

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, in_chans) to (n, h / 2, w / 2, width)."""
        if not self.deep:
            return self.conv(x)
        return self.conv3(self.norm2(self.conv2(self.norm1(self.conv1(x), train)), train))


class ResNetV2(Network):
    """A stem, four stages of blocks, a last norm, a classifier.

    Args:
        num_classes: length of the output; 0 leaves out the classifier.
        in_chans: channels of the input.
        layers: blocks of each stage.
        basic: as in `Block`.
        width: factor of all channels.
        stem: "" for 7x7, "fixed" for 7x7 with a pool that sees zeros, "deep" for three 3x3, "tiered" for ones that
        widen. average: whether shortcuts average where they stride. norm: one of `NORMS`. standardized: whether
        kernels are standardized. drop_rate: dropout before the classifier. drop_path_rate: rate of stochastic depth
        in the last block. global_pool: as in `GlobalPool`. output_stride: 32, 16 or 8; below 32 the last strides
        become dilation.

    Raises:
        ValueError: if the output stride is none of these.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        *,
        layers: tuple[int, ...],
        basic: bool = False,
        width: int = 1,
        stem: str = "",
        average: bool = False,
        norm: str = "batch",
        standardized: bool = False,
        drop_rate: int | float = 0.0,
        drop_path_rate: int | float = 0.0,
        global_pool: str = "avg",
        output_stride: int = 32,
    ):
        check_output_stride(output_stride)
        conv, build = partial(_conv, standardized), NORMS[norm]
        self.fixed = stem == "fixed"
        self.stem = Stem(in_chans, 64 * width, stem, conv, build)
        widths = [count * width * (1 if basic else 4) for count in (64, 128, 256, 512)]
        common = dict(basic=basic, conv=conv, norm=build)
        stages = _stages(64 * width, layers, widths, average, drop_path_rate, output_stride, common)
        self.stages = Sequential(*stages)
        self.level_names = ("stem.conv3" if self.stem.deep else "stem.conv", *(f"stages.{i}" for i in range(4)))
        self.norm = build(widths[-1])
        settings: dict[str, Any] = dict(
            global_pool=global_pool, drop_rate=drop_rate, kernel_init=initializers.normal(0.01)
        )
        self.head = ClassifierHead(widths[-1], num_classes, convolution=True, **settings)

    def features(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "n _h _w _c"], ...]:
        """The maps after the stem's convolutions and after each stage, before norm and activation."""
        maps = [self.stem(x, train)]
        if self.fixed:
            y = F.max_pool(jnp.pad(maps[0], ((0, 0), (1, 1), (1, 1), (0, 0))), 3, strides=2, padding="VALID")
        else:
            y = F.max_pool(maps[0], 3, strides=2, padding=1)
        for index, stage in enumerate(self.stages):
            y = stage(y, train, branch_key(key, index))
            maps.append(y)
        return tuple(maps)

    def classify(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."]:
        """From the last map of `features` to logits (n, num_classes)."""
        return self.head(self.norm(x, train), train, key)


class Stage(nnx.Module):
    """The blocks of a stage, under the name that the reference gives them."""

    def __init__(self, blocks: list[Block]):
        self.blocks = Sequential(*blocks)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Applies the blocks."""
        return self.blocks(x, train, key)


def _stages(before: int, layers, widths, average: bool, drop_path_rate, output_stride: int, common) -> list[Stage]:
    rates = iter(rising_rates(drop_path_rate, sum(layers)))
    stride, dilation, stages = 4, 1, []
    for index, (count, width) in enumerate(zip(layers, widths)):
        wanted = 2 if index else 1
        strides = wanted if stride < output_stride else 1
        dilation, stride = dilation * wanted // strides, stride * strides
        first, blocks = 1 if dilation in (1, 2) else 2, []
        for number in range(count):
            step, join = strides if number == 0 else 1, None
            changes = step > 1 or before != width or first != dilation
            if number == 0 and (changes or not common["basic"]):
                settings: dict[str, Any] = dict(strides=step, dilation=dilation, average=average)
                join = Projection(before, width, common["conv"], **settings)
            spatial = dict(strides=step, dilation=dilation, first_dilation=first if number == 0 else dilation)
            blocks.append(Block(before, width, shortcut=join, drop_path=next(rates), **spatial, **common))
            before = width
        stages.append(Stage(blocks))
    return stages


_DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
_D = {"stem": "deep", "average": True}
_BIT = {"stem": "fixed", "norm": "group", "standardized": True}


def _row(depth: int, **settings):
    return {"layers": _DEPTHS[depth], "basic": depth < 50, **settings}


VARIANTS = variants(
    ResNetV2,
    "He et al. 2016, arXiv:1603.05027; BiT: Kolesnikov et al. 2019, arXiv:1912.11370",
    {
        **{f"resnetv2_{depth}": _row(depth) for depth in _DEPTHS},
        **{f"resnetv2_{depth}d": _row(depth, **_D) for depth in _DEPTHS},
        "resnetv2_50t": _row(50, **_D | {"stem": "tiered"}),
        "resnetv2_50d_gn": _row(50, **_D, norm="group"),
        "resnetv2_50d_evos": _row(50, **_D, norm="evo"),
        "resnetv2_50d_frn": _row(50, **_D, norm="response"),
        **{
            f"resnetv2_{depth}x{width}_bit": _row(depth, width=width, **_BIT)
            for depth, width in ((50, 1), (50, 3), (101, 1), (101, 3), (152, 2), (152, 4))
        },
    },
)
