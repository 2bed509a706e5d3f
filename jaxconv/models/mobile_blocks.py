"""The blocks that block strings name, each between `channels_in` and `channels` (see `blockstring`).

MobileNet v1 to v3: arXiv:1704.04861, 1801.04381, 1905.02244; fused blocks: arXiv:2003.02838; v4's are in `mobile_v4`.
Attribute paths are timm's.
"""

from collections.abc import Callable

import jax
from jaxtyping import Array, Float, PRNGKeyArray

import jaxconv.functional as F
from jaxconv.models.blockstring import Block
from jaxconv.models.mobile_parts import (
    ExpertConv,
    Place,
    Residual,
    Style,
    conv,
    gate,
    point,
    smoothed,
    smoother,
    spatial,
)
from jaxconv.models.mobile_v4 import Attention, Universal
from jaxconv.models.widths import divisible
from jaxconv.nn import Dense, activation


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
        spatial_steps = dict(strides=place.strides, dilation=place.dilation, groups=inner)
        self.conv_dw = ExpertConv(inner, inner, window, style, experts, **spatial_steps)
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
