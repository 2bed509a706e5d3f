"""The arithmetic of windows that people do by hand: sizes, padding, receptive fields, and what a layer costs.

Plain Python on ints; no arrays. The sizes are in `sizes` and offered here too.

Sources: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285; Araujo, Norris and
Sim, "Computing receptive fields of convolutional neural networks", Distill 2019; the SAME and VALID formulas are
TensorFlow's (`tf.nn.convolution`), `ceil_mode` and the transposed sizes are torch's (`MaxPool2d`, `ConvTranspose2d`).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxconv.functional.settings import Padding, per_dimension, spatial_sizes, whole
from jaxconv.functional.sizes import (
    explicit_padding,
    extent,
    output_shape,
    output_size,
    padding_pairs,
    transposed_size,
)

__all__ = [
    "Cost",
    "Layer",
    "ReceptiveField",
    "conv_cost",
    "dense_cost",
    "explicit_padding",
    "extent",
    "output_shape",
    "output_size",
    "padding_pairs",
    "receptive_field",
    "transposed_size",
    "unshared_cost",
]


class Layer(NamedTuple):
    """A convolution or a pool along one dimension, as `receptive_field` reads it.

    `padding` is "SAME", "SAME_LOWER", "VALID", an int for both sides, or (low, high).
    """

    window: int
    stride: int
    padding: Any
    dilation: int = 1
    ceil_mode: bool = False


@dataclass(frozen=True)
class ReceptiveField:
    """Which inputs an output depends on, along one dimension: unit i on start + i * stride and the `size` - 1 after.

    `start` is negative where the first unit sees padding. `stride` is the effective stride, the product of all.
    """

    size: int = 1
    stride: int = 1
    start: int = 0

    @property
    def center(self) -> float:
        """Input position under the middle of the first unit's field, half-integral for an even size."""
        return self.start + (self.size - 1) / 2

    def span(self, unit: int) -> tuple[int, int]:
        """First and last input position that output `unit` depends on; either may lie in the padding.

        Raises:
            TypeError: `unit` is no whole number.
            ValueError: it is negative.
        """
        first = self.start + whole("unit", unit, 0) * self.stride
        return first, first + self.size - 1

    def then(self, following: "ReceptiveField") -> "ReceptiveField":
        """The field through this part and then through `following`."""
        return ReceptiveField(
            size=self.size + (following.size - 1) * self.stride,
            stride=self.stride * following.stride,
            start=self.start + following.start * self.stride,
        )

    def beside(self, other: "ReceptiveField") -> "ReceptiveField":
        """The field of units that read two parallel branches, such as a residual block or an inception block.

        Raises:
            ValueError: the strides differ, so that the branches cannot be joined.
        """
        if self.stride != other.stride:
            raise ValueError(f"Parallel branches must have one stride; got {self.stride} and {other.stride}.")
        start = min(self.start, other.start)
        end = max(self.start + self.size, other.start + other.size)
        return ReceptiveField(size=end - start, stride=self.stride, start=start)


