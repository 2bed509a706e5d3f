"""ConvMixer: patches, then blocks that mix space by a large depthwise convolution and channels by a pointwise one.

Trockman and Kolter, "Patches Are All You Need?", arXiv:2201.09792, figure 2 and table 1.
"""

from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.models.head import pooled_dense
from jaxconv.models.network import Network
from jaxconv.models.published import variants
from jaxconv.nn import Activate, BatchNorm, Conv, Sequential, activation


class Residual(nnx.Module):
    """x + fn(x)."""

    def __init__(self, fn: nnx.Module):
        self.fn = fn

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n h w c"]:
        """Maps x (n, h, w, c) to the same shape."""
        return x + self.fn(x, train, key)


class ConvMixer(Network):
    """A patch stem, `depth` blocks of one width, a classifier.

    Args:
        num_classes: length of the output; 0 leaves out the classifier.
        in_chans: channels of the input.
        width: channels of every map.
        depth: number of blocks.
        window: of the depthwise convolutions.
        patch: side of the patches.
        act: name of the activation.
        drop_rate: dropout before the classifier.
        global_pool: as in `GlobalPool`.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        *,
        width: int,
        depth: int,
        window: int = 9,
        patch: int = 7,
        act: str = "gelu",
        drop_rate: int | float = 0.0,
        global_pool: str = "avg",
    ):
        def unit(*layers):
            return Sequential(*layers, Activate(activation(act)), BatchNorm(width))

        def block():
            return unit(Residual(unit(Conv(width, width, window, padding="SAME", groups=width))), point())

        def point():
            return Conv(width, width, 1, padding=0)

        self.stem = unit(Conv(in_chans, width, patch, strides=patch, padding=0))
        self.blocks = Sequential(*(block() for _ in range(depth)))
        # The three last blocks, as timm has it: all maps have one size.
        self.level_names = tuple(f"blocks.{index}" for index in range(depth))[-3:]
        self.head = pooled_dense(width, num_classes, global_pool=global_pool, drop_rate=drop_rate)

    def features(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "n _h _w _c"], ...]:
        """The maps of the last three blocks."""
        maps = [self.stem(x, train, key)]
        for block in self.blocks:
            maps.append(block(maps[-1], train, key))
        return tuple(maps[-3:])

    def classify(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."]:
        """From the last map of `features` to logits (n, num_classes)."""
        return self.head(x, train, key)


VARIANTS = variants(
    ConvMixer,
    "Trockman and Kolter 2022, arXiv:2201.09792, table 1",
    {
        "convmixer_1536_20": {"width": 1536, "depth": 20},
        "convmixer_768_32": {"width": 768, "depth": 32, "window": 7, "act": "relu"},
        "convmixer_1024_20_ks9_p14": {"width": 1024, "depth": 20, "patch": 14},
    },
)
