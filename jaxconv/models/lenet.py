"""LeNet-5, and the small network of two convolutions and a dense layer that introductions draw.

LeNet-5: LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document Recognition", Proc. IEEE 1998,
section II.B and figure 2, as everyone builds it today. C3 sees all six maps of S2 (the paper's table I connects each
map to three, four or six), subsampling is a plain average (the paper trains a coefficient and a bias per map), the
activation is tanh unscaled (the paper: 1.7159 tanh(2x/3)), and a dense layer stands for the radial-basis output.
That makes 61,706 parameters on 32x32x1, where the paper counts 60,000.

two_conv_dense: "a small network with two convolutional layers, followed by one fully connected layer" (Vanhoucke, Deep
Learning, Udacity ud730, 2016, lesson 4 and its assignment): 5x5 patches, depth 16, stride 2, SAME, 64 hidden nodes,
truncated normal weights of deviation 0.1, first biases 0 and later ones 1.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.models.network import ModelInfo, Network, Variant, flatten
from jaxconv.nn import AvgPool, Conv, Dense, initializers


class LeNet5(Network):
    """LeNet-5: the paper's layers C1 to F6 under their names. Takes images of 32x32."""

    level_names = ("c1", "c3")

    def __init__(self, num_classes: int = 10, in_chans: int = 1):
        init = initializers.lecun
        self.c1 = Conv(in_chans, 6, 5, padding="VALID", kernel_init=init)
        self.s2 = AvgPool(2, strides=2, padding="VALID")
        self.c3 = Conv(6, 16, 5, padding="VALID", kernel_init=init)
        self.s4 = AvgPool(2, strides=2, padding="VALID")
        self.c5 = Conv(16, 120, 5, padding="VALID", kernel_init=init)
        self.f6 = Dense(120, 84)
        self.output = Dense(84, num_classes) if num_classes else None

    def features(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "n _h _w _c"], ...]:
        """The maps C1 (n, 28, 28, 6) and C3 (n, 10, 10, 16), activated."""
        c1 = jnp.tanh(self.c1(x))
        return c1, jnp.tanh(self.c3(self.s2(c1)))

    def classify(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n k"]:
        """From C3 to logits (n, num_classes)."""
        c5 = flatten(jnp.tanh(self.c5(self.s4(x))))
        f6 = jnp.tanh(self.f6(c5))
        return f6 if self.output is None else self.output(f6)


class TwoConvDense(Network):
    """Two strided convolutions, a dense layer, and the classifier that the softmax reads. Takes images of 28x28."""

    level_names = ("conv1", "conv2")

    def __init__(self, num_classes: int = 10, in_chans: int = 1, depth: int = 16, hidden: int = 64):
        init, one = initializers.trunc_normal(0.1), initializers.ones
        self.conv1 = Conv(in_chans, depth, 5, strides=2, padding="SAME", kernel_init=init)
        self.conv2 = Conv(depth, depth, 5, strides=2, padding="SAME", kernel_init=init, bias_init=one)
        self.fc1 = Dense(7 * 7 * depth, hidden, kernel_init=init, bias_init=one)
        self.fc2 = Dense(hidden, num_classes, kernel_init=init, bias_init=one) if num_classes else None

    def features(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "n _h _w _c"], ...]:
        """The maps (n, 14, 14, depth) and (n, 7, 7, depth)."""
        first = jax.nn.relu(self.conv1(x))
        return first, jax.nn.relu(self.conv2(first))

    def classify(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n k"]:
        """From the second map to logits (n, num_classes)."""
        hidden = jax.nn.relu(self.fc1(flatten(x)))
        return hidden if self.fc2 is None else self.fc2(hidden)


VARIANTS = {
    "lenet5": Variant(
        LeNet5,
        ModelInfo(
            "lenet5",
            source="LeCun et al. 1998, Gradient-Based Learning Applied to Document Recognition, figure 2",
            parameters=61_706,
            input_size=(32, 32),
            fixed_input_size=True,
            num_classes=10,
            in_chans=1,
        ),
    ),
    "two_conv_dense": Variant(
        TwoConvDense,
        ModelInfo(
            "two_conv_dense",
            source="Vanhoucke 2016, Deep Learning (Udacity ud730), lesson 4",
            parameters=57_722,
            input_size=(28, 28),
            fixed_input_size=True,
            num_classes=10,
            in_chans=1,
        ),
    ),
}
