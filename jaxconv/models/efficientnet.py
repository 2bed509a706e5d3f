"""The networks that block strings describe: a stem, stages of named blocks, a pointwise head (see `blockstring`).

One class serves MobileNet v1 to v4, MnasNet, EfficientNet (also Lite, EdgeTPU, X, v2, and with TensorFlow's SAME
padding), MixNet, FBNet, TinyNet and LCNet. What sets the families apart is whether the last pointwise convolution
stands before the global pool (EfficientNet) or after it (MobileNet v3 and v4).
"""

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.models.blockstring import Block, Stages, decode
from jaxconv.models.efficientnet_table import LATE, PRUNED, TABLE
from jaxconv.models.head import GlobalPool
from jaxconv.models.mobile_blocks import build
from jaxconv.models.mobile_parts import Place, Style, conv
from jaxconv.models.network import Network, check_output_stride
from jaxconv.models.published import variants
from jaxconv.models.widths import divisible
from jaxconv.nn import Conv, Dense, Dropout, Sequential, activation, branch_key, initializers
from jaxconv.nn.norm_act import BatchNormAct, GroupNormAct, LayerNormAct, evonorm_s0

NORMS = {"batch": BatchNormAct, "group": GroupNormAct, "layer": LayerNormAct, "evo": evonorm_s0}


