"""ShuffleNet v2: half the channels go through a block, then all are shuffled (Ma et al., arXiv:1807.11164, fig. 3)."""

from functools import partial

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

import jaxconv.functional as F
from jaxconv.models.head import GlobalPool
from jaxconv.models.network import Network
from jaxconv.models.published import variants
from jaxconv.nn import Activate, BatchNorm, Conv, Dense, Dropout, MaxPool, Sequential

_conv = partial(Conv, use_bias=False)


class Block(nnx.Module):
    """Where it strides, both branches see all channels; elsewhere one passes half of them through.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        strides: of the depthwise convolutions.
    """

    def __init__(self, in_channels: int, out_channels: int, strides: int):
        width = out_channels // 2
        self.branch1 = Sequential(*_spatial(in_channels, 2), *_point(in_channels, width)) if strides > 1 else None
        inner = in_channels if strides > 1 else in_channels // 2
        self.branch2 = Sequential(*_point(inner, width), *_spatial(width, strides), *_point(width, width))

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, in_channels) to (n, h / strides, w / strides, out_channels)."""
        if self.branch1 is None:
            half = x.shape[-1] // 2
            kept, x = x[..., :half], x[..., half:]
        else:
            kept = self.branch1(x, train)
        return F.channel_shuffle(jnp.concatenate([kept, self.branch2(x, train)], -1), 2)


def _point(before: int, after: int) -> list[nnx.Module]:
    return [_conv(before, after, 1, padding=0), BatchNorm(after), Activate()]


def _spatial(width: int, strides: int) -> list[nnx.Module]:
    return [_conv(width, width, 3, strides=strides, padding=1, groups=width), BatchNorm(width)]


class ShuffleNetV2(Network):
    """A convolution and a pool, three stages of 4, 8 and 4 blocks, a pointwise convolution, a classifier.

    Args:
        num_classes: length of the output; 0 leaves out the classifier.
        in_chans: channels of the input.
        widths: channels of the three stages and of the last convolution.
        drop_rate: dropout before the classifier.
        global_pool: as in `GlobalPool`.
    """

    level_names = ("conv1", "maxpool", "stage2", "stage3", "conv5")
    stage2: Sequential
    stage3: Sequential
    stage4: Sequential

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        *,
        widths: tuple[int, int, int, int],
        drop_rate: int | float = 0.0,
        global_pool: str = "avg",
    ):
        self.conv1 = Sequential(_conv(in_chans, 24, 3, strides=2, padding=1), BatchNorm(24), Activate())
        self.maxpool = MaxPool(3, strides=2, padding=1)
        before = 24
        for name, width, depth in zip(("stage2", "stage3", "stage4"), widths, (4, 8, 4)):
            blocks = [Block(before if index == 0 else width, width, 1 if index else 2) for index in range(depth)]
            setattr(self, name, Sequential(*blocks))
            before = width
        self.conv5 = Sequential(*_point(before, widths[-1]))
        self.pool = GlobalPool(global_pool, num_classes)
        self.dropout = Dropout(drop_rate)
        self.fc = Dense(self.pool.width(widths[-1]), num_classes) if num_classes else None

    def features(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "n _h _w _c"], ...]:
        """The maps at strides 2, 4, 8, 16 and 32."""
        first = self.conv1(x, train)
        pooled = self.maxpool(first)
        second = self.stage2(pooled, train)
        third = self.stage3(second, train)
        return first, pooled, second, third, self.conv5(self.stage4(third, train), train)

    def classify(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."]:
        """From the last map to logits (n, num_classes)."""
        y = self.dropout(self.pool(x), train, key)
        return y if self.fc is None else self.fc(y)


VARIANTS = variants(
    ShuffleNetV2,
    "Ma et al. 2018, arXiv:1807.11164, table 5",
    {
        "shufflenet_v2_x0_5": {"widths": (48, 96, 192, 1024)},
        "shufflenet_v2_x1_0": {"widths": (116, 232, 464, 1024)},
        "shufflenet_v2_x1_5": {"widths": (176, 352, 704, 1024)},
        "shufflenet_v2_x2_0": {"widths": (244, 488, 976, 2048)},
    },
    library="torchvision",
)
