"""SENets as first published (Hu et al., "Squeeze-and-Excitation Networks", arXiv:1709.01507), from the authors' Caffe.

They differ from the SE-ResNets of `resnet`: the stem's pool rounds up instead of padding, SE-ResNet strides in the
first 1x1 convolution, blocks of two convolutions have a ReLU before their gate, and the gate has a sixteenth of the
channels without rounding. SENet-154 is table 9's.
"""

import math

import jax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.models.head import GlobalPool
from jaxconv.models.network import Network
from jaxconv.models.published import variants
from jaxconv.models.resnet import conv
from jaxconv.nn import BatchNorm, Dense, Dropout, MaxPool, Sequential, SqueezeExcite, initializers


class Block(nnx.Module):
    """Convolutions with norms, a gate, the shortcut.

    Args:
        in_channels: channels of the input.
        steps: (channels, window, strides, groups) of each convolution.
        shortcut: what the input passes; None for the identity.
    """

    def __init__(self, in_channels: int, steps: tuple[tuple[int, int, int, int], ...], shortcut=None):
        self.depth = len(steps)
        before = in_channels
        for index, (width, window, strides, groups) in enumerate(steps, start=1):
            setattr(self, f"conv{index}", conv(before, width, window, strides=strides, groups=groups))
            setattr(self, f"bn{index}", BatchNorm(width))
            before = width
        self.se_module = SqueezeExcite(before, before // 16, kernel_init=initializers.he_fan_out)
        self.downsample = shortcut

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, in_channels) to (n, out, out, channels)."""
        y = x
        for index in range(1, self.depth + 1):
            y = getattr(self, f"bn{index}")(getattr(self, f"conv{index}")(y), train)
            y = jax.nn.relu(y) if index < self.depth or self.depth == 2 else y
        return jax.nn.relu(self.se_module(y) + (x if self.downsample is None else self.downsample(x, train)))


class Stem(nnx.Module):
    """One 7x7 convolution or three 3x3 ones, named and not numbered."""

    def __init__(self, in_chans: int, width: int, deep: bool):
        widths = (64, 64, width) if deep else (width,)
        self.depth = len(widths)
        for index, (before, after) in enumerate(zip((in_chans, *widths), widths), start=1):
            strides = 2 if index == 1 else 1
            setattr(self, f"conv{index}", conv(before, after, 3 if deep else 7, strides=strides))
            setattr(self, f"bn{index}", BatchNorm(after))

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, in_chans) to (n, h / 2, w / 2, width)."""
        for index in range(1, self.depth + 1):
            x = jax.nn.relu(getattr(self, f"bn{index}")(getattr(self, f"conv{index}")(x), train))
        return x


def steps(kind: str, planes: int, strides: int, groups: int) -> tuple[tuple[int, int, int, int], ...]:
    """The convolutions of a block of a kind: "basic", "bottleneck" (stride first), "next" (grouped) or "senet"."""
    if kind == "basic":
        return (planes, 3, strides, 1), (planes, 3, 1, groups)
    if kind == "bottleneck":
        return (planes, 1, strides, 1), (planes, 3, 1, groups), (4 * planes, 1, 1, 1)
    width = 2 * planes if kind == "senet" else math.floor(planes * 4 / 64) * groups
    inner = 4 * planes if kind == "senet" else width
    return (width, 1, 1, 1), (inner, 3, strides, groups), (4 * planes, 1, 1, 1)


class SENet(Network):
    """A stem, four stages, a classifier.

    Args:
        num_classes: length of the output; 0 leaves out the classifier.
        in_chans: channels of the input.
        kind: as in `steps`.
        layers: blocks of each stage.
        groups: of the 3x3 convolutions.
        deep: whether the stem is three 3x3 convolutions to 128 channels.
        shortcut: window of the strided shortcuts.
        drop_rate: dropout before the classifier.
        global_pool: as in `GlobalPool`.
    """

    level_names = ("layer0", "layer1", "layer2", "layer3", "layer4")

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        *,
        kind: str,
        layers: tuple[int, ...],
        groups: int = 1,
        deep: bool = False,
        shortcut: int = 1,
        drop_rate: int | float = 0.0,
        global_pool: str = "avg",
    ):
        before = 128 if deep else 64
        self.layer0 = Stem(in_chans, before, deep)
        self.pool0 = MaxPool(3, strides=2, padding="VALID", ceil_mode=True)
        for stage, (count, planes) in enumerate(zip(layers, (64, 128, 256, 512)), start=1):
            blocks = []
            for index in range(count):
                strides = 2 if stage > 1 and index == 0 else 1
                convolutions = steps(kind, planes, strides, groups)
                after, join = convolutions[-1][0], None
                if before != after or strides > 1:
                    window = shortcut if stage > 1 else 1
                    join = Sequential(conv(before, after, window, strides=strides), BatchNorm(after))
                blocks.append(Block(before, convolutions, join))
                before = after
            setattr(self, f"layer{stage}", Sequential(*blocks))
        self.pool = GlobalPool(global_pool, num_classes)
        self.dropout = Dropout(drop_rate)
        self.last_linear = Dense(self.pool.width(before), num_classes) if num_classes else None

    def features(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "n _h _w _c"], ...]:
        """The maps after the stem's convolutions and after each stage."""
        maps = [self.layer0(x, train)]
        y = self.pool0(maps[0])
        for stage in range(1, 5):
            y = getattr(self, f"layer{stage}")(y, train)
            maps.append(y)
        return tuple(maps)

    def classify(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."]:
        """From the last map to logits (n, num_classes)."""
        y = self.dropout(self.pool(x), train, key)
        return y if self.last_linear is None else self.last_linear(y)


_DEPTHS = {
    18: (2, 2, 2, 2),
    26: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
VARIANTS = variants(
    SENet,
    "Hu et al. 2017, arXiv:1709.01507, tables 1 and 9",
    {
        **{f"legacy_seresnet{depth}": {"kind": "basic", "layers": _DEPTHS[depth]} for depth in (18, 34)},
        **{f"legacy_seresnet{depth}": {"kind": "bottleneck", "layers": _DEPTHS[depth]} for depth in (50, 101, 152)},
        **{
            f"legacy_seresnext{depth}_32x4d": {"kind": "next", "layers": _DEPTHS[depth], "groups": 32}
            for depth in (26, 50, 101)
        },
        "legacy_senet154": {"kind": "senet", "layers": _DEPTHS[152], "groups": 64, "deep": True, "shortcut": 3},
    },
)