def receptive_field(layers: Iterable[Sequence[Any]], size: int | None = None) -> ReceptiveField:
    """The receptive field of a stack of layers along one dimension.

    Args:
        layers: `Layer`s, or tuples of its fields, from the input upwards.
        size: input positions. Needed only where a padding depends on it: "SAME" at a stride above 1.

    Raises:
        TypeError: `layers` is no sequence, or a setting is no whole number.
        ValueError: `size` is needed and absent, a bad setting, or a layer that has too few fields or too many, or
            whose output would be empty.
    """
    if not isinstance(layers, Iterable):
        raise TypeError(f"layers must be a sequence of layers, from the input upwards; got {layers!r}.")
    size = None if size is None else whole("size", size, 1)
    field = ReceptiveField()
    for number, layer in enumerate(layers):
        window, stride, padding, dilation, ceil_mode = _as_layer(layer, number)
        same = isinstance(padding, str) and padding in ("SAME", "SAME_LOWER")
        # A window of one position is never padded.
        if size is None and same and whole("stride", stride, 1) > 1 and extent(window, dilation) > 1:
            raise ValueError(
                f"{padding!r} padding at stride {stride} depends on the input's size; "
                f"give size (layer {number} of the stack)."
            )
        # An input just large enough stands for an unknown one: no padding left to find depends on the size.
        positions = extent(window, dilation) if size is None else size
        settings = {"stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
        low, _ = explicit_padding(positions, window, **settings)
        field = field.then(ReceptiveField(extent(window, dilation), whole("stride", stride, 1), -low))
        if size is not None:
            size = output_size(size, window, **settings)
    return field


def _as_layer(fields: Any, number: int) -> Layer:
    try:
        return Layer(*fields)
    except TypeError as error:
        raise ValueError(
            "A layer must be (window, stride, padding), with dilation and ceil_mode behind if they are set; "
            f"layer {number} of the stack is {fields!r}."
        ) from error


@dataclass(frozen=True)
class Cost:
    """What a layer holds and does for one example.

    Attributes:
        weights: numbers in its kernel or matrix.
        biases: numbers in its bias.
        multiply_adds: products summed in a forward pass, those with padding zeros included, the bias not.
    """

    weights: int
    biases: int
    multiply_adds: int

    @property
    def parameters(self) -> int:
        """Weights and biases together."""
        return self.weights + self.biases


def conv_cost(
    space: Sequence[int],
    window: int | Sequence[int],
    in_channels: int,
    out_channels: int,
    *,
    padding: Padding,
    strides: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Cost:
    """Weights and multiply-adds of a convolution of an input (*space, in_channels).

    Raises:
        TypeError: a setting that is no whole number, or a `space` that is no sequence of sizes.
        ValueError: a bad setting, an empty output, or channels that `groups` does not divide.
    """
    out = output_shape(space, window, strides=strides, padding=padding, dilation=dilation)
    weights, features = _weights_per_place(window, len(out), in_channels, out_channels, groups)
    return Cost(weights, features, math.prod(out) * weights)


def unshared_cost(
    space: Sequence[int],
    window: int | Sequence[int],
    in_channels: int,
    out_channels: int,
    *,
    padding: Padding,
    strides: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Cost:
    """The same windows with weights and biases of their own at every place: the locally connected layer.

    The arguments and errors are those of `conv_cost`. Sharing saves the factor of the number of places.
    """
    out = output_shape(space, window, strides=strides, padding=padding, dilation=dilation)
    weights, features = _weights_per_place(window, len(out), in_channels, out_channels, groups)
    places = math.prod(out)
    return Cost(places * weights, places * features, places * weights)


def dense_cost(
    space: Sequence[int],
    window: int | Sequence[int],
    in_channels: int,
    out_channels: int,
    *,
    padding: Padding,
    strides: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Cost:
    """The fully connected layer from the same inputs to the same outputs: a weight for every pair of them.

    The arguments and errors are those of `conv_cost`.
    """
    out = output_shape(space, window, strides=strides, padding=padding, dilation=dilation)
    _, features = _weights_per_place(window, len(out), in_channels, out_channels, groups)
    inputs, outputs = math.prod(spatial_sizes(space)) * whole("in_channels", in_channels, 1), math.prod(out) * features
    return Cost(inputs * outputs, outputs, inputs * outputs)


def _weights_per_place(window, rank: int, in_channels: int, out_channels: int, groups: int) -> tuple[int, int]:
    """The weights of one place of a window and the channels that they make."""
    channels, features = whole("in_channels", in_channels, 1), whole("out_channels", out_channels, 1)
    groups = whole("groups", groups, 1)
    if channels % groups or features % groups:
        raise ValueError(
            "groups must divide the channels that go in and those that come out; "
            f"got groups={groups}, in_channels={channels}, out_channels={features}."
        )
    return math.prod(per_dimension("window", window, rank)) * (channels // groups) * features, features
