"""Inception v4 and Inception-ResNet v2 (Szegedy et al., arXiv:1602.07261), for 299x299 images.

Figures 3 to 9 have the blocks of the first, 15 to 19 those of the second, whose stem is that of Inception v3 here, as
in the published weights.
"""

from typing import Any

import jax
from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.models.head import GlobalPool
from jaxconv.models.inception_chains import Chains, unit
from jaxconv.models.network import Network
from jaxconv.models.published import variants
from jaxconv.nn import Conv, Dense, Dropout, MaxPool, Sequential

_A = {"branch0": "96", "branch1": "64 96:3", "branch2": "64 96:3 96:3", "branch3": "avg 96"}
_B = {
    "branch0": "384",
    "branch1": "192 224:1x7 256:7x1",
    "branch2": "192 192:7x1 224:1x7 224:7x1 256:1x7",
    "branch3": "avg 128",
}
_C = {
    "branch0": "256",
    "branch1": "384 256:1x3|3x1",
    "branch2": "384 448:3x1 512:1x3 256:1x3|3x1",
    "branch3": "avg 256",
}
V4 = (
    {"maxpool": "max", "conv": "96:3s"},
    {"branch0": "64 96:3v", "branch1": "64 64:1x7 64:7x1 96:3v"},
    {"conv": "192:3s", "maxpool": "max"},
    *[_A] * 4,
    {"branch0": "384:3s", "branch1": "192 224:3 256:3s", "branch2": "max"},
    *[_B] * 7,
    {"branch0": "192 192:3s", "branch1": "256 256:1x7 320:7x1 320:3s", "branch2": "max"},
    *[_C] * 3,
)


class Trunk(Sequential):
    """The numbered blocks of Inception v4, returning the map before each change of resolution."""

    ends = (2, 3, 9, 17, 21)

    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride]  (a pyramid)
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "n _h _w _c"], ...]:
        """The maps of x at `ends`."""
        maps = []
        for index, block in enumerate(self):
            x = block(x, train)
            if index in self.ends:
                maps.append(x)
        return tuple(maps)


