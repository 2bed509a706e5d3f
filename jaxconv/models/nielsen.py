"""The MNIST networks of Nielsen, "Neural Networks and Deep Learning" (2015), chapter 6.

Every convolution is 5x5, stride 1, VALID, followed by a 2x2 max pool, *then* the bias, *then* the activation: the same
function as the usual order wherever the activation rises, on a quarter of the values. Weights start as in the book's
`network3.py` (normal with variance 1 / n_out, biases normal with variance 1, a softmax layer of zeros); `init="he"`
starts them as networks are started today (He 2015, biases at zero).

| row of the chapter's ladder | name | test accuracy in the book |
|---|---|---|
| 2 | nielsen_conv1 | 98.78 |
| 3 | nielsen_conv2 | 99.06 |
| 4 (5 with the expanded data) | nielsen_conv2_relu | 99.23 (99.37) |
| 6 | nielsen_conv2_fc2 | 99.43 |
| 7 | nielsen_dropout | 99.60 |
"""

from collections.abc import Callable, Sequence
from functools import partial

import jax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

import jaxconv.functional as F
from jaxconv.models.network import ModelInfo, Network, Variant, flatten
from jaxconv.nn import Dense, Dropout, Sequential, branch_key, initializers
from jaxconv.nn.variables import parameter, per_channel, read

Activation = Callable[[Array], Array]
INITS = {
    "nielsen": (initializers.nielsen(4), initializers.nielsen(), initializers.normal(1.0)),
    "he": (initializers.he_fan_in, initializers.he_fan_in, initializers.zeros),
}


class ConvPool(nnx.Module):
    """`functional.conv` 5x5, `functional.max_pool` 2x2, bias, activation, in this order."""

    def __init__(self, in_channels: int, out_channels: int, activation: Activation, init: str):
        kernel_init, _, bias_init = INITS[init]
        self.kernel = parameter((5, 5, in_channels, out_channels), kernel_init)
        self.bias = parameter((out_channels,), bias_init)
        self.activation = activation

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, in_channels) to (n, (h - 4) / 2, (w - 4) / 2, out_channels)."""
        y = F.conv(x, read(self.kernel, x.dtype), padding="VALID")
        y = F.max_pool(y, 2, strides=2, padding="VALID")
        return self.activation(y + per_channel(read(self.bias, y.dtype), y))


class Nielsen(Network):
    """Convolutions with pools, dense layers, a softmax layer. Takes images of 28x28.

    Args:
        num_classes: length of the output; 0 leaves out the softmax layer.
        in_chans: channels of the input.
        maps: feature maps of each convolution.
        hidden: neurons of each dense layer.
        activation: after every layer but the last.
        drop_rate: probability of dropping an input of each dense layer and of the softmax layer.
        init: "nielsen" or "he".

    Raises:
        ValueError: if there is no such `init`.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_chans: int = 1,
        *,
        maps: Sequence[int] = (20, 40),
        hidden: Sequence[int] = (100,),
        activation: Activation = jax.nn.sigmoid,
        drop_rate: float = 0.0,
        init: str = "nielsen",
    ):
        if init not in INITS:
            raise ValueError(f"init is one of {', '.join(map(repr, INITS))}: got {init!r}.")
        _, dense_init, bias_init = INITS[init]
        self.level_names = tuple(f"conv.{i}" for i in range(len(maps)))
        self.activation = activation
        inputs = (in_chans, *maps)
        self.conv = Sequential(*(ConvPool(i, o, activation, init) for i, o in zip(inputs, maps)))
        side = {1: 12, 2: 4}[len(maps)]
        widths = (side * side * maps[-1], *hidden)
        dense = partial(Dense, kernel_init=dense_init, bias_init=bias_init)
        self.fc = Sequential(*(dense(i, o) for i, o in zip(widths, hidden)))
        self.dropout = Dropout(drop_rate)
        self.softmax = Dense(widths[-1], num_classes, kernel_init=initializers.zeros) if num_classes else None

    def features(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "n _h _w _c"], ...]:
        """The map behind every convolution, pooled and activated."""
        maps = []
        for layer in self.conv:
            maps.append(x := layer(x))
        return tuple(maps)

    def classify(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n k"]:
        """From the last map to logits (n, num_classes)."""
        y = flatten(x)
        for index, layer in enumerate(self.fc):
            y = self.activation(layer(self.dropout(y, train, branch_key(key, index))))
        y = self.dropout(y, train, branch_key(key, len(self.fc)))
        return y if self.softmax is None else self.softmax(y)


def _row(name: str, parameters: int, **settings) -> Variant:
    info = ModelInfo(
        name,
        source="Nielsen 2015, Neural Networks and Deep Learning, chapter 6",
        parameters=parameters,
        input_size=(28, 28),
        fixed_input_size=True,
        num_classes=10,
        in_chans=1,
    )
    return Variant(Nielsen, info, settings)


_relu = jax.nn.relu
VARIANTS = {
    row.info.name: row
    for row in (
        _row("nielsen_conv1", 289_630, maps=(20,)),
        _row("nielsen_conv2", 85_670),
        _row("nielsen_conv2_relu", 85_670, activation=_relu),
        _row("nielsen_conv2_fc2", 95_770, activation=_relu, hidden=(100, 100)),
        _row("nielsen_dropout", 1_672_570, activation=_relu, hidden=(1000, 1000), drop_rate=0.5),
    )
}
