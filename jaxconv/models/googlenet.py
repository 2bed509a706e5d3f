"""GoogLeNet, as the paper has it and as torchvision has it.

Szegedy et al., "Going Deeper with Convolutions", arXiv:1409.4842, table 1 and figure 3. The two forms differ:

| | googlenet_paper | googlenet (torchvision) |
|---|---|---|
| a convolution is followed by | bias, ReLU | batch norm (epsilon 0.001), ReLU |
| third branch of a block | 5x5 | 3x3, kept from a port of TensorFlow's, because the weights exist |
| local response norm | after the first pool and the third convolution | none |
| last pool | 3x3, stride 2 | 2x2, stride 2 |
| auxiliary heads see | an average of 5x5 at stride 3 (14x14 maps only) | the map averaged to 4x4 |
| dropout before the classifier | 0.4 | 0.2 |

All pools round up (no padding), which takes 224x224 images to 112, 56, 28, 14 and 7. What
torchvision's `transform_input` does to images is in their mean and deviation here: 0.5, as `model.info` says.
"""

from collections.abc import Callable
from functools import partial

import jax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

import jaxconv.functional as F
from jaxconv.models.head import GlobalPool
from jaxconv.models.network import IMAGENET_MEAN, IMAGENET_STD, ModelInfo, Network, Variant, flatten
from jaxconv.models.published import published_info
from jaxconv.nn import Conv, ConvNorm, Dense, Dropout, Inception, InceptionWidths, MaxPool, branch_key, initializers

# Table 1 of the paper: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj.
BLOCKS = {
    "3a": InceptionWidths(64, 96, 128, 16, 32, 32),
    "3b": InceptionWidths(128, 128, 192, 32, 96, 64),
    "4a": InceptionWidths(192, 96, 208, 16, 48, 64),
    "4b": InceptionWidths(160, 112, 224, 24, 64, 64),
    "4c": InceptionWidths(128, 128, 256, 24, 64, 64),
    "4d": InceptionWidths(112, 144, 288, 32, 64, 64),
    "4e": InceptionWidths(256, 160, 320, 32, 128, 128),
    "5a": InceptionWidths(256, 160, 320, 32, 128, 128),
    "5b": InceptionWidths(384, 192, 384, 48, 128, 128),
}


class ConvRelu(nnx.Module):
    """`Conv` with a bias, then ReLU: the unit before batch norm."""

    def __init__(self, in_channels: int, out_channels: int, window: int, *, padding: int, strides: int = 1):
        self.conv = Conv(in_channels, out_channels, window, padding=padding, strides=strides)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, in_channels) to (n, out, out, out_channels)."""
        return jax.nn.relu(self.conv(x))


class AuxiliaryHead(nnx.Module):
    """A classifier on an inner map, heard in training only: pool to 4x4, 1x1 convolution, two dense layers."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        unit: Callable[..., nnx.Module],
        pool: Callable[[Array], Array],
        drop_rate: float,
    ):
        self.pool = pool
        self.conv = unit(in_channels, 128, 1, padding=0)
        self.fc1 = Dense(4 * 4 * 128, 1024, kernel_init=_normal)
        self.dropout = Dropout(drop_rate)
        self.fc2 = Dense(1024, num_classes, kernel_init=_normal)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n k"]:
        """Maps x (n, h, w, in_channels) to logits (n, num_classes)."""
        y = jax.nn.relu(self.fc1(flatten(self.conv(self.pool(x), train))))
        return self.fc2(self.dropout(y, train, key))


