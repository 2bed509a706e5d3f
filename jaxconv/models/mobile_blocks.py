"""The blocks that block strings name, each between `channels_in` and `channels` (see `blockstring`).

MobileNet v1 to v4: arXiv:1704.04861, 1801.04381, 1905.02244, 2404.10518; fused blocks: arXiv:2003.02838; mixed windows:
arXiv:1907.09595; conditional convolutions: arXiv:1904.04971. Attribute paths are timm's.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

import jaxconv.functional as F
from jaxconv.models.blockstring import Block
from jaxconv.models.widths import divisible
from jaxconv.nn import AvgPool, Conv, Dense, DropPath, SqueezeExcite, activation, initializers
from jaxconv.nn.activation import Activation
from jaxconv.nn.global_context import GlobalContext
from jaxconv.nn.norm_act import NormAct
from jaxconv.nn.pool import BlurPool
from jaxconv.nn.variables import parameter, per_channel, read


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
    settings = dict(padding=padding, strides=strides, dilation=dilation, groups=groups, use_bias=False)
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

    def __init__(self, before: int, after: int, window: int, style: Style, experts: int, *, strides=1, groups: int = 1):
        self.shape = (after, before // groups, window, window)
        self.settings = (strides, "SAME" if style.same else (strides - 1 + window - 1) // 2, groups)
        draw = initializers.he_fan_out_per_group(groups)
        size = after * (before // groups) * window * window
        layout = (window, window, before // groups, after)
        self.weight = parameter((experts, size), partial(_each_expert, draw=draw, layout=layout))

    def __call__(self, x: Float[Array, "n h w c"], routing: Float[Array, "n e"]) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, before) to (n, out, out, after)."""
        strides, padding, groups = self.settings
        kernels = (routing @ read(self.weight, x.dtype)).reshape(-1, *self.shape).transpose(0, 3, 4, 2, 1)

        def one(image, kernel):
            return F.conv(image[None], kernel, strides=strides, padding=padding, groups=groups)[0]

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
    window = (windows[0] + 1) // 2 if packed else windows[0]
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
    if style.gate == "gc":
        return GlobalContext(channels, ratio, scales=True)
    wanted = channels * ratio
    reduced = divisible(wanted, style.gate_divisor, kept=style.gate_kept) if style.gate_divisor else round(wanted)
    reduced = place.pruned[1] if place.pruned else reduced
    inner = activation(style.gate_act) if style.gate_act else act
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


class PlainConv(Residual):
    """cn: convolution, norm, activation; the shortcut only where the string says skip."""

    def __init__(self, block: Block, place: Place, style: Style):
        act = activation(block.act or style.act)
        strides = 1 if smoothed(place, style) else place.strides
        groups = place.channels_in // block.group_size if block.group_size else 1
        settings = dict(strides=strides, dilation=place.dilation, groups=groups)
        self.conv = conv(place.channels_in, place.channels, block.windows[0], style, **settings)
        self.bn1 = style.norm(place.channels, act)
        self.aa = smoother(place, style)
        self._join(block, place, block.skip is True)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, channels_in) to (n, out, out, channels)."""
        y = self.bn1(self.conv(x), train)
        return self.joined(y if self.aa is None else self.aa(y), x, train, key)


class DepthwiseSeparable(Residual):
    """ds and dsa: depthwise, gate, pointwise."""

    def __init__(self, block: Block, place: Place, style: Style):
        act = activation(block.act or style.act)
        width = self._unpack(place, style, act)
        self.conv_dw = spatial(width, block.windows, block, place, style)
        self.bn1 = style.norm(width, act)
        self.aa = smoother(place, style)
        self.se = gate(width, block, place, style, act)
        self.conv_pw = point(width, place.channels, block.last, style)
        self.bn2 = style.norm(place.channels, act if block.kind == "dsa" else None)
        self._join(block, place, block.kind == "ds" and block.skip is not False)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, channels_in) to (n, out, out, channels)."""
        y = self.bn1(self.conv_dw(self.packed(x, train)), train)
        y = y if self.aa is None else self.aa(y)
        y = y if self.se is None else self.se(y)
        return self.joined(self.bn2(self.conv_pw(y), train), x, train, key)