class EfficientNet(Network):
    """A strided stem, stages of blocks, a pointwise convolution, a classifier.

    Args:
        num_classes: length of the output; 0 leaves out the classifier.
        in_chans: channels of the input.
        blocks: block strings of each stage.
        width: factor of all channels.
        depth: factor of the repeats, or one for each stage.
        rounded: as in `blockstring.decode`.
        keep_ends: as in `blockstring.decode`.
        group_size: as in `blockstring.decode`.
        experts: as in `blockstring.decode`.
        divisor: what channels are rounded to multiples of.
        kept: the part of a width that rounding must keep.
        stem: channels of the stem.
        stem_window: window of the stem.
        fix_stem: whether the factor leaves the stem's channels alone.
        features_out: channels of the last pointwise convolution; 0 for none.
        late: whether that convolution stands after the global pool.
        head_norm: whether a norm follows it there, instead of a bias and an activation alone.
        head_bias: whether it has a bias there.
        norm: "batch", "group", "layer" or "evo".
        norm_group: channels of a group, for "group" and "evo".
        epsilon: of the norms.
        momentum: of batch norms.
        pruned: a row of `PRUNED`; "" for none.
        style: the other attributes of `mobile_parts.Style`.
        drop_rate: dropout before the classifier.
        drop_path_rate: rate of stochastic depth after the last block.
        global_pool: as in `GlobalPool`.
        output_stride: 32, 16, 8 or 4; below 32 the last strides become dilation.

    Raises:
        ValueError: if the output stride is no power of two from 4 to 32.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        *,
        blocks: tuple[str, ...],
        width: int | float = 1.0,
        depth: int | float | tuple[float, ...] = 1.0,
        rounded: bool = False,
        keep_ends: bool = False,
        group_size: int | None = None,
        experts: int = 1,
        divisor: int = 8,
        kept: int | float = 0.9,
        stem: int = 32,
        stem_window: int = 3,
        fix_stem: bool = False,
        features_out: int = 1280,
        late: bool = False,
        head_norm: bool = False,
        head_bias: bool = True,
        norm: str = "batch",
        norm_group: int = 0,
        epsilon: int | float = 1e-5,
        momentum: int | float = 0.1,
        pruned: str = "",
        style: tuple[tuple[str, Any], ...] = (),
        drop_rate: int | float = 0.0,
        drop_path_rate: int | float = 0.0,
        global_pool: str = "avg",
        output_stride: int = 32,
    ):
        check_output_stride(output_stride, (4, 8, 16, 32))
        sized = {"group_size": norm_group} if norm_group else {"momentum": momentum} if norm == "batch" else {}
        look = Style(norm=partial(NORMS[norm], epsilon=epsilon, **sized), **dict(style))
        scaled = partial(_scaled, factor=width, divisor=divisor, kept=kept)
        scaling: dict[str, Any] = dict(
            depth=depth, rounded=rounded, keep_ends=keep_ends, group_size=group_size, experts=experts
        )
        stages, left = decode(blocks, **scaling), PRUNED.get(pruned)
        before = stem if fix_stem else scaled(stem)
        act = activation(look.act)
        self.conv_stem = conv(in_chans, before, stem_window, look, strides=2)
        self.bn1 = look.norm(before, act)
        rows, self.ends = _placed(before, stages, scaled, left, drop_path_rate, output_stride)
        self.blocks = Sequential(*(Sequential(*(build(block, place, look) for block, place in row)) for row in rows))
        self.level_names = tuple("bn1" if end == 0 else f"blocks.{end - 1}" for end in self.ends)
        before = rows[-1][-1][1].channels
        self._add_head(before, features_out, late, head_norm, head_bias, look, global_pool, num_classes)
        self.dropout = Dropout(drop_rate)
        inputs = features_out or before
        inputs = inputs if late else self.pool.width(inputs)
        self.classifier = Dense(inputs, num_classes, kernel_init=_uniform) if num_classes else None

    def _add_head(self, before, width, late, head_norm, head_bias, look: Style, global_pool, num_classes) -> None:
        self.late, self.act = late, activation(look.act)
        self.pool = GlobalPool(global_pool, num_classes)
        late_bias = head_bias and not head_norm
        early, after = width and not late, width and late
        draw = initializers.he_fan_out
        settings: dict[str, Any] = dict(padding=0, use_bias=late_bias)
        pointwise = conv(before, width, 1, look) if early else None
        self.conv_head = Conv(self.pool.width(before), width, 1, kernel_init=draw, **settings) if after else pointwise
        self.bn2 = look.norm(width, self.act) if early else None
        self.norm_head = look.norm(width, self.act) if after and head_norm else None

    def features(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "n _h _w _c"], ...]:
        """The maps before each change of resolution, and the last one."""
        y = self.bn1(self.conv_stem(x), train)
        maps = [y] if 0 in self.ends else []
        for index, stage in enumerate(self.blocks, start=1):
            y = stage(y, train, branch_key(key, index))
            if index in self.ends:
                maps.append(y)
        return tuple(maps)

    def classify(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."]:
        """From the last map to logits (n, num_classes)."""
        y = self._late_head(x, train) if self.late else self._early_head(x, train)
        y = self.dropout(y, train, key)
        return y if self.classifier is None else self.classifier(y)

    def _early_head(self, x: Array, train: bool) -> Array:
        if self.conv_head is not None and self.bn2 is not None:
            x = self.bn2(self.conv_head(x), train)
        return self.pool(x)

    def _late_head(self, x: Array, train: bool) -> Array:
        assert self.conv_head is not None
        pooled = self.pool(x)
        y = self.conv_head(pooled if pooled.ndim == 4 else pooled[:, None, None])
        y = self.act(y) if self.norm_head is None else self.norm_head(y, train)
        return y if pooled.ndim == 4 else y[:, 0, 0]


def _scaled(channels: int, factor: int | float, divisor: int, kept: int | float) -> int:
    return divisible(channels * factor, divisor, kept=kept)


def _packs(block: Block) -> bool:
    return block.depth == 1 and block.kind in ("ds", "ir")


def _placed(before: int, stages: Stages, scaled, left, drop_path_rate: int | float, output_stride: int):
    """Every block with its place, stage by stage; and the stages (0 is the stem) that end a level of the pyramid.

    A block with d1 moves space to depth: until the next stride, which it takes the place of, maps have half the size
    and four times the channels.
    """
    count, index = sum(map(len, stages)), 0
    stride, dilation, packed = 2, 1, 0
    rows, ends = [], [0] if stages[0][0].strides > 1 or _packs(stages[0][0]) else []
    for number, blocks in enumerate(stages):
        row = []
        for block in blocks:
            strides, later = block.strides, dilation
            if packed == 0 and _packs(block):
                packed, stride = 1, stride * 2
            elif packed == 2 and strides == 2:
                packed, strides, block = 0, 1, replace(block, expansion=block.expansion / 4)
            if strides > 1 and stride * strides > output_stride:
                later, strides = dilation * strides, 1
            stride *= strides
            width, pruned = scaled(block.channels) * (4 if packed else 1), None
            if left is not None:
                *pruned, width = left[number][len(row)]
            counted = scaled(block.counted) if block.counted else 0
            rate, pruned = drop_path_rate * index / count, pruned and tuple(pruned)
            place = Place(before, width, strides, dilation, rate, packed, pruned)  # pyright: ignore[reportArgumentType]  (two of three)
            row.append((replace(block, counted=counted), place))
            before, dilation, packed, index = width, later, 2 if packed else 0, index + 1
        rows.append(row)
        if number + 1 == len(stages) or (stages[number + 1][0].strides > 1 and not packed):
            ends.append(number + 1)
    return rows, tuple(ends)


def _uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform within 1 / sqrt(out), as the authors' code draws a classifier."""
    bound = 1 / math.sqrt(shape[-1])
    return rng.uniform(-bound, bound, shape).astype(np.float32)


VARIANTS = {
    **variants(EfficientNet, "Tan and Le 2019, arXiv:1905.11946, and the papers of `mobile_blocks`", TABLE),
    **variants(EfficientNet, "Howard et al. 2019, arXiv:1905.02244; Qin et al. 2024, arXiv:2404.10518", LATE),
}
