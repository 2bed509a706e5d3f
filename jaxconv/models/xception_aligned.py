"""Aligned Xception, as DeepLab v3+ made it (Chen et al., arXiv:1802.02611, figure 4).

Every block has three separable convolutions and strides in the last one instead of pooling; in the `p` variants,
which are timm's, norm and ReLU come before the convolutions.
"""

from functools import partial
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.models.head import ClassifierHead
from jaxconv.models.network import Network, check_output_stride
from jaxconv.models.published import variants
from jaxconv.nn import BatchNorm, Conv, ConvNorm, DropPath, Sequential, branch_key, initializers, rising_rates

_conv = partial(Conv, use_bias=False, kernel_init=initializers.he_fan_out)


class Separable(nnx.Module):
    """A depthwise 3x3 convolution and a pointwise one, with norms.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        strides: of the depthwise convolution.
        dilation: of the same.
        order: "after": each convolution is followed by norm and ReLU; "norm": by a norm alone; "before": norm and ReLU
            come before both; "bare": there are none.
        epsilon: of the norms.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, strides: int, dilation: int, order: str, epsilon: int | float
    ):
        self.order = order
        self.norm = BatchNorm(in_channels, epsilon=epsilon) if order == "before" else None
        spatial: dict[str, Any] = dict(padding=dilation, strides=strides, dilation=dilation, groups=in_channels)
        self.conv_dw, self.conv_pw = (
            _conv(in_channels, in_channels, 3, **spatial),
            _conv(in_channels, out_channels, 1, padding=0),
        )
        normed = order in ("after", "norm")
        self.bn_dw = BatchNorm(in_channels, epsilon=epsilon) if normed else None
        self.bn_pw = BatchNorm(out_channels, epsilon=epsilon) if normed else None

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, in_channels) to (n, h / strides, w / strides, out_channels)."""
        x = x if self.norm is None else jax.nn.relu(self.norm(x, train))
        for conv, norm in ((self.conv_dw, self.bn_dw), (self.conv_pw, self.bn_pw)):
            x = conv(x) if norm is None else norm(conv(x), train)
            x = jax.nn.relu(x) if self.order == "after" else x
        return x


