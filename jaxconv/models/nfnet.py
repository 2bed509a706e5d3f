"""Networks without norms: NFNet (Brock et al., arXiv:2102.06171, table 1), NF-ResNet and NF-RegNet (arXiv:2101.08692).

Standardized kernels, activations of unit gain and a known variance take the place of norms: each block divides its
input by the deviation that it must have by then, and adds alpha times its branch. `dm_nfnet_*` are as DeepMind's
weights have them (SAME padding, the gain in the activation, a gain on each branch that starts at zero); the others
are timm's.
"""

from functools import partial

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

import jaxconv.functional as F
from jaxconv.functional.combine import spread
from jaxconv.models.head import ClassifierHead
from jaxconv.models.network import Network, check_output_stride
from jaxconv.models.nfnet_table import TABLE
from jaxconv.models.published import variants
from jaxconv.models.resnet import attend
from jaxconv.models.widths import divisible
from jaxconv.nn import DropPath, Sequential, SqueezeExcite, activation, branch_key, initializers, rising_rates
from jaxconv.nn.activation import Activation
from jaxconv.nn.conv_unit import shortcut_average
from jaxconv.nn.standardized import ScaledConv
from jaxconv.nn.variables import parameter, read

ALPHA, GATE_GAIN = 0.2, 2.0
GAINS = {"relu": 1.7139588594446636, "silu": 1.7881293296813965, "gelu": 1.7015043497085571}
"""1 over the deviation of activation(x) for normal x: arXiv:2101.08692, section 4.3 (DeepMind's constants)."""


def _conv(same: bool, gamma: float, before: int, after: int, window: int, *, strides=1, dilation=1, groups=1, gain=1.0):
    padding = "SAME" if same else (strides - 1 + dilation * (window - 1)) // 2
    spatial = dict(padding=padding, strides=strides, dilation=dilation, groups=groups)
    draws = dict(kernel_init=initializers.lecun, gain_init=initializers.constant(gain))
    return ScaledConv(before, after, window, gamma=gamma, epsilon=1e-5, **spatial, **draws)


