"""Pools as modules, for networks whose pools have a place among numbered layers, and for summaries."""

from collections.abc import Sequence

from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

import jaxconv.functional as F
from jaxconv.functional.settings import Padding
from jaxconv.nn.conv import frozen


class MaxPool(nnx.Module):
    """`functional.max_pool` with its settings remembered."""

    def __init__(
        self,
        window: int | Sequence[int],
        *,
        strides: int | Sequence[int],
        padding: Padding,
        ceil_mode: bool = False,
    ):
        self.window, self.strides, self.padding = frozen(window), frozen(strides), frozen(padding)
        self.ceil_mode = ceil_mode

    def __call__(
        self, x: Float[Array, "n *space c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n *out c"]:
        """Pools x (n, *space, c) to (n, *out, c)."""
        return F.max_pool(x, self.window, strides=self.strides, padding=self.padding, ceil_mode=self.ceil_mode)


class AvgPool(nnx.Module):
    """`functional.avg_pool` with its settings remembered."""

    def __init__(
        self,
        window: int | Sequence[int],
        *,
        strides: int | Sequence[int],
        padding: Padding,
        ceil_mode: bool = False,
        count_include_pad: bool = False,
    ):
        self.window, self.strides, self.padding = frozen(window), frozen(strides), frozen(padding)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def __call__(
        self, x: Float[Array, "n *space c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n *out c"]:
        """Pools x (n, *space, c) to (n, *out, c)."""
        return F.avg_pool(
            x,
            self.window,
            strides=self.strides,
            padding=self.padding,
            ceil_mode=self.ceil_mode,
            count_include_pad=self.count_include_pad,
        )


class BlurPool(nnx.Module):
    """`functional.blur_pool` with its settings remembered."""

    def __init__(self, window: int, *, strides: int):
        self.window, self.strides = window, strides

    def __call__(
        self, x: Float[Array, "n *space c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n *out c"]:
        """Blurs and subsamples x (n, *space, c) to (n, *out, c)."""
        return F.blur_pool(x, self.window, strides=self.strides)
