"""DenseNet: every layer reads all maps before it (Huang et al., "Densely Connected ...", arXiv:1608.06993, table 1).

`densenet264d` and `densenetblur121d` are timm's, with a stem of three 3x3 convolutions; the latter blurs where it
strides.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.functional.lowering.stored import stored
from jaxconv.models.head import GlobalPool
from jaxconv.models.network import Network
from jaxconv.models.published import variants
from jaxconv.models.resnet import conv
from jaxconv.nn import AvgPool, BatchNorm, Dense, Dropout, MaxPool, Sequential, branch_key
from jaxconv.nn.pool import BlurPool


class DenseLayer(nnx.Module):
    """Norm, ReLU, 1x1 to four times the growth; norm, ReLU, 3x3 to the growth ("DenseNet-BC")."""

    def __init__(self, in_channels: int, growth: int, drop_rate: int | float):
        self.norm1, self.conv1 = BatchNorm(in_channels), conv(in_channels, 4 * growth, 1)
        self.norm2, self.conv2 = BatchNorm(4 * growth), conv(4 * growth, growth, 3)
        self.dropout = Dropout(drop_rate)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n h w k"]:
        """Maps x (n, h, w, in_channels) to (n, h, w, growth)."""
        y = self.conv1(jax.nn.relu(self.norm1(x, train)))
        return self.dropout(self.conv2(jax.nn.relu(self.norm2(y, train))), train, key)


class DenseBlock(nnx.Module):
    """Dense layers, each reading the block's input joined with what the layers before it made."""

    def __init__(self, in_channels: int, layers: int, growth: int, drop_rate: int | float):
        self.layers = layers
        for index in range(layers):
            setattr(self, f"denselayer{index + 1}", DenseLayer(in_channels + index * growth, growth, drop_rate))

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n h w k"]:
        """Maps x (n, h, w, in_channels) to (n, h, w, in_channels + layers * growth)."""
        for index in range(self.layers):
            new = getattr(self, f"denselayer{index + 1}")(x, train, branch_key(key, index))
            x = stored(jnp.concatenate([x, new], -1))
        return x


class Transition(nnx.Module):
    """Norm, ReLU, a 1x1 convolution to half the channels, an average over 2x2."""

    def __init__(self, in_channels: int):
        self.norm, self.conv = BatchNorm(in_channels), conv(in_channels, in_channels // 2, 1)
        self.pool = AvgPool(2, strides=2, padding="VALID")

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, in_channels) to (n, h / 2, w / 2, in_channels / 2)."""
        return self.pool(self.conv(jax.nn.relu(self.norm(x, train))))


class Features(nnx.Module):
    """The trunk, whose parts the reference keeps under `features`."""

    def __init__(
        self, in_chans: int, blocks: tuple[int, ...], growth: int, deep: bool, blur: bool, drop_rate: int | float
    ):
        width = 2 * growth
        widths = (growth, growth, width) if deep else (width,)
        self.stem, self.blocks = len(widths), len(blocks)
        for index, (before, after) in enumerate(zip((in_chans, *widths), widths)):
            strides = 1 if index else 2
            setattr(self, f"conv{index}", conv(before, after, 3 if deep else 7, strides=strides))
            setattr(self, f"norm{index}", BatchNorm(after))
        blurred = Sequential(MaxPool(3, strides=1, padding=1), BlurPool(3, strides=2))
        self.pool0 = blurred if blur else MaxPool(3, strides=2, padding=1)
        for index, layers in enumerate(blocks, start=1):
            setattr(self, f"denseblock{index}", DenseBlock(width, layers, growth, drop_rate))
            width += layers * growth
            if index < len(blocks):
                setattr(self, f"transition{index}", Transition(width))
                width //= 2
        self.norm5 = BatchNorm(width)
        self.width = width

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "n _h _w _c"], ...]:
        """The maps after the stem's convolutions, after each block, and the last one normalized."""
        for index in range(self.stem):
            x = jax.nn.relu(getattr(self, f"norm{index}")(getattr(self, f"conv{index}")(x), train))
        maps, x = [x], self.pool0(x, train)
        for index in range(1, self.blocks + 1):
            x = getattr(self, f"denseblock{index}")(x, train, branch_key(key, index))
            if index < self.blocks:
                maps.append(x)
                x = getattr(self, f"transition{index}")(x, train)
        return *maps, jax.nn.relu(self.norm5(x, train))


class DenseNet(Network):
    """A stem, four dense blocks with transitions between them, a classifier.

    Args:
        num_classes: length of the output; 0 leaves out the classifier.
        in_chans: channels of the input.
        blocks: layers of each block.
        growth: channels that each layer adds.
        deep: whether the stem is three 3x3 convolutions instead of one 7x7.
        blur: whether the stem's pool blurs where it strides.
        drop_rate: dropout before the classifier.
        proj_drop_rate: dropout after each layer.
        global_pool: as in `GlobalPool`.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        *,
        blocks: tuple[int, ...],
        growth: int = 32,
        deep: bool = False,
        blur: bool = False,
        drop_rate: int | float = 0.0,
        proj_drop_rate: int | float = 0.0,
        global_pool: str = "avg",
    ):
        # The reference keeps the trunk under the name that is ours for the pyramid: calling it gives just that.
        self.features = Features(in_chans, blocks, growth, deep, blur, proj_drop_rate)
        names = [f"norm{self.features.stem - 1}", *(f"denseblock{index}" for index in range(1, len(blocks))), "norm5"]
        self.level_names = tuple(f"features.{name}" for name in names)
        self.pool = GlobalPool(global_pool, num_classes)
        self.dropout = Dropout(drop_rate)
        self.classifier = Dense(self.pool.width(self.features.width), num_classes) if num_classes else None

    def classify(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."]:
        """From the last map to logits (n, num_classes)."""
        y = self.dropout(self.pool(x), train, key)
        return y if self.classifier is None else self.classifier(y)


VARIANTS = variants(
    DenseNet,
    "Huang et al. 2016, arXiv:1608.06993, table 1",
    {
        "densenet121": {"blocks": (6, 12, 24, 16)},
        "densenet161": {"blocks": (6, 12, 36, 24), "growth": 48},
        "densenet169": {"blocks": (6, 12, 32, 32)},
        "densenet201": {"blocks": (6, 12, 48, 32)},
        "densenet264d": {"blocks": (6, 12, 64, 48), "growth": 48, "deep": True},
        "densenetblur121d": {"blocks": (6, 12, 24, 16), "deep": True, "blur": True},
    },
)
