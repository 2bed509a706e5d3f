"""ConvNeXt: a ResNet rebuilt after the vision transformer (Liu et al., "A ConvNet for the 2020s", arXiv:2201.03545).

`convnextv2_*` replaces layer scale by global response norm (Woo et al., arXiv:2301.00808). The small ones (atto to
nano) are timm's and have their widths from V2's table 9; `ols` has an overlapping stem. In the reference some of them
hold the two pointwise layers as 1x1 convolutions and others as dense layers (`conv_mlp`): the numbers are the same,
the shapes in a checkpoint are not.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.models.head import ClassifierHead, NormClassifierHead
from jaxconv.models.network import Network, check_output_stride
from jaxconv.models.published import variants
from jaxconv.models.widths import divisible
from jaxconv.nn import (
    Activate,
    Conv,
    Dense,
    DropPath,
    LayerNorm,
    Sequential,
    activation,
    branch_key,
    initializers,
    rising_rates,
)
from jaxconv.nn.still_norm import GlobalResponseNorm, ScaleNorm
from jaxconv.nn.variables import parameter, per_channel, read

Norm = Callable[..., nnx.Module]
NORMS = {"layer": LayerNorm, "rms": ScaleNorm, "simple": partial(ScaleNorm, centred=True)}
_normal = initializers.trunc_normal(0.02)
_conv = partial(Conv, kernel_init=_normal)


class Mlp(nnx.Module):
    """Pointwise to four times the width, activation, perhaps a response norm, pointwise back."""

    def __init__(self, width: int, *, conv_mlp: bool, act: str, response: bool):
        def point(before: int, after: int):
            return _conv(before, after, 1, padding=0) if conv_mlp else Dense(before, after, kernel_init=_normal)

        self.fc1, self.fc2 = point(width, 4 * width), point(4 * width, width)
        self.act = activation(act)
        self.grn = GlobalResponseNorm(4 * width) if response else None

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n h w c"]:
        """Maps x (n, h, w, width) to the same shape."""
        y = self.act(self.fc1(x))
        return self.fc2(y if self.grn is None else self.grn(y))


class Block(nnx.Module):
    """Depthwise convolution, norm, `Mlp`, layer scale, drop path; all of it beside the identity.

    Args:
        width: channels.
        window: of the depthwise convolution.
        dilation: of the same.
        norm: builds a norm from a number of channels.
        layer_scale: whether each channel of the branch has a factor, which starts at 1e-6.
        drop_path: rate of stochastic depth.
        **mlp: as in `Mlp`.
    """

    def __init__(
        self, width: int, *, window: int, dilation: int, norm: Norm, layer_scale: bool, drop_path: int | float, **mlp
    ):
        padding = dilation * (window - 1) // 2
        self.conv_dw = _conv(width, width, window, padding=padding, dilation=dilation, groups=width)
        self.norm, self.mlp = norm(width), Mlp(width, **mlp)
        self.gamma = parameter((width,), initializers.constant(1e-6)) if layer_scale else None
        self.drop_path = DropPath(drop_path)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n h w c"]:
        """Maps x (n, h, w, width) to the same shape."""
        y = self.mlp(self.norm(self.conv_dw(x)))
        y = y if self.gamma is None else y * per_channel(read(self.gamma, y.dtype), y)
        return x + self.drop_path(y, train, key)


class Stage(nnx.Module):
    """Blocks of one width, behind a norm and a convolution that change width and resolution where they differ."""

    def __init__(
        self,
        before: int,
        width: int,
        depth: int,
        *,
        strides: int,
        dilation: tuple[int, int],
        rates,
        norm: Norm,
        **block,
    ):
        reduce = None
        if before != width or strides > 1 or dilation[0] != dilation[1]:
            window = 2 if strides > 1 or dilation[0] != dilation[1] else 1
            padding = "SAME" if dilation[1] > 1 else 0
            reduce = _conv(before, width, window, strides=strides, dilation=dilation[0], padding=padding)
        self.downsample = None if reduce is None else Sequential(norm(before), reduce)
        settings: dict[str, Any] = dict(dilation=dilation[1], norm=norm, **block)
        self.blocks = Sequential(*(Block(width, drop_path=rates[i], **settings) for i in range(depth)))

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, before) to (n, out, out, width)."""
        return self.blocks(x if self.downsample is None else self.downsample(x), train, key)