class InvertedResidual(Residual):
    """ir: pointwise out, depthwise, gate, pointwise back."""

    def __init__(self, block: Block, place: Place, style: Style):
        act = activation(block.act or style.act)
        width = self._unpack(place, style, act)
        inner = place.pruned[0] if place.pruned else divisible(width * block.expansion)
        self.conv_pw = point(width, inner, block.first, style)
        self.bn1 = style.norm(inner, act)
        self.conv_dw = spatial(inner, block.windows, block, place, style)
        self.bn2 = style.norm(inner, act)
        self.aa = smoother(place, style)
        self.se = gate(inner, block, place, style, act)
        self.conv_pwl = point(inner, place.channels, block.last, style)
        self.bn3 = style.norm(place.channels, None)
        self._join(block, place, block.skip is not False)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, channels_in) to (n, out, out, channels)."""
        y = self.bn1(self.conv_pw(self.packed(x, train)), train)
        y = self.bn2(self.conv_dw(y), train)
        y = y if self.aa is None else self.aa(y)
        y = y if self.se is None else self.se(y)
        return self.joined(self.bn3(self.conv_pwl(y), train), x, train, key)


class ExpertResidual(Residual):
    """ir with cc: an inverted residual of `ExpertConv`s, mixed by what the mean of the input says."""

    def __init__(self, block: Block, place: Place, style: Style):
        act, experts = activation(block.act or style.act), block.experts
        inner, window = divisible(place.channels_in * block.expansion), block.windows[0]
        self.conv_pw = ExpertConv(place.channels_in, inner, 1, style, experts)
        self.bn1 = style.norm(inner, act)
        self.conv_dw = ExpertConv(inner, inner, window, style, experts, strides=place.strides, groups=inner)
        self.bn2 = style.norm(inner, act)
        self.se = gate(inner, block, place, style, act)
        self.conv_pwl = ExpertConv(inner, place.channels, 1, style, experts)
        self.bn3 = style.norm(place.channels, None)
        self.routing_fn = Dense(place.channels_in, experts)
        self._join(block, place, block.skip is not False)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, channels_in) to (n, out, out, channels)."""
        routing = jax.nn.sigmoid(self.routing_fn(F.global_avg_pool(x)))
        y = self.bn2(self.conv_dw(self.bn1(self.conv_pw(x, routing), train), routing), train)
        y = y if self.se is None else self.se(y)
        return self.joined(self.bn3(self.conv_pwl(y, routing), train), x, train, key)


class EdgeResidual(Residual):
    """er: a full convolution in place of pointwise and depthwise, gate, pointwise back."""

    def __init__(self, block: Block, place: Place, style: Style):
        act = activation(block.act or style.act)
        inner = divisible((block.counted or place.channels_in) * block.expansion)
        strides = 1 if smoothed(place, style) else place.strides
        groups = inner // block.group_size if block.group_size else 1
        settings = dict(strides=strides, dilation=place.dilation, groups=groups)
        self.conv_exp = conv(place.channels_in, inner, block.windows[0], style, **settings)
        self.bn1 = style.norm(inner, act)
        self.aa = smoother(place, style)
        self.se = gate(inner, block, place, style, act)
        self.conv_pwl = point(inner, place.channels, block.last, style)
        self.bn2 = style.norm(place.channels, None)
        self._join(block, place, block.skip is not False)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, channels_in) to (n, out, out, channels)."""
        y = self.bn1(self.conv_exp(x), train)
        y = y if self.aa is None else self.aa(y)
        y = y if self.se is None else self.se(y)
        return self.joined(self.bn2(self.conv_pwl(y), train), x, train, key)


class Unit(nnx.Module):
    """Convolution, norm, activation, perhaps a smooth stride: `conv` and `bn`."""

    def __init__(
        self, before: int, after: int, window: int, style: Style, act: Activation | None, place: Place, groups: int
    ):
        strides = 1 if smoothed(place, style) else place.strides
        self.conv = conv(before, after, window, style, strides=strides, dilation=place.dilation, groups=groups)
        self.bn = style.norm(after, act)
        self.aa = smoother(place, style)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, before) to (n, out, out, after)."""
        y = self.bn(self.conv(x), train)
        return y if self.aa is None else self.aa(y)


class Scale(nnx.Module):
    """A factor for each channel."""

    def __init__(self, channels: int, value: int | float):
        self.gamma = parameter((channels,), initializers.constant(value))

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n h w c"]:
        """X times the factors."""
        return x * per_channel(read(self.gamma, x.dtype), x)