class InceptionV4(Network):
    """Three convolutions, nineteen blocks, a classifier.

    Args:
        num_classes: length of the output; 0 leaves out the classifier.
        in_chans: channels of the input.
        drop_rate: dropout before the classifier.
        global_pool: as in `GlobalPool`.
    """

    level_names = tuple(f"features.{index}" for index in Trunk.ends)

    def __init__(
        self, num_classes: int = 1000, in_chans: int = 3, *, drop_rate: int | float = 0.0, global_pool: str = "avg"
    ):
        stem: list[Any] = [unit(in_chans, 32, 3, strides=2, padding="VALID"), unit(32, 32, 3, padding="VALID")]
        blocks, channels = [*stem, unit(32, 64, 3, padding=1)], 64
        for chains in V4:
            blocks.append(Chains(channels, chains))
            channels = blocks[-1].out_channels
        # The reference keeps the trunk under the name that is ours for the pyramid: calling it gives just that.
        self.features = Trunk(*blocks)
        self.pool = GlobalPool(global_pool, num_classes)
        self.dropout = Dropout(drop_rate)
        self.last_linear = Dense(self.pool.width(channels), num_classes) if num_classes else None

    def classify(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."]:
        """From the last map to logits (n, num_classes)."""
        y = self.dropout(self.pool(x), train, key)
        return y if self.last_linear is None else self.last_linear(y)


class ResidualChains(Chains):
    """`Chains`, a 1x1 convolution back to the input's channels, scaled and added to the input, ReLU.

    Args:
        channels: channels of the input and the output.
        chains: as in `Chains`.
        scale: factor of the branch (section 3.3: 0.1 to 0.3 keep training stable).
        activated: whether ReLU comes last.
    """

    def __init__(self, channels: int, chains: dict[str, str], *, scale: int | float, activated: bool = True):
        super().__init__(channels, chains)
        self.conv2d = Conv(self.out_channels, channels, 1, padding=0)
        self.scale, self.activated = scale, activated

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n h w c"]:
        """Maps x (n, h, w, channels) to the same shape."""
        y = x + self.scale * self.conv2d(super().__call__(x, train))
        return jax.nn.relu(y) if self.activated else y


_35 = {"branch0": "32", "branch1": "32 32:3", "branch2": "32 48:3 64:3"}
_17 = {"branch0": "192", "branch1": "128 160:1x7 192:7x1"}
_8 = {"branch0": "192", "branch1": "192 224:1x3 256:3x1"}
MIXED = {
    "mixed_5b": (192, {"branch0": "96", "branch1": "48 64:5", "branch2": "64 96:3 96:3", "branch3": "avg 64"}),
    "mixed_6a": (320, {"branch0": "384:3s", "branch1": "256 256:3 384:3s", "branch2": "max"}),
    "mixed_7a": (
        1088,
        {"branch0": "256 384:3s", "branch1": "256 288:3s", "branch2": "256 288:3 320:3s", "branch3": "max"},
    ),
}
REPEATED = {  # name: times, channels, chains, scale
    "repeat": (10, 320, _35, 0.17),
    "repeat_1": (20, 1088, _17, 0.10),
    "repeat_2": (9, 2080, _8, 0.20),
}


class InceptionResNetV2(Network):
    """The stem of Inception v3, forty residual blocks at three resolutions, a classifier.

    Args:
        num_classes: length of the output; 0 leaves out the classifier.
        in_chans: channels of the input.
        drop_rate: dropout before the classifier.
        global_pool: as in `GlobalPool`.
    """

    level_names = ("conv2d_2b", "conv2d_4a", "repeat", "repeat_1", "conv2d_7b")
    order = ("mixed_5b", "repeat", "mixed_6a", "repeat_1", "mixed_7a", "repeat_2", "block8", "conv2d_7b")

    def __init__(
        self, num_classes: int = 1000, in_chans: int = 3, *, drop_rate: int | float = 0.0, global_pool: str = "avg"
    ):
        self.conv2d_1a = unit(in_chans, 32, 3, strides=2, padding="VALID")
        self.conv2d_2a = unit(32, 32, 3, padding="VALID")
        self.conv2d_2b = unit(32, 64, 3, padding=1)
        self.maxpool_3a = MaxPool(3, strides=2, padding="VALID")
        self.conv2d_3b = unit(64, 80, 1, padding="VALID")
        self.conv2d_4a = unit(80, 192, 3, padding="VALID")
        self.maxpool_5a = MaxPool(3, strides=2, padding="VALID")
        for name, (channels, chains) in MIXED.items():
            setattr(self, name, Chains(channels, chains))
        for name, (times, channels, chains, scale) in REPEATED.items():
            blocks = [ResidualChains(channels, chains, scale=scale) for _ in range(times)]
            setattr(self, name, Sequential(*blocks))
        self.block8 = ResidualChains(2080, _8, scale=1.0, activated=False)
        self.conv2d_7b = unit(2080, 1536, 1, padding="VALID")
        self.pool = GlobalPool(global_pool, num_classes)
        self.dropout = Dropout(drop_rate)
        self.classif = Dense(self.pool.width(1536), num_classes) if num_classes else None

    def features(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "n _h _w _c"], ...]:
        """The maps at strides 2, 4, 8, 16 and 32, each the last before the resolution falls."""
        maps = [self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x, train), train), train)]
        maps.append(self.conv2d_4a(self.conv2d_3b(self.maxpool_3a(maps[0]), train), train))
        y = self.maxpool_5a(maps[1])
        for name in self.order:
            y = getattr(self, name)(y, train)
            if name in self.level_names:
                maps.append(y)
        return tuple(maps)

    def classify(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."]:
        """From the last map to logits (n, num_classes)."""
        y = self.dropout(self.pool(x), train, key)
        return y if self.classif is None else self.classif(y)


_SOURCE = "Szegedy et al. 2016, arXiv:1602.07261"
VARIANTS = {
    **variants(InceptionV4, _SOURCE, {"inception_v4": {}}),
    **variants(InceptionResNetV2, _SOURCE, {"inception_resnet_v2": {}}),
}