class Projection(nnx.Module):
    """A shortcut: an average where the block strides, a 1x1 convolution."""

    def __init__(self, before: int, after: int, conv, *, strides: int, dilation: int):
        self.pool, self.conv = shortcut_average(strides, dilation), conv(before, after, 1)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, before) to (n, out, out, after)."""
        return self.conv(self.pool(x))


class Block(nnx.Module):
    """Activation before 1x1, 3x3, perhaps another 3x3, 1x1; a gate; alpha times all that beside the shortcut.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        inner: channels between.
        groups: of the 3x3 convolutions.
        deviation: that the input has.
        conv: builds a convolution.
        act: the activation.
        strides: of the first 3x3 convolution.
        dilation: of the second one.
        first_dilation: of the first one.
        twice: whether there is the second one.
        gate: builds the channel gate from a number of channels; None for none.
        gate_inside: whether the gate stands before the last convolution.
        skip_gain: whether the branch has a learned gain that starts at zero.
        drop_path: rate of stochastic depth.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        inner: int,
        groups: int,
        deviation: float,
        conv,
        act: Activation,
        strides: int,
        dilation: int,
        first_dilation: int,
        twice: bool,
        gate,
        gate_inside: bool,
        skip_gain: bool,
        drop_path: int | float,
    ):
        self.act, self.deviation, self.drop_path = act, deviation, DropPath(drop_path)
        changes = in_channels != out_channels or strides > 1 or dilation != first_dilation
        joins = Projection(in_channels, out_channels, conv, strides=strides, dilation=dilation) if changes else None
        self.downsample = joins
        self.conv1 = conv(in_channels, inner, 1)
        self.conv2 = conv(inner, inner, 3, strides=strides, dilation=first_dilation, groups=groups)
        self.conv2b = conv(inner, inner, 3, dilation=dilation, groups=groups) if twice else None
        self.attn = gate(inner) if gate and gate_inside else None
        self.conv3 = conv(inner, out_channels, 1, gain=1.0 if skip_gain else 0.0)
        self.attn_last = gate(out_channels) if gate and not gate_inside else None
        self.skipinit_gain = parameter((), initializers.zeros) if skip_gain else None

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, in_channels) to (n, out, out, out_channels)."""
        y = self.act(x) / self.deviation
        shortcut = x if self.downsample is None else self.downsample(y)
        y = self.conv2(self.act(self.conv1(y)))
        y = y if self.conv2b is None else self.conv2b(self.act(y))
        y = y if self.attn is None else GATE_GAIN * self.attn(y)
        y = self.conv3(self.act(y))
        y = y if self.attn_last is None else GATE_GAIN * self.attn_last(y)
        y = self.drop_path(y, train, key)
        y = y if self.skipinit_gain is None else y * spread(read(self.skipinit_gain, y.dtype), y)
        return ALPHA * y + shortcut


class Stem(nnx.Module):
    """One convolution, or four 3x3 ones with activations between and strides in the first and last."""

    conv1: nnx.Module
    conv2: nnx.Module
    conv3: nnx.Module
    conv4: nnx.Module

    def __init__(self, in_chans: int, width: int, kind: str, conv, act: Activation):
        self.act, self.deep = act, kind == "quad"
        if self.deep:
            widths = (width // 8, width // 4, width // 2, width)
            for index, (before, after, strides) in enumerate(zip((in_chans, *widths), widths, (2, 1, 1, 2)), start=1):
                setattr(self, f"conv{index}", conv(before, after, 3, strides=strides))
        else:
            self.conv = conv(in_chans, width, 7 if kind == "7x7" else 3, strides=2)
        self.pooled = kind == "7x7"

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "n _h _w _c"], Float[Array, "n h2 w2 k"]]:
        """The map at stride 2 and what the stages read."""
        if not self.deep:
            y = self.conv(x)
            return y, F.max_pool(y, 3, strides=2, padding=1) if self.pooled else y
        y = self.conv3(self.act(self.conv2(self.act(self.conv1(x)))))
        return y, self.conv4(self.act(y))


class NFNet(Network):
    """A stem, four stages of blocks, perhaps a last 1x1 convolution, a classifier.

    Args:
        num_classes: length of the output; 0 leaves out the classifier.
        in_chans: channels of the input.
        depths: blocks of each stage.
        channels: of each stage.
        stem: "quad" for four 3x3 convolutions, "7x7" for one and a pool, "3x3".
        stem_width: channels of the stem; 0 for those of the first stage.
        group_size: channels of a group of the 3x3 convolutions; 0 for one group.
        gate: "se", "eca" or "".
        gate_ratio: channels inside a squeeze-and-excitation gate, as a part of those outside.
        width: factor of all channels.
        bottleneck: inner channels as a part of the outer ones.
        features_out: channels of the last convolution; 0 for none.
        reg: NF-RegNet's: inner channels count from the input's, the gate stands inside.
        twice: as in `Block`.
        deepmind: SAME padding, the gain in the activation, a gain on each branch.
        act: name of the activation, one of `GAINS`.
        drop_rate: dropout before the classifier.
        drop_path_rate: rate of stochastic depth in the last block.
        global_pool: as in `GlobalPool`.
        output_stride: 32, 16 or 8; below 32 the last strides become dilation.

    Raises:
        ValueError: if the output stride is none of these.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        *,
        depths: tuple[int, ...],
        channels: tuple[int, ...],
        stem: str = "quad",
        stem_width: int = 0,
        group_size: int = 0,
        gate: str = "",
        gate_ratio: int | float = 0.5,
        width: int | float = 1.0,
        bottleneck: int | float = 0.5,
        features_out: int = 0,
        reg: bool = False,
        twice: bool = False,
        deepmind: bool = False,
        act: str = "silu",
        drop_rate: int | float = 0.0,
        drop_path_rate: int | float = 0.0,
        global_pool: str = "avg",
        output_stride: int = 32,
    ):
        check_output_stride(output_stride)
        self.act = partial(_gained, activation(act), GAINS[act]) if deepmind else activation(act)
        conv = partial(_conv, deepmind, 1.0 if deepmind else GAINS[act])
        before = divisible((stem_width or channels[0]) * width)
        self.stem = Stem(in_chans, before, stem, conv, self.act)
        gates = {"": None, "se": partial(_squeeze, gate_ratio), "eca": attend}
        block = dict(conv=conv, act=self.act, twice=twice, gate=gates[gate], gate_inside=reg, skip_gain=deepmind)
        sizes = dict(group_size=group_size, bottleneck=bottleneck, reg=reg)
        widths = [divisible(count * width) for count in channels]
        stride = 2 if stem == "3x3" else 4
        self.stages = Sequential(*_stages(before, depths, widths, stride, drop_path_rate, output_stride, sizes, block))
        after = divisible(width * features_out) if features_out else widths[-1]
        self.final_conv = conv(widths[-1], after, 1) if features_out else None
        ends = [f"stages.{index}" for index in range(3)] + ["final_conv" if features_out else "stages.3"]
        self.level_names = ("stem.conv3" if self.stem.deep else "stem.conv", *ends)
        draw = initializers.normal(0.01)
        self.head = ClassifierHead(after, num_classes, global_pool=global_pool, drop_rate=drop_rate, kernel_init=draw)

    def features(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "n _h _w _c"], ...]:
        """The maps after the stem's convolutions at stride 2 and after each stage, the last one convolved once more."""
        first, y = self.stem(x)
        maps = [first]
        for index, stage in enumerate(self.stages):
            y = stage(y, train, branch_key(key, index))
            maps.append(y)
        return (*maps[:-1], maps[-1] if self.final_conv is None else self.final_conv(maps[-1]))

    def classify(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."]:
        """From the last map of `features` to logits (n, num_classes)."""
        return self.head(self.act(x), train, key)


def _gained(act: Activation, gain: float, x: Array) -> Array:
    return act(x) * jnp.asarray(gain, x.dtype)


def _squeeze(ratio: float, channels: int) -> SqueezeExcite:
    return SqueezeExcite(channels, divisible(channels * ratio, 8, kept=0))


def _inner(before: int, width: int, ratio: float, group_size: int, reg: bool) -> tuple[int, int]:
    """Channels inside a block and the groups that they make."""
    inner = divisible((before if reg else width) * ratio)
    groups = inner // group_size if group_size else 1
    return (group_size * groups if group_size and group_size % 8 == 0 else inner), groups


def _stages(before, depths, widths, stride: int, drop_path_rate, output_stride: int, sizes, block) -> list[nnx.Module]:
    rates, variance = iter(rising_rates(drop_path_rate, sum(depths))), 1.0
    dilation, stages = 1, []
    for index, (count, width) in enumerate(zip(depths, widths)):
        strides = 1 if index == 0 and stride > 2 else 2
        if stride >= output_stride and strides > 1:
            dilation, strides = dilation * strides, 1
        stride *= strides
        first, blocks = 1 if dilation in (1, 2) else 2, []
        for number in range(count):
            ratio = 1.0 if sizes["reg"] and index == number == 0 else sizes["bottleneck"]
            inner, groups = _inner(before, width, ratio, sizes["group_size"], sizes["reg"])
            spatial = dict(strides=1 if number else strides, dilation=dilation, first_dilation=first)
            shape = dict(inner=inner, groups=groups, deviation=variance**0.5, drop_path=next(rates))
            blocks.append(Block(before, width, **shape, **spatial, **block))
            # The first block of a stage starts from its own shortcut: the variance begins anew.
            variance = (variance if number else 1.0) + ALPHA**2
            before, first = width, dilation
        stages.append(Sequential(*blocks))
    return stages


VARIANTS = variants(NFNet, "Brock et al. 2021, arXiv:2101.08692 and arXiv:2102.06171, table 1", TABLE)