class Universal(Residual):
    """uir: MobileNetV4's inverted residual, with depthwise convolutions before and amid, each of them optional."""

    def __init__(self, block: Block, place: Place, style: Style):
        act = activation(block.act or style.act)
        inner, still = divisible(place.channels_in * block.expansion), replace(place, strides=1)
        before, middle = (block.first or (0,))[0], block.windows[0]
        unit = partial(Unit, style=style)
        start = dict(act=None, place=still if middle else place, groups=place.channels_in)
        self.dw_start = unit(place.channels_in, place.channels_in, before, **start) if before else None
        at_point = replace(still, dilation=1)
        self.pw_exp = unit(place.channels_in, inner, 1, act=act, place=at_point, groups=1)
        self.dw_mid = unit(inner, inner, middle, act=act, place=place, groups=inner) if middle else None
        self.se = gate(inner, block, place, style, act)
        self.pw_proj = unit(inner, place.channels, 1, act=None, place=at_point, groups=1)
        self.layer_scale = Scale(place.channels, style.layer_scale) if style.layer_scale else None
        self._join(block, place, block.skip is not False)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, channels_in) to (n, out, out, channels)."""
        y = x
        for part in (self.dw_start, self.pw_exp, self.dw_mid, self.se, self.pw_proj, self.layer_scale):
            y = y if part is None else part(y, train)
        return self.joined(y, x, train, key)


class Projection(nnx.Module):
    """Where attention takes queries, keys or values from: perhaps a strided depthwise convolution and norm, a 1x1."""

    def __init__(self, before: int, after: int, style: Style, *, window: int = 3, strides: int = 1):
        self.down_conv = conv(before, before, window, style, strides=strides, groups=before) if strides > 1 else None
        self.norm = style.norm(before, None) if strides > 1 else None
        self.proj = Conv(before, after, 1, padding=0, use_bias=False, kernel_init=initializers.glorot)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, before) to (n, out, out, after)."""
        x = x if self.down_conv is None or self.norm is None else self.norm(self.down_conv(x), train)
        return self.proj(x)


class MultiQuery(nnx.Module):
    """Attention whose heads share keys and values (Shazeer, arXiv:1911.02150), over positions of a map."""

    def __init__(self, block: Block, place: Place, style: Style):
        width, self.heads = block.depth, block.heads
        shared = dict(style=style, window=block.windows[0], strides=block.key_strides)
        self.query = Projection(place.channels_in, self.heads * width, style)
        self.key, self.value = (Projection(place.channels_in, width, **shared) for _ in range(2))
        self.output = Projection(self.heads * width, place.channels, style)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n h w k"]:
        """Maps x (n, h, w, channels_in) to (n, h, w, channels)."""
        n, h, w, _ = x.shape
        query = self.query(x).reshape(n, h * w, self.heads, -1)
        keys, values = (part(x, train).reshape(n, -1, query.shape[-1]) for part in (self.key, self.value))
        scores = jnp.einsum("nqhd,nkd->nhqk", query, keys) * query.shape[-1] ** -0.5
        weights = jax.nn.softmax(scores.astype(jnp.promote_types(x.dtype, jnp.float32)), -1).astype(x.dtype)
        mixed = jnp.einsum("nhqk,nkd->nqhd", weights, values)
        return self.output(mixed.reshape(n, h, w, -1))


class Attention(Residual):
    """mqa: norm, `MultiQuery`, layer scale."""

    def __init__(self, block: Block, place: Place, style: Style):
        self.norm = style.norm(place.channels_in, None)
        self.attn = MultiQuery(block, place, style)
        self.layer_scale = Scale(place.channels, style.layer_scale) if style.layer_scale else None
        self._join(block, place, block.skip is not False)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n h w k"]:
        """Maps x (n, h, w, channels_in) to (n, h, w, channels)."""
        y = self.attn(self.norm(x, train), train)
        return self.joined(y if self.layer_scale is None else self.layer_scale(y), x, train, key)


BLOCKS: dict[str, Callable[[Block, Place, Style], Residual]] = {
    "cn": PlainConv,
    "ds": DepthwiseSeparable,
    "dsa": DepthwiseSeparable,
    "ir": InvertedResidual,
    "er": EdgeResidual,
    "uir": Universal,
    "mqa": Attention,
}


def build(block: Block, place: Place, style: Style) -> Residual:
    """The module that a block's string names."""
    return ExpertResidual(block, place, style) if block.experts else BLOCKS[block.kind](block, place, style)
