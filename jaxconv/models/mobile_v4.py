"""MobileNet v4's blocks: the universal inverted residual and multi-query attention (Qin et al., arXiv:2404.10518).

Attribute paths are timm's.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.functional.arrays import accumulator
from jaxconv.models.blockstring import Block
from jaxconv.models.mobile_parts import Place, Residual, Style, conv, gate, smoothed, smoother
from jaxconv.models.widths import divisible
from jaxconv.nn import Conv, activation, initializers
from jaxconv.nn.activation import Activation
from jaxconv.nn.variables import parameter, per_channel, read


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
        start: dict[str, Any] = dict(act=None, place=still if middle else place, groups=place.channels_in)
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

    def __init__(self, before: int, after: int, style: Style, *, window: int = 3, strides: int = 1, dilation: int = 1):
        settings = dict(strides=strides, dilation=dilation, groups=before)
        self.down_conv = conv(before, before, window, style, **settings) if strides > 1 else None
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
        settings = dict(window=block.windows[0], strides=block.key_strides, dilation=place.dilation)
        shared: dict[str, Any] = dict(style=style, **settings)
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
        weights = jax.nn.softmax(scores.astype(accumulator(x.dtype)), -1).astype(x.dtype)
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
