"""What the mobile blocks are made of: the style of a network, a block's place, and the convolutions and gates between.

Mixed windows: Tan and Le, arXiv:1907.09595; conditional convolutions: Yang et al., arXiv:1904.04971. Attribute paths
are timm's.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

import jaxconv.functional as F
from jaxconv.models.blockstring import Block
from jaxconv.models.widths import divisible
from jaxconv.nn import AvgPool, Conv, DropPath, SqueezeExcite, activation, initializers
from jaxconv.nn.activation import Activation
from jaxconv.nn.global_context import GlobalContext
from jaxconv.nn.norm_act import NormAct
from jaxconv.nn.pool import BlurPool
from jaxconv.nn.variables import parameter, read


@dataclass(frozen=True)
class Style:
    """What all blocks of a network share.

    Attributes:
        norm: builds a norm from its channels and the activation after it (None for none).
        act: the activation, unless a block names its own.
        same: whether padding is TensorFlow's SAME; PyTorch's symmetrical one otherwise.
        smoothing: what strides in the place of a depthwise convolution: "avg", "blur" or "".
        gate: "se", or "gc" for global context.
        gate_act: activation inside the gate; "" for the block's.
        gate_function: what maps the gate's result to weights.
        gate_divisor: what the gate's inner width is rounded to; 0 for the nearest whole number.
        gate_kept: as in `widths.divisible`.
        gate_inside: whether the gate's width counts from the expanded channels.
        layer_scale: first value of MobileNetV4's layer scale; 0 for none.
    """

    norm: NormAct
    act: str = "relu"
    same: bool = False
    smoothing: str = ""
    gate: str = "se"
    gate_act: str = ""
    gate_function: str = "sigmoid"
    gate_divisor: int = 0
    gate_kept: int | float = 0.9
    gate_inside: bool = False
    layer_scale: int | float = 0.0


@dataclass(frozen=True)
class Place:
    """Where in the network a block stands.

    Attributes:
        channels_in: channels of its input.
        channels: channels of its output.
        strides: its stride, 1 where dilation took its place.
        dilation: of its spatial convolutions.
        drop_path: rate of stochastic depth.
        packed: 1 where the block moves space to depth, 2 inside such a stretch, 0 elsewhere.
        pruned: (inner channels, gate channels) that are left; None where nothing was pruned.
    """

    channels_in: int
    channels: int
    strides: int
    dilation: int
    drop_path: int | float
    packed: int = 0
    pruned: tuple[int, int] | None = None


def conv(before: int, after: int, window: int, style: Style, *, strides: int = 1, dilation: int = 1, groups: int = 1):
    """A convolution without bias, padded in the network's style."""
    padding = "SAME" if style.same else (strides - 1 + dilation * (window - 1)) // 2
    settings: dict[str, Any] = dict(padding=padding, strides=strides, dilation=dilation, groups=groups, use_bias=False)
    return Conv(before, after, window, kernel_init=initializers.he_fan_out_per_group(groups), **settings)


class MixedConv(nnx.List):
    """Convolutions of several windows, each of its share of the channels; their paths are their numbers."""

    def __init__(self, before: int, after: int, windows: tuple[int, ...], style: Style, *, depthwise: bool, **settings):
        self_shares = _shares(before, len(windows)), _shares(after, len(windows))
        super().__init__(
            conv(a, b, window, style, groups=a if depthwise else 1, **settings)
            for a, b, window in zip(*self_shares, windows)
        )

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, before) to (n, out, out, after)."""
        parts, start = [], 0
        for layer in self:
            width = layer.kernel.shape[-2] * layer.groups
            parts.append(layer(x[..., start : start + width]))
            start += width
        return jnp.concatenate(parts, -1)


def _shares(channels: int, parts: int) -> list[int]:
    share = channels // parts
    return [channels - share * (parts - 1), *[share] * (parts - 1)]


class ExpertConv(nnx.Module):
    """A convolution whose kernel is, for each image, a mixture of several (Yang et al., arXiv:1904.04971, equation 1).

    The parameter keeps the reference's form: (experts, out * in / groups * window * window).
    """

    def __init__(
        self,
        before: int,
        after: int,
        window: int,
        style: Style,
        experts: int,
        *,
        strides: int = 1,
        dilation: int = 1,
        groups: int = 1,
    ):
        padding = "SAME" if style.same else (strides - 1 + dilation * (window - 1)) // 2
        self.settings = (("padding", padding), ("strides", strides), ("dilation", dilation), ("groups", groups))
        self.shape = (after, before // groups, window, window)
        layout = (window, window, before // groups, after)
        draw = partial(_each_expert, draw=initializers.he_fan_out_per_group(groups), layout=layout)
        self.weight = parameter((experts, after * (before // groups) * window * window), draw)

    def __call__(self, x: Float[Array, "n h w c"], routing: Float[Array, "n e"]) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, before) to (n, out, out, after)."""
        kernels = (routing @ read(self.weight, x.dtype)).reshape(-1, *self.shape).transpose(0, 3, 4, 2, 1)
        settings: dict[str, Any] = dict(self.settings)

        def one(image, kernel):
            return F.conv(image[None], kernel, **settings)[0]

        return jax.vmap(one)(x, kernels)