class Block(nnx.Module):
    """Three `Separable` convolutions beside the identity or a 1x1 convolution.

    Args:
        in_channels: channels of the input.
        widths: channels after each convolution.
        strides: of the last one.
        dilation: of all.
        residual: whether there is a shortcut.
        relu_first: whether ReLU comes before each convolution instead of after each half of it.
        preact: whether norm and ReLU come before.
        epsilon: of the norms.
        drop_path: rate of stochastic depth.
    """

    def __init__(
        self,
        in_channels: int,
        widths: tuple[int, ...],
        strides: int,
        *,
        dilation: int,
        residual: bool,
        relu_first: bool,
        preact: bool,
        epsilon: int | float,
        drop_path: int | float,
    ):
        self.residual, self.relu_first = residual, relu_first and not preact
        join = None
        if residual and (in_channels != widths[-1] or strides > 1):
            unit = _conv if preact else partial(ConvNorm, activation=None, epsilon=epsilon)
            join = unit(in_channels, widths[-1], 1, strides=strides, padding=0)
        self.shortcut = join
        self.norm = BatchNorm(in_channels, epsilon=epsilon) if preact else None
        orders = ("bare", "before", "before") if preact else ("norm" if relu_first else "after",) * 3
        stack = {}
        for index, (before, after, order) in enumerate(zip((in_channels, *widths), widths, orders), start=1):
            step = strides if index == 3 else 1
            settings: dict[str, Any] = dict(strides=step, dilation=dilation, order=order, epsilon=epsilon)
            stack[f"conv{index}"] = Separable(before, after, **settings)
        self.stack = nnx.Dict(stack)
        self.drop_path = DropPath(drop_path)

    def both(self, x: Array, train: bool, key: PRNGKeyArray | None) -> tuple[Array, Array]:
        """What the last convolution reads, and the block's output."""
        skip = y = x if self.norm is None else jax.nn.relu(self.norm(x, train))
        for index in (1, 2, 3):
            y = jax.nn.relu(y) if self.relu_first else y
            seen, y = y, self.stack[f"conv{index}"](y, train)
        if not self.residual:
            return seen, y
        skip = skip if self.shortcut is None else self.shortcut(skip, train)
        return seen, self.drop_path(y, train, key) + skip

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, in_channels) to (n, h / strides, w / strides, widths[-1])."""
        return self.both(x, train, key)[1]


class AlignedXception(Network):
    """Two convolutions, blocks, a classifier.

    Args:
        num_classes: length of the output; 0 leaves out the classifier.
        in_chans: channels of the input.
        entry: (width, strides) of the first blocks.
        middle: number of blocks of 728 channels.
        preact: as in `Block`.
        epsilon: of the norms.
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
        entry: tuple[tuple[int, int], ...] = ((128, 2), (256, 2), (728, 2)),
        middle: int = 8,
        preact: bool = False,
        epsilon: int | float = 1e-3,
        drop_rate: int | float = 0.0,
        drop_path_rate: int | float = 0.0,
        global_pool: str = "avg",
        output_stride: int = 32,
    ):
        check_output_stride(output_stride)
        unit = partial(ConvNorm, padding=1, epsilon=epsilon)
        second = _conv(32, 64, 3, padding=1) if preact else unit(32, 64, 3)
        self.stem = Sequential(unit(in_chans, 32, 3, strides=2), second)
        rows = [((width,) * 3, strides) for width, strides in (*entry, *[(728, 1)] * middle)]
        rows += [((728, 1024, 1024), 2), ((1536, 1536, 2048), 1)]
        self.preact = preact
        # A level is what the last convolution of a block that strides reads, and the last block's output.
        self.ends = tuple(index for index, (_, strides) in enumerate(rows) if strides > 1)
        inner = "stack.conv2" if preact else "stack.act3"
        self.level_names = (*(f"blocks.{index}.{inner}" for index in self.ends), f"blocks.{len(rows) - 1}")
        self.blocks = Sequential(*_blocks(rows, preact, epsilon, drop_path_rate, output_stride))
        self.head = ClassifierHead(2048, num_classes, global_pool=global_pool, drop_rate=drop_rate)

    def features(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "n _h _w _c"], ...]:
        """The maps before each change of resolution, and the last one."""
        maps, y = [], self.stem(x, train)
        for index, block in enumerate(self.blocks):
            seen, y = block.both(y, train, branch_key(key, index))
            if index in self.ends:
                maps.append(seen)
        return *maps, y

    def classify(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."]:
        """From the last map of `features` to logits (n, num_classes)."""
        return self.head(jax.nn.relu(x) if self.preact else x, train, key)


def _blocks(rows, preact: bool, epsilon: int | float, drop_path_rate: int | float, output_stride: int) -> list:
    rates, blocks, before, stride, dilation = rising_rates(drop_path_rate, len(rows)), [], 64, 2, 1
    for index, ((widths, strides), rate) in enumerate(zip(rows, rates)):
        last, taken, current = index == len(rows) - 1, strides, dilation
        if strides > 1 and stride * strides > output_stride:
            dilation, taken = dilation * strides, 1
        stride *= taken
        kind: dict[str, Any] = dict(residual=not last, relu_first=not last, preact=preact, epsilon=epsilon)
        blocks.append(Block(before, widths, taken, dilation=current, drop_path=rate, **kind))
        before = widths[-1]
    return blocks


_ENTRY_71 = ((128, 2), (256, 1), (256, 2), (728, 1), (728, 2))
VARIANTS = variants(
    AlignedXception,
    "Chen et al. 2018, arXiv:1802.02611, figure 4",
    {
        "xception41": {},
        "xception65": {"middle": 16},
        "xception71": {"entry": _ENTRY_71, "middle": 16},
        "xception41p": {"preact": True, "epsilon": 1e-5},
        "xception65p": {"middle": 16, "preact": True},
    },
)
