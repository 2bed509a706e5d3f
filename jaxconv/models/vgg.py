"""VGG: nothing but 3x3 convolutions and pools (Simonyan and Zisserman, arXiv:1409.1556, table 1, columns A to E).

The dense layers are convolutions, as timm has them: on images above 224 they slide over the map, and the results are
averaged. Maps below 7x7 are first averaged up to it.
"""

import jax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

import jaxconv.functional as F
from jaxconv.models.head import ClassifierHead
from jaxconv.models.network import Network
from jaxconv.models.published import variants
from jaxconv.models.trunk import Trunk
from jaxconv.nn import Activate, BatchNorm, Conv, Dropout, MaxPool, branch_key, initializers

COLUMNS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
_WIDTHS = (64, 128, 256, 512, 512)


class DenseLayers(nnx.Module):
    """The two hidden layers as convolutions of 7x7 and 1x1, with ReLU and dropout between."""

    def __init__(self, drop_rate: int | float, grid: bool):
        self.grid = grid
        self.fc1, self.fc2 = Conv(512, 4096, 7, padding="VALID"), Conv(4096, 4096, 1, padding="VALID")
        self.drop = Dropout(drop_rate)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, 512) to (n, h - 6, w - 6, 4096), (n, 1, 1, 4096) below 7x7."""
        size = (7, 7) if self.grid else (max(7, x.shape[1]), max(7, x.shape[2]))
        x = F.adaptive_avg_pool(x, size) if x.shape[1:3] != size else x
        y = self.drop(jax.nn.relu(self.fc1(x)), train, key)
        return jax.nn.relu(self.fc2(y))


class VGG(Network):
    """Five groups of 3x3 convolutions, each before a pool, two dense layers, a classifier.

    Args:
        num_classes: length of the output; 0 leaves out the classifier.
        in_chans: channels of the input.
        depth: convolutions and dense layers together; a key of `COLUMNS`.
        norm: whether a batch norm follows every convolution.
        grid: whether maps of any size are averaged to 7x7, as torchvision does; timm lets the dense layers slide.
        drop_rate: dropout after the first dense layer and before the classifier.
        global_pool: as in `GlobalPool`, of what the dense layers make.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        *,
        depth: int,
        norm: bool = False,
        grid: bool = False,
        drop_rate: int | float = 0.0,
        global_pool: str = "avg",
    ):
        layers: list[nnx.Module] = []
        before, ends = in_chans, []
        for count, width in zip(COLUMNS[depth], _WIDTHS):
            for _ in range(count):
                layers.append(Conv(before, width, 3, padding=1, kernel_init=initializers.he_fan_out))
                layers += [BatchNorm(width), Activate()] if norm else [Activate()]
                before = width
            ends.append(len(layers) - 1)
            layers.append(MaxPool(2, strides=2, padding="VALID"))
        # The reference keeps the trunk under the name that is ours for the pyramid: calling it gives just that.
        self.features = Trunk(*layers)
        self.level_names = tuple(f"features.{index}" for index in (*ends, len(layers) - 1))
        self.pre_logits = DenseLayers(drop_rate, grid)
        self.head = ClassifierHead(4096, num_classes, global_pool=global_pool, drop_rate=drop_rate)

    def classify(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."]:
        """From the last map of `features` to logits (n, num_classes)."""
        return self.head(self.pre_logits(x, train, branch_key(key, 0)), train, branch_key(key, 1))


VARIANTS = variants(
    VGG,
    "Simonyan and Zisserman 2014, arXiv:1409.1556, table 1",
    {
        **{f"vgg{depth}": {"depth": depth} for depth in COLUMNS},
        **{f"vgg{depth}_bn": {"depth": depth, "norm": True} for depth in COLUMNS},
    },
)
