"""Inception v3 (Szegedy et al., "Rethinking Inception", arXiv:1512.00567, table 1), for 299x299 images.

The blocks are those of the published weights, as TensorFlow has them and timm and torchvision after it: averages
count the zeros of the border. What torchvision's `transform_input` does to images is in their mean and deviation here.
"""

from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

import jaxconv.functional as F
from jaxconv.models.head import GlobalPool
from jaxconv.models.inception_chains import Chains, unit
from jaxconv.models.network import Network
from jaxconv.models.published import variants
from jaxconv.nn import Dense, Dropout, MaxPool, branch_key, initializers


def _a(pool: int) -> dict[str, str]:
    return {
        "branch1x1": "64",
        "branch5x5": "48 64:5",
        "branch3x3dbl": "64 96:3 96:3",
        "branch_pool": f"avg {pool}",
    }


def _c(width: int) -> dict[str, str]:
    return {
        "branch1x1": "192",
        "branch7x7": f"{width} {width}:1x7 192:7x1",
        "branch7x7dbl": f"{width} {width}:7x1 {width}:1x7 {width}:7x1 192:1x7",
        "branch_pool": "avg 192",
    }


_E = {
    "branch1x1": "320",
    "branch3x3": "384 384:1x3|3x1",
    "branch3x3dbl": "448 384:3 384:1x3|3x1",
    "branch_pool": "avg 192",
}
BLOCKS = {
    "Mixed_5b": _a(32),
    "Mixed_5c": _a(64),
    "Mixed_5d": _a(64),
    "Mixed_6a": {"branch3x3": "384:3s", "branch3x3dbl": "64 96:3 96:3s", "pool": "max"},
    "Mixed_6b": _c(128),
    "Mixed_6c": _c(160),
    "Mixed_6d": _c(160),
    "Mixed_6e": _c(192),
    "Mixed_7a": {"branch3x3": "192 320:3s", "branch7x7x3": "192 192:1x7 192:7x1 192:3s", "pool": "max"},
    "Mixed_7b": _E,
    "Mixed_7c": _E,
}


class AuxiliaryHead(nnx.Module):
    """A classifier on the last 17x17 map, heard in training only: pool, two convolutions, average, dense."""

    def __init__(self, in_channels: int, num_classes: int):
        self.conv0 = unit(in_channels, 128, 1, padding="VALID")
        self.conv1 = unit(128, 768, 5, padding="VALID", kernel_init=initializers.trunc_normal(0.01))
        self.fc = Dense(768, num_classes, kernel_init=initializers.trunc_normal(0.001))

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n k"]:
        """Maps x (n, h, w, in_channels) to logits (n, num_classes)."""
        y = self.conv0(F.avg_pool(x, 5, strides=3, padding="VALID"), train)
        return self.fc(F.global_avg_pool(self.conv1(y, train)))


class InceptionV3(Network):
    """Five convolutions and two pools, eleven blocks, a classifier, and an auxiliary head on the way.

    Args:
        num_classes: length of the output; 0 leaves out the classifier.
        in_chans: channels of the input.
        aux_logits: whether there is the auxiliary head; in training a call then returns (logits, auxiliary logits).
        drop_rate: dropout before the classifier.
        global_pool: as in `GlobalPool`.

    Raises:
        ValueError: if the auxiliary head is asked for and there are no classes to tell apart.
    """

    level_names = ("Conv2d_2b_3x3", "Conv2d_4a_3x3", "Mixed_5d", "Mixed_6e", "Mixed_7c")
    Mixed_6e: Chains

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        *,
        aux_logits: bool = False,
        drop_rate: int | float = 0.0,
        global_pool: str = "avg",
    ):
        if aux_logits and not num_classes:
            raise ValueError("aux_logits=True needs a classifier: got num_classes=0.")
        self.Conv2d_1a_3x3 = unit(in_chans, 32, 3, strides=2, padding="VALID")
        self.Conv2d_2a_3x3 = unit(32, 32, 3, padding="VALID")
        self.Conv2d_2b_3x3 = unit(32, 64, 3, padding=1)
        self.Pool1 = MaxPool(3, strides=2, padding="VALID")
        self.Conv2d_3b_1x1 = unit(64, 80, 1, padding="VALID")
        self.Conv2d_4a_3x3 = unit(80, 192, 3, padding="VALID")
        self.Pool2 = MaxPool(3, strides=2, padding="VALID")
        channels = 192
        for name, chains in BLOCKS.items():
            block = Chains(channels, chains, numbered=True, count_include_pad=True)
            setattr(self, name, block)
            channels = block.out_channels
        self.AuxLogits = AuxiliaryHead(self.Mixed_6e.out_channels, num_classes) if aux_logits else None
        self.pool = GlobalPool(global_pool, num_classes)
        self.dropout = Dropout(drop_rate)
        init = initializers.trunc_normal(0.1)
        self.fc = Dense(self.pool.width(channels), num_classes, kernel_init=init) if num_classes else None

    def features(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "n _h _w _c"], ...]:
        """The maps at strides 2, 4, 8, 16 and 32, each the last before the resolution falls."""
        maps = [self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x, train), train), train)]
        maps.append(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(self.Pool1(maps[0]), train), train))
        y = self.Pool2(maps[1])
        for name in BLOCKS:
            y = getattr(self, name)(y, train)
            if name in self.level_names:
                maps.append(y)
        return tuple(maps)

    def classify(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."]:
        """From the last map to logits (n, num_classes)."""
        y = self.dropout(self.pool(x), train, key)
        return y if self.fc is None else self.fc(y)

    def logits(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."] | tuple[Float[Array, "n k"], ...]:
        """Logits (n, num_classes); in training, with the auxiliary head, (logits, auxiliary logits)."""
        maps = self.features(x, train)
        logits = self.classify(maps[-1], train, branch_key(key, 0))
        return (logits, self.AuxLogits(maps[-2], train)) if train and self.AuxLogits is not None else logits


VARIANTS = variants(InceptionV3, "Szegedy et al. 2015, arXiv:1512.00567, table 1", {"inception_v3": {}})