class ConvNeXt(Network):
    """A stem of stride 4, four stages, a head that normalizes after its pool.

    Args:
        num_classes: length of the output; 0 leaves out the classifier.
        in_chans: channels of the input.
        depths: blocks of each stage.
        widths: channels of each stage.
        windows: of the depthwise convolutions of each stage.
        stem: "patch" (4x4), "overlap" (two 3x3), "tiered" (the first of half the width), "act" (with an activation).
        conv_mlp: whether the reference holds pointwise layers as convolutions.
        response: whether blocks have a global response norm.
        layer_scale: whether blocks have a factor for each channel.
        norm: one of `NORMS`.
        epsilon: of the norms.
        act: name of the activation.
        norm_first: whether the head normalizes before its pool.
        hidden: width of the head's hidden layer; 0 for none.
        drop_rate: dropout before the classifier.
        drop_path_rate: rate of stochastic depth in the last block.
        global_pool: as in `GlobalPool`.
        output_stride: 32, 16 or 8; below 32 the last strides become dilation.

    Raises:
        ValueError: if the output stride is none of these.
    """

    level_names = tuple(f"stages.{index}" for index in range(4))

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        *,
        depths: tuple[int, ...],
        widths: tuple[int, ...],
        windows: tuple[int, ...] = (7, 7, 7, 7),
        stem: str = "patch",
        conv_mlp: bool = False,
        response: bool = False,
        layer_scale: bool = True,
        norm: str = "layer",
        epsilon: int | float = 1e-6,
        act: str = "gelu",
        norm_first: bool = False,
        hidden: int = 0,
        drop_rate: int | float = 0.0,
        drop_path_rate: int | float = 0.0,
        global_pool: str = "avg",
        output_stride: int = 32,
    ):
        check_output_stride(output_stride)
        build = partial(NORMS[norm], epsilon=epsilon)
        self.stem = _stem(stem, in_chans, widths[0], build, act)
        block = dict(norm=build, conv_mlp=conv_mlp, act=act, response=response, layer_scale=layer_scale)
        self.stages = Sequential(*_stages(depths, widths, windows, drop_path_rate, output_stride, block))
        self.norm_pre = build(widths[-1]) if norm_first else None
        settings: dict[str, Any] = dict(global_pool=global_pool, drop_rate=drop_rate, kernel_init=_normal)
        head = ClassifierHead if norm_first else partial(NormClassifierHead, norm=build, hidden=hidden)
        self.head = head(widths[-1], num_classes, **settings)

    def features(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "n _h _w _c"], ...]:
        """The maps of the four stages."""
        maps, y = [], self.stem(x)
        for index, stage in enumerate(self.stages):
            y = stage(y, train, branch_key(key, index))
            maps.append(y)
        return tuple(maps)

    def classify(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."]:
        """From the last map of `features` to logits (n, num_classes)."""
        return self.head(x if self.norm_pre is None else self.norm_pre(x), train, key)


def _stem(kind: str, in_chans: int, width: int, norm: Norm, act: str) -> nnx.Module:
    if kind == "patch":
        return Sequential(_conv(in_chans, width, 4, strides=4, padding=0), norm(width))
    middle = divisible(width // 2) if kind == "tiered" else width
    between = [Activate(activation(act))] if kind == "act" else []
    halves = [_conv(a, b, 3, strides=2, padding=1) for a, b in ((in_chans, middle), (middle, width))]
    return Sequential(halves[0], *between, halves[1], norm(width))


def _stages(depths, widths, windows, drop_path_rate: int | float, output_stride: int, block) -> list:
    rates = rising_rates(drop_path_rate, sum(depths))
    stages, before, stride, dilation = [], widths[0], 4, 1
    for index, (depth, width, window) in enumerate(zip(depths, widths, windows)):
        strides = 2 if index else 1
        if stride >= output_stride and strides > 1:
            dilation, strides = dilation * strides, 1
        stride *= strides
        both = (1 if dilation in (1, 2) else 2, dilation)
        taken, rates = rates[:depth], rates[depth:]
        stages.append(Stage(before, width, depth, strides=strides, dilation=both, rates=taken, window=window, **block))
        before = width
    return stages


def _doubled(width: int) -> tuple[int, ...]:
    return tuple(width * 2**index for index in range(4))


_SMALL = {  # name: (depths, first width), the pointwise layers as convolutions
    "zepto": ((2, 2, 4, 2), 32),
    "atto": ((2, 2, 6, 2), 40),
    "femto": ((2, 2, 6, 2), 48),
    "pico": ((2, 2, 6, 2), 64),
    "nano": ((2, 2, 8, 2), 80),
}
_LARGE = {
    "tiny": ((3, 3, 9, 3), 96),
    "small": ((3, 3, 27, 3), 96),
    "base": ((3, 3, 27, 3), 128),
    "large": ((3, 3, 27, 3), 192),
    "xlarge": ((3, 3, 27, 3), 256),
    "huge": ((3, 3, 27, 3), 352),
    "xxlarge": ((3, 4, 30, 3), 384),
}


def _row(size: str, **settings):
    depths, width = (_SMALL | _LARGE)[size]
    return {"depths": depths, "widths": _doubled(width), "conv_mlp": size in _SMALL, **settings}


_V2 = {"response": True, "layer_scale": False}
_TEST = {"epsilon": 1e-5, "act": "gelu_tanh"}
VARIANTS = variants(
    ConvNeXt,
    "Liu et al. 2022, arXiv:2201.03545; V2: Woo et al. 2023, arXiv:2301.00808",
    {
        **{f"convnext_{size}": _row(size) for size in ("atto", "femto", "pico", "nano")},
        **{f"convnext_{size}": _row(size) for size in ("tiny", "small", "base", "large", "xlarge")},
        **{f"convnext_{size}_ols": _row(size, stem="tiered") for size in ("atto", "femto", "pico")},
        "convnext_nano_ols": _row("nano", stem="overlap"),
        "convnext_zepto_rms": _row("zepto", norm="simple"),
        "convnext_zepto_rms_ols": _row("zepto", norm="simple", stem="act"),
        "convnext_atto_rms": _row("atto", norm="rms"),
        "convnext_tiny_hnf": _row("tiny", norm_first=True) | {"conv_mlp": True},
        "convnext_large_mlp": _row("large", hidden=1536),
        "convnext_xxlarge": _row("xxlarge", epsilon=1e-5),
        **{f"convnextv2_{size}": _row(size, **_V2) for size in ("atto", "femto", "pico", "nano")},
        **{f"convnextv2_{size}": _row(size, **_V2) for size in ("tiny", "small", "base", "large", "huge")},
        "test_convnext": {"depths": (1, 2, 4, 2), "widths": (24, 32, 48, 64), **_TEST},
        "test_convnext2": {"depths": (1, 1, 1, 1), "widths": (32, 64, 96, 128), **_TEST},
        "test_convnext3": {
            **{"depths": (1, 1, 1, 1), "widths": (32, 64, 96, 128), "windows": (7, 5, 5, 3)},
            **{"epsilon": 1e-5, "act": "silu"},
        },
    },
)