def _each_expert(rng, shape, *, draw, layout):
    kernels = [draw(rng, layout).transpose(3, 2, 0, 1).ravel() for _ in range(shape[0])]
    return np.stack(kernels)


def spatial(channels: int, windows: tuple[int, ...], block: Block, place: Place, style: Style):
    """A block's depthwise (or grouped) convolution, without stride where something smooth strides after it."""
    packed = place.packed == 1
    strides = 1 if smoothed(place, style) else place.strides
    if len(windows) > 1:
        return MixedConv(channels, channels, windows, style, depthwise=True, strides=strides, dilation=place.dilation)
    window = (windows[0] + 1) // 2 if packed else windows[0]  # pyright: ignore[reportGeneralTypeIssues]  (never empty)
    groups = channels // (block.group_size or 1)
    style = replace(style, same=True) if packed and window == 2 else style
    return conv(channels, channels, window, style, strides=strides, dilation=place.dilation, groups=groups)


def point(before: int, after: int, windows: tuple[int, ...] | None, style: Style):
    """A block's pointwise convolution; of several parts where the string gives several windows."""
    if windows is not None and len(windows) > 1:
        return MixedConv(before, after, windows, style, depthwise=False)
    return conv(before, after, windows[0] if windows else 1, style)


def smoothed(place: Place, style: Style) -> bool:
    """Whether something smooth strides in this block."""
    return bool(style.smoothing) and place.strides > 1 and place.packed != 1


def smoother(place: Place, style: Style) -> nnx.Module | None:
    """What strides after a convolution of stride 1; None where the convolution strides itself."""
    if not smoothed(place, style):
        return None
    if style.smoothing == "avg":
        return AvgPool(place.strides, strides=place.strides, padding="VALID")
    return BlurPool(3, strides=place.strides, zeros=True)


def gate(channels: int, block: Block, place: Place, style: Style, act: Activation) -> nnx.Module | None:
    """The block's channel gate; None where its string has none."""
    if not block.gate:
        return None
    expansion = block.expansion if block.kind in ("ir", "er", "uir") else 1.0
    ratio = block.gate if style.gate_inside else block.gate / expansion
    ratio = ratio / 4 if place.packed == 1 else ratio
    inner = activation(style.gate_act) if style.gate_act else act
    if style.gate == "gc":
        return GlobalContext(channels, ratio, scales=True, activation=inner)
    wanted = channels * ratio
    reduced = divisible(wanted, style.gate_divisor, kept=style.gate_kept) if style.gate_divisor else round(wanted)
    reduced = place.pruned[1] if place.pruned else reduced
    names = ("conv_reduce", "conv_expand")
    return SqueezeExcite(channels, reduced, names=names, activation=inner, gate=activation(style.gate_function))


class Residual(nnx.Module):
    """What the blocks share: the shortcut where shapes allow and the string does not forbid it, and drop path."""

    def _join(self, block: Block, place: Place, skip: bool) -> None:
        same = place.strides == 1 and place.channels_in == place.channels
        self.has_skip = skip and same and place.packed != 1
        self.drop_path = DropPath(place.drop_path)

    def joined(self, y: Array, x: Array, train: bool, key: PRNGKeyArray | None) -> Array:
        """Y, beside x where there is a shortcut."""
        return self.drop_path(y, train, key) + x if self.has_skip else y

    def _unpack(self, place: Place, style: Style, act: Activation) -> int:
        """Adds the 2x2 convolution that moves space to depth, where this block does; returns the channels then."""
        packed = place.packed == 1
        width = 4 * place.channels_in if packed else place.channels_in
        first = conv(place.channels_in, width, 2, replace(style, same=True), strides=2) if packed else None
        self.conv_s2d, self.bn_s2d = first, style.norm(width, act) if packed else None
        return width

    def packed(self, x: Array, train: bool) -> Array:
        """X with space moved to depth where this block does."""
        return x if self.conv_s2d is None or self.bn_s2d is None else self.bn_s2d(self.conv_s2d(x), train)
