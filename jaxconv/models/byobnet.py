"""Networks stacked from a table of blocks: timm's "bring your own blocks", which holds ten years of ResNet cousins.

The rows are in `byob_table.py`, the blocks in `byob_blocks.py` and `byob_branches.py`; here they are put together. What
is odd: the pyramid's last level is after `final_conv`, its first is the last map at stride 2 inside the stem; stages
that do not stride share a level with the one before.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import jax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.models.byob_blocks import Block, Place, ResidualBlock, Stem, Style
from jaxconv.models.byob_branches import BranchedBlock
from jaxconv.models.head import ClassifierHead, GlobalPool
from jaxconv.models.network import Network, check_output_stride
from jaxconv.nn import (
    AttentionPool,
    BatchNorm,
    Dense,
    Dropout,
    Sequential,
    activation,
    branch_key,
    initializers,
    rising_rates,
)

Stages = Sequence[Sequence[Block]]
"""The blocks of each stage."""


class ByobNet(Network):
    """A stem, stages of blocks, perhaps a last convolution, a head.

    Args:
        num_classes: length of the output; 0 leaves out the classifier.
        in_chans: channels of the input.
        drop_rate: dropout before the classifier.
        drop_path_rate: probability of dropping the last block's branch; it rises linearly from 0.
        global_pool: as in `GlobalPool`, "avg" where None; with attention, as in `AttentionPool`, "token" where None.
        output_stride: 8, 16 or 32.
        stages: the blocks of each stage.
        stem: its kind: "3x3" (a convolution, or `Stem` where there are several widths), "rep" or "one" (that block).
        stem_widths: of its convolutions.
        stem_plain: as `Stem`'s `plain`.
        stem_pool: as `Stem`'s `pool`.
        shortcut: as in `Style`.
        average: as in `Style`.
        num_features: width of the last convolution; 0 for none.
        act: name of the activation.
        norm: as in `Style`.
        active_norm: as in `Style`.
        head: "fc"; "mlp" (norm, hidden layer, classifier); or "attention" (`AttentionPool`).
        hidden: width of the hidden layer.
        img_size: side of the images that an attention pool learns its positions for.
        stem_attention: builds the attention in the stem's block; None for none.
        zero_init_last: as in `Style`.

    Raises:
        ValueError: if the output stride is another.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        *,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        global_pool: str | None = None,
        output_stride: int = 32,
        stages: Stages,
        stem: str = "3x3",
        stem_widths: tuple[int, ...] = (32,),
        stem_plain: int = 0,
        stem_pool: str = "",
        shortcut: str = "conv1x1",
        average: bool = False,
        num_features: int = 0,
        act: str = "relu",
        norm: Callable[[int], nnx.Module] = BatchNorm,
        active_norm: Callable[[int], nnx.Module] | None = None,
        head: str = "fc",
        hidden: int = 0,
        img_size: int = 224,
        stem_attention: Callable[[int], nnx.Module] | None = None,
        zero_init_last: bool = True,
    ):
        check_output_stride(output_stride)
        style = Style(norm, activation(act), active_norm, shortcut, average, zero_init_last)
        self.stem = _stem(stem, in_chans, stem_widths, stem_plain, stem_pool, stem_attention, style)
        names = [f"stem.{name}" for name in self.stem.level_names] if isinstance(self.stem, Stem) else ["stem"]
        reached = 2 ** len(names)
        strides = _dilated(stages, reached, output_stride)
        self.stages = Sequential(*_stages(stages, strides, stem_widths[-1], drop_path_rate, style))
        last = stages[-1][-1].width
        self.final_conv = style.unit(last, num_features, 1) if num_features else None
        names += [f"stages.{number}" for number in range(len(stages) - 1)] + ["final_conv"]
        self.kept = (*_ends(stages, len(names)), len(names) - 1)
        self.level_names = tuple(names[level] for level in self.kept)
        side = img_size // (reached * math.prod(stride for stride, _ in strides))
        pool = global_pool if global_pool is not None else "token" if head == "attention" else "avg"
        build = {
            "fc": _fc,
            "mlp": partial(MlpHead, hidden=hidden),
            "attention": partial(AttentionPool, size=(side, side)),
        }
        self.head = build[head](num_features or last, num_classes, global_pool=pool, drop_rate=drop_rate)

    def features(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "n _h _w _c"], ...]:
        """The last map at each stride: of the stem, of the stages, and of the last convolution."""
        if isinstance(self.stem, Stem):
            maps = list(self.stem.levels(x, train))
        else:
            maps = [self.stem(x, train, branch_key(key, 0))]
        for number, stage in enumerate(self.stages, 1):
            maps.append(stage(maps[-1], train, branch_key(key, number)))
        if self.final_conv is not None:
            maps[-1] = self.final_conv(maps[-1], train)
        return tuple(maps[level] for level in self.kept)

    def classify(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."]:
        """From the last map of `features` to logits (n, num_classes)."""
        return self.head(x, train, key)


class MlpHead(nnx.Module):
    """Global pool, batch norm, a hidden layer with ReLU, dropout, classifier.

    Args:
        channels: channels of the last map.
        num_classes: length of the output; 0 leaves out the classifier.
        hidden: width of the hidden layer.
        global_pool: as in `GlobalPool`, one that keeps the number of channels.
        drop_rate: dropout before the classifier.
    """

    def __init__(
        self, channels: int, num_classes: int, *, hidden: int, global_pool: str = "avg", drop_rate: float = 0.0
    ):
        self.pool, self.norm = GlobalPool(global_pool, num_classes), BatchNorm(channels)
        self.pre_logits = Hidden(channels, hidden)
        self.dropout = Dropout(drop_rate)
        self.fc = Dense(hidden, num_classes, kernel_init=initializers.normal(0.01)) if num_classes else None

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."]:
        """From a map (n, h, w, channels) to logits (n, num_classes)."""
        y = self.pre_logits(self.norm(self.pool(x), train))
        y = self.dropout(y, train, key)
        return y if self.fc is None else self.fc(y)


class Hidden(nnx.Module):
    """A dense layer, called `fc`, and ReLU."""

    def __init__(self, channels: int, width: int):
        self.fc = Dense(channels, width, kernel_init=initializers.normal(0.01))

    def __call__(
        self, x: Float[Array, "*batch i"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "*batch o"]:
        """Maps x (..., channels) to (..., width)."""
        return jax.nn.relu(self.fc(x))


_fc = partial(ClassifierHead, kernel_init=initializers.normal(0.01))


def _stem(kind: str, in_chans: int, widths: tuple[int, ...], plain: int, pool: str, attention, style: Style):
    if kind != "3x3":
        block = Block(kind, widths[0], attention=attention)
        return BranchedBlock(block, Place(in_chans, 2, (1, 1), 0.0), style)
    if len(widths) == 1:
        return style.unit(in_chans, widths[0], 3, strides=2)
    return Stem(in_chans, widths, plain=plain, pool=pool, style=style)


def _dilated(stages: Stages, reached: int, output_stride: int) -> list[tuple[int, int]]:
    """(stride, dilation) of each stage: from `output_stride` on, a stage that would stride dilates instead."""
    chosen, dilation = [], 1
    for blocks in stages:
        stride = blocks[0].strides
        if reached >= output_stride:
            dilation, stride = dilation * stride, 1
        reached *= stride
        chosen.append((stride, dilation))
    return chosen


def _stages(stages, strides, channels: int, drop_path_rate: float, style: Style) -> list:
    rates, built = rising_rates(drop_path_rate, sum(map(len, stages))), []
    for blocks, (stride, dilation) in zip(stages, strides):
        row, before = [], 1 if dilation < 4 else 2
        for block in blocks:
            place = Place(channels, 1 if row else stride, (dilation if row else before, dilation), rates.pop(0))
            row.append((BranchedBlock if block.kind in ("rep", "one") else ResidualBlock)(block, place, style))
            channels = block.width
        built.append(Sequential(*row))
    return built


def _ends(stages: Stages, levels: int) -> list[int]:
    """The maps that end a level of the pyramid, the last one aside: those before a stage that strides."""
    before = levels - len(stages) - 1
    stem = list(range(before))
    return stem + [before + number for number, blocks in enumerate(stages) if blocks[0].strides > 1]
