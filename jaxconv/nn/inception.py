"""The inception block of GoogLeNet: four views of one input, side by side."""

from collections.abc import Callable
from typing import NamedTuple

from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

import jaxconv.functional as F
from jaxconv.nn.conv import ConvNorm
from jaxconv.nn.dropout import branch_key
from jaxconv.nn.pool import MaxPool
from jaxconv.nn.sequential import Sequential


class InceptionWidths(NamedTuple):
    """Channels of the six convolutions of a block, in the order of the paper's table."""

    one: int
    reduce_three: int
    three: int
    reduce_five: int
    five: int
    pool_project: int

    @property
    def out(self) -> int:
        """Channels of the joined output."""
        return self.one + self.three + self.five + self.pool_project


class Inception(nnx.Module):
    """`functional.inception` of a 1x1, a 3x3, a 5x5 and a pooled branch, each wide one behind a 1x1 reduction.

    Args:
        in_channels: channels of the input.
        widths: channels of the six convolutions.
        unit: builds a convolution with all that follows it, as `unit(in, out, window, padding=p)`.
        five: the window of the third branch: 5 in the paper, 3 in the networks ported from TensorFlow's.

    Reference: Szegedy et al., "Going Deeper with Convolutions", arXiv:1409.4842, figure 2(b).
    """

    def __init__(
        self,
        in_channels: int,
        widths: InceptionWidths,
        *,
        unit: Callable[..., nnx.Module] = ConvNorm,
        five: int = 5,
    ):
        self.branch1 = unit(in_channels, widths.one, 1, padding=0)
        self.branch2 = Sequential(
            unit(in_channels, widths.reduce_three, 1, padding=0),
            unit(widths.reduce_three, widths.three, 3, padding=1),
        )
        self.branch3 = Sequential(
            unit(in_channels, widths.reduce_five, 1, padding=0),
            unit(widths.reduce_five, widths.five, five, padding=five // 2),
        )
        self.branch4 = Sequential(
            MaxPool(3, strides=1, padding=1), unit(in_channels, widths.pool_project, 1, padding=0)
        )

    def __call__(
        self, x: Float[Array, "n *space c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n *space k"]:
        """Maps x (n, *space, in_channels) to (n, *space, widths.out)."""
        branches = (self.branch1, self.branch2, self.branch3, self.branch4)
        return F.inception(x, [_bind(branch, train, branch_key(key, i)) for i, branch in enumerate(branches)])


def _bind(branch, train: bool, key: PRNGKeyArray | None) -> Callable[[Array], Array]:
    return lambda x: branch(x, train=train, key=key)
