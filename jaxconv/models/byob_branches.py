"""The blocks of RepVGG and MobileOne: branches in training, one convolution afterwards.

A sum of convolutions, each followed by a batch norm with fixed statistics, is one convolution with a bias, and a batch
norm alone is a convolution too. `fused` says so with numbers; `reparameterize` does it for a network.
"""

from functools import reduce
from operator import add

import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.models.byob_blocks import Block, Place, Style
from jaxconv.nn import BatchNorm, Conv, ConvUnit, DropPath, branch_key, initializers
from jaxconv.nn.activation import Activation
from jaxconv.nn.variables import parameter

SCALED = {"rep": "conv_1x1", "one": "conv_scale"}
"""What timm calls the 1x1 branch of each kind."""


class BranchedBlock(nnx.Module):
    """The sum of a batch norm, a 1x1 and several KxK convolutions with batch norms; attention; an activation.

    The batch norm stands for the identity and is there where the shape is kept; the 1x1 where K is more.

    Args:
        block: its row of the table: "rep" has one KxK convolution, "one" a list of them.
        place: where it stands.
        style: what it shares with the others.

    Reference: Ding et al., "RepVGG", arXiv:2101.03697, figure 4; Vasu et al., "MobileOne", arXiv:2206.04040, figure 3.
    """

    def __init__(self, block: Block, place: Place, style: Style):
        settings = {"strides": place.strides, "groups": place.channels // block.group if block.group else 1}
        kept, unit = not place.changes(block.width), (place.channels, block.width)
        if block.kind == "rep":
            settings["dilation"] = place.dilation[0]  # timm's MobileOne does not dilate
        convs = [style.unit(*unit, block.window, active=False, **settings) for _ in range(block.branches)]
        scaled = style.unit(*unit, 1, active=False, **settings) if block.window > 1 else None
        self.kind, self.width = block.kind, block.width
        self.conv_kxk = convs[0] if block.kind == "rep" else nnx.List(convs)
        setattr(self, SCALED[block.kind], scaled)
        self.identity = BatchNorm(block.width) if kept else None
        self.drop_path = DropPath(place.drop_path_rate if kept else 0.0)
        self.attn = block.attention(block.width) if block.attention else None
        self.activation = style.activation
        if block.kind == "rep":
            self._scatter_norms()

    def _scatter_norms(self) -> None:
        """Draws scales about 0.1 and biases about 0, as timm does for RepVGG."""
        for norm in [unit.bn for unit in self.units] + ([] if self.identity is None else [self.identity]):
            norm.scale = parameter((self.width,), lambda rng, shape: 0.1 + initializers.normal(0.1)(rng, shape))
            norm.bias = parameter((self.width,), initializers.normal(0.1))

    @property
    def units(self) -> list[ConvUnit]:
        """The branches that convolve, the 1x1 first."""
        scaled = getattr(self, SCALED[self.kind])
        others = list(self.conv_kxk) if isinstance(self.conv_kxk, nnx.List) else [self.conv_kxk]
        return others if scaled is None else [scaled, *others]

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, channels) to (n, out, out, width)."""
        y = reduce(add, [unit(x, train) for unit in self.units])
        y = self.drop_path(y, train, branch_key(key, 0))
        y = y if self.identity is None else y + self.identity(x, train)
        return self.activation(y if self.attn is None else self.attn(y, train, branch_key(key, 1)))

    def fused(self) -> "FusedBlock":
        """The same function, in evaluation, of one convolution.

        Raises:
            ValueError: if the parameters are not drawn.
        """
        last = self.units[-1].conv
        shape = last.kernel.get_value().shape
        parts = [_folded(unit.conv.weights()[0], unit.bn) for unit in self.units]
        if self.identity is not None:
            parts.append(_folded(_identity_kernel(shape), self.identity))
        kernel = np.sum([_widened(kernel, shape) for kernel, _ in parts], 0)
        conv = last.with_weights(kernel, np.sum([bias for _, bias in parts], 0))
        return FusedBlock(conv, self.attn, self.activation)


class FusedBlock(nnx.Module):
    """One convolution with a bias, attention, an activation: what `BranchedBlock.fused` makes."""

    def __init__(self, conv: Conv, attention: nnx.Module | None, activation: Activation):
        self.reparam_conv, self.attn, self.activation = conv, attention, activation

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, channels) to (n, out, out, width)."""
        y = self.reparam_conv(x)
        return self.activation(y if self.attn is None else self.attn(y, train, key))


def _folded(kernel: np.ndarray, norm: BatchNorm) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias, in float64, of a convolution and the batch norm behind it (RepVGG, equation 3)."""
    factor, shift = norm.affine()
    return kernel * factor, shift


def _identity_kernel(shape: tuple[int, ...]) -> np.ndarray:
    """The kernel (h, w, in / groups, out) that returns its input."""
    kernel = np.zeros(shape)
    height, width, inputs, outputs = kernel.shape
    channel = np.arange(outputs)
    kernel[height // 2, width // 2, channel % inputs, channel] = 1
    return kernel


def _widened(kernel: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The kernel with a border of zeros, so that its window is that of `shape`."""
    borders = [((ours - theirs) // 2,) * 2 for ours, theirs in zip(shape[:2], kernel.shape[:2])]
    return np.pad(kernel, (*borders, (0, 0), (0, 0)))
