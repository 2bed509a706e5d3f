"""Xception: separable convolutions in place of Inception's blocks (Chollet, arXiv:1610.02357, figure 5).

For 299x299 images, without padding in the stem. The aligned form is in `xception_aligned`.
"""

from functools import partial
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.models.head import GlobalPool
from jaxconv.models.network import Network
from jaxconv.models.published import variants
from jaxconv.nn import (
    Activate,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    MaxPool,
    Sequential,
    initializers,
)

_conv = partial(Conv, use_bias=False, kernel_init=initializers.he_fan_out)


class Separable(nnx.Module):
    """A depthwise 3x3 convolution and a pointwise one, nothing between them."""

    def __init__(self, in_channels: int, out_channels: int):
        self.conv1 = _conv(in_channels, in_channels, 3, padding=1, groups=in_channels)
        self.pointwise = _conv(in_channels, out_channels, 1, padding=0)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n h w k"]:
        """Maps x (n, h, w, in_channels) to (n, h, w, out_channels)."""
        return self.pointwise(self.conv1(x))


class Block(nnx.Module):
    """ReLU, `Separable`, norm for each width, perhaps a strided pool; beside the identity or a 1x1 convolution."""

    def __init__(self, in_channels: int, widths: tuple[int, ...], strides: int = 1, relu_first: bool = True):
        changes = in_channels != widths[-1] or strides > 1
        self.skip = _conv(in_channels, widths[-1], 1, strides=strides, padding=0) if changes else None
        self.skipbn = BatchNorm(widths[-1]) if changes else None
        steps: list[nnx.Module] = []
        for before, after in zip((in_channels, *widths), widths):
            steps += [Activate(), Separable(before, after), BatchNorm(after)]
        pool = [MaxPool(3, strides=strides, padding=1)] if strides > 1 else []
        self.rep = Sequential(*steps[0 if relu_first else 1 :], *pool)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, in_channels) to (n, h / strides, w / strides, widths[-1])."""
        skip = x if self.skip is None or self.skipbn is None else self.skipbn(self.skip(x), train)
        return self.rep(x, train) + skip


BLOCKS: tuple[tuple[Any, ...], ...] = (
    (64, (128, 128), 2, False),
    (128, (256, 256), 2),
    (256, (728, 728), 2),
    *[(728, (728, 728, 728))] * 8,
    (728, (728, 1024), 2),
)


class Xception(Network):
    """Two convolutions, twelve blocks, two separable convolutions, a classifier.

    Args:
        num_classes: length of the output; 0 leaves out the classifier.
        in_chans: channels of the input.
        drop_rate: dropout before the classifier.
        global_pool: as in `GlobalPool`.
    """

    # A level is what the next block's ReLU makes of a map.
    level_names = ("act2", "block2.rep.0", "block3.rep.0", "block12.rep.0", "act4")

    def __init__(
        self, num_classes: int = 1000, in_chans: int = 3, *, drop_rate: int | float = 0.0, global_pool: str = "avg"
    ):
        self.conv1, self.bn1 = _conv(in_chans, 32, 3, strides=2, padding="VALID"), BatchNorm(32)
        self.conv2, self.bn2 = _conv(32, 64, 3, padding="VALID"), BatchNorm(64)
        for index, block in enumerate(BLOCKS, start=1):
            setattr(self, f"block{index}", Block(*block))
        self.conv3, self.bn3 = Separable(1024, 1536), BatchNorm(1536)
        self.conv4, self.bn4 = Separable(1536, 2048), BatchNorm(2048)
        self.pool = GlobalPool(global_pool, num_classes)
        self.dropout = Dropout(drop_rate)
        self.fc = Dense(self.pool.width(2048), num_classes) if num_classes else None

    def features(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "n _h _w _c"], ...]:
        """The rectified maps at strides 2, 4, 8, 16 and 32, each the last before the resolution falls."""
        y = jax.nn.relu(self.bn1(self.conv1(x), train))
        y = jax.nn.relu(self.bn2(self.conv2(y), train))
        maps = [y]
        for index in range(1, len(BLOCKS) + 1):
            y = getattr(self, f"block{index}")(y, train)
            if index in (1, 2, 11):
                maps.append(jax.nn.relu(y))
        y = jax.nn.relu(self.bn3(self.conv3(y), train))
        return *maps, jax.nn.relu(self.bn4(self.conv4(y), train))

    def classify(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."]:
        """From the last map to logits (n, num_classes)."""
        y = self.dropout(self.pool(x), train, key)
        return y if self.fc is None else self.fc(y)


VARIANTS = variants(Xception, "Chollet 2016, arXiv:1610.02357", {"legacy_xception": {}})
