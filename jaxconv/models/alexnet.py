"""AlexNet in one column, without local response norm, as torchvision has it (Krizhevsky, arXiv:1404.5997)."""

from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

import jaxconv.functional as F
from jaxconv.models.network import Network, flatten
from jaxconv.models.published import variants
from jaxconv.models.trunk import Trunk
from jaxconv.nn import Activate, Conv, Dense, Dropout, MaxPool, Sequential


class AlexNet(Network):
    """Five convolutions and three pools, an average to 6x6, two dense layers, a classifier.

    Args:
        num_classes: length of the output; 0 leaves out the classifier.
        in_chans: channels of the input.
        drop_rate: dropout before each dense layer.
    """

    level_names = ("features.1", "features.4", "features.11", "features.12")

    def __init__(self, num_classes: int = 1000, in_chans: int = 3, *, drop_rate: int | float = 0.5):
        def pool():
            return MaxPool(3, strides=2, padding="VALID")

        # The reference keeps the trunk under the name that is ours for the pyramid: calling it gives just that.
        self.features = Trunk(
            *(Conv(in_chans, 64, 11, strides=4, padding=2), Activate(), pool()),
            *(Conv(64, 192, 5, padding=2), Activate(), pool()),
            *(Conv(192, 384, 3, padding=1), Activate(), Conv(384, 256, 3, padding=1), Activate()),
            *(Conv(256, 256, 3, padding=1), Activate(), pool()),
        )
        layers: list[nnx.Module] = [Dropout(drop_rate), Dense(256 * 36, 4096), Activate()]
        layers += [Dropout(drop_rate), Dense(4096, 4096), Activate()]
        self.classifier = Sequential(*layers, *([Dense(4096, num_classes)] if num_classes else []))

    def classify(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n k"]:
        """From the last map to logits (n, num_classes), or to the last hidden layer."""
        return self.classifier(flatten(F.adaptive_avg_pool(x, 6)), train, key)


VARIANTS = variants(AlexNet, "Krizhevsky 2014, arXiv:1404.5997", {"alexnet": {}}, library="torchvision")
