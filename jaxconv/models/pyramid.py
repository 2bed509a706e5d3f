"""The convolutional pyramid: space is squeezed out step by step while depth grows, then a classifier reads the rest.

Vanhoucke, Deep Learning (Udacity ud730, 2016), lesson 4: 256x256x3, 128x128x16, 64x64x64, 32x32x256, classifier. The
lesson leaves the rest open; here each step is a 3x3 convolution of stride 2 with batch norm and ReLU, and a global
pool lets the classifier take images of any size.
"""

from collections.abc import Sequence

from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.models.head import GlobalPool
from jaxconv.models.network import ModelInfo, Network, Variant
from jaxconv.nn import ConvNorm, Dense, Dropout, Sequential


class Pyramid(Network):
    """Strided convolutions, a global pool, a classifier.

    Args:
        num_classes: length of the output; 0 leaves out the classifier.
        in_chans: channels of the input.
        depths: channels after each halving of the image.
        drop_rate: dropout before the classifier.
        global_pool: as in `GlobalPool`.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_chans: int = 3,
        *,
        depths: Sequence[int] = (16, 64, 256),
        drop_rate: float = 0.0,
        global_pool: str = "avg",
    ):
        inputs = (in_chans, *depths)
        self.level_names = tuple(f"steps.{i}" for i in range(len(depths)))
        self.steps = Sequential(*(ConvNorm(i, o, 3, strides=2, padding="SAME") for i, o in zip(inputs, depths)))
        self.pool = GlobalPool(global_pool, num_classes)
        self.dropout = Dropout(drop_rate)
        self.fc = Dense(self.pool.width(inputs[-1]), num_classes) if num_classes else None

    def features(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "n _h _w _c"], ...]:
        """The map of every step, each half as wide as the one before."""
        maps = []
        for step in self.steps:
            maps.append(x := step(x, train))
        return tuple(maps)

    def classify(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."]:
        """From the last map to logits (n, num_classes)."""
        y = self.pool(x)
        return y if self.fc is None else self.fc(self.dropout(y, train, key))


VARIANTS = {
    "conv_pyramid": Variant(
        Pyramid,
        ModelInfo(
            "conv_pyramid",
            source="Vanhoucke 2016, Deep Learning (Udacity ud730), lesson 4",
            parameters=160_346,
            input_size=(256, 256),
            num_classes=10,
        ),
    )
}