class GoogLeNet(Network):
    """Three convolutions, nine inception blocks, a classifier, and two auxiliary heads on the way.

    Args:
        num_classes: length of the output; 0 leaves out the classifier.
        in_chans: channels of the input.
        aux_logits: whether there are auxiliary heads; in training a call then returns (logits, aux1, aux2).
        drop_rate: dropout before the classifier.
        aux_drop_rate: dropout inside the auxiliary heads.
        global_pool: as in `GlobalPool`.
        unit: builds a convolution with what follows it.
        five: window of the third branch.
        last_pool: window of the last max pool.
        aux_pool: brings the maps that auxiliary heads read to 4x4.
        norm: what follows the first pool and the third convolution.

    Raises:
        ValueError: if auxiliary heads are asked for and there are no classes to tell apart.
    """

    level_names = ("conv1", "conv3", "inception3b", "inception4e", "inception5b")

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        *,
        aux_logits: bool = False,
        drop_rate: float = 0.2,
        aux_drop_rate: float = 0.7,
        global_pool: str = "avg",
        unit: Callable[..., nnx.Module],
        five: int,
        last_pool: int,
        aux_pool: Callable[[Array], Array],
        norm: Callable[[Array], Array],
    ):
        if aux_logits and not num_classes:
            raise ValueError("aux_logits=True needs a classifier: got num_classes=0.")
        self.norm = norm
        self.conv1 = unit(in_chans, 64, 7, strides=2, padding=3)
        self.maxpool1 = _half(3)
        self.conv2 = unit(64, 64, 1, padding=0)
        self.conv3 = unit(64, 192, 3, padding=1)
        self.maxpool2 = _half(3)
        channels = self._add_blocks(192, unit, five)
        self.maxpool3, self.maxpool4 = _half(3), _half(last_pool)
        head = partial(AuxiliaryHead, num_classes=num_classes, unit=unit, pool=aux_pool, drop_rate=aux_drop_rate)
        self.aux1 = head(BLOCKS["4a"].out) if aux_logits else None
        self.aux2 = head(BLOCKS["4d"].out) if aux_logits else None
        self.pool = GlobalPool(global_pool, num_classes)
        self.dropout = Dropout(drop_rate)
        self.fc = Dense(self.pool.width(channels), num_classes, kernel_init=_normal) if num_classes else None

    def _add_blocks(self, channels: int, unit: Callable[..., nnx.Module], five: int) -> int:
        for name, widths in BLOCKS.items():
            setattr(self, f"inception{name}", Inception(channels, widths, unit=unit, five=five))
            channels = widths.out
        return channels

    def _blocks(self, names: str, x: Array, train: bool) -> Array:
        for name in names.split():
            x = getattr(self, f"inception{name}")(x, train)
        return x

    def _trunk(self, x: Array, train: bool) -> tuple[tuple[Array, ...], tuple[Array, Array]]:
        """The pyramid, and the maps 4a and 4d that the auxiliary heads read."""
        conv1 = self.conv1(x, train)
        conv2 = self.conv2(self.norm(self.maxpool1(conv1)), train)
        conv3 = self.norm(self.conv3(conv2, train))
        b3 = self._blocks("3a 3b", self.maxpool2(conv3), train)
        a4 = self._blocks("4a", self.maxpool3(b3), train)
        d4 = self._blocks("4b 4c 4d", a4, train)
        e4 = self._blocks("4e", d4, train)
        b5 = self._blocks("5a 5b", self.maxpool4(e4), train)
        return (conv1, conv3, b3, e4, b5), (a4, d4)

    def features(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "n _h _w _c"], ...]:
        """The maps at strides 2, 4, 8, 16 and 32, each the last before the next pool."""
        return self._trunk(x, train)[0]

    def classify(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."]:
        """From the last map to logits (n, num_classes)."""
        y = self.pool(x)
        return y if self.fc is None else self.fc(self.dropout(y, train, key))

    def logits(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."] | tuple[Float[Array, "n k"], ...]:
        """Logits (n, num_classes); in training, with auxiliary heads, (logits, aux1, aux2)."""
        levels, (a4, d4) = self._trunk(x, train)
        logits = self.classify(levels[-1], train, branch_key(key, 0))
        if not train or self.aux1 is None or self.aux2 is None:
            return logits
        return logits, self.aux1(a4, train, branch_key(key, 1)), self.aux2(d4, train, branch_key(key, 2))


def _half(window: int) -> MaxPool:
    return MaxPool(window, strides=2, padding=0, ceil_mode=True)


def _nothing(x: Array) -> Array:
    return x


_normal = initializers.trunc_normal(0.01)
_SOURCE = "Szegedy et al. 2014, arXiv:1409.4842, table 1"
VARIANTS = {
    "googlenet": Variant(
        GoogLeNet,
        published_info("googlenet", _SOURCE, "torchvision"),  # 13,004,888 parameters with auxiliary heads
        {
            "unit": partial(ConvNorm, epsilon=0.001, kernel_init=_normal),
            "five": 3,
            "last_pool": 2,
            "aux_pool": partial(F.adaptive_avg_pool, size=4),
            "norm": _nothing,
        },
    ),
    "googlenet_paper": Variant(
        GoogLeNet,
        ModelInfo("googlenet_paper", _SOURCE, parameters=6_998_552, mean=IMAGENET_MEAN, std=IMAGENET_STD),
        {
            "drop_rate": 0.4,
            "unit": ConvRelu,
            "five": 5,
            "last_pool": 3,
            "aux_pool": partial(F.avg_pool, window=5, strides=3, padding="VALID"),
            # The paper names no constants: these are Krizhevsky et al. 2012, section 3.3 (1e-4 * size).
            "norm": partial(F.local_response_norm, size=5, alpha=5e-4, beta=0.75, k=2.0),
        },
    ),
}
