"""Pools as modules, for networks whose pools have a place among numbered layers, and for summaries."""

import functools
import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
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
    """`functional.blur_pool` with its settings remembered; with `zeros` the border is zero instead of reflected."""

    def __init__(self, window: int, *, strides: int, zeros: bool = False):
        self.window, self.strides, self.zeros = window, strides, zeros

    def __call__(
        self, x: Float[Array, "n *space c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n *out c"]:
        """Blurs and subsamples x (n, *space, c) to (n, *out, c)."""
        if not self.zeros:
            return F.blur_pool(x, self.window, strides=self.strides)
        line = np.array([math.comb(self.window - 1, tap) for tap in range(self.window)]) / 2 ** (self.window - 1)
        rank, channels = x.ndim - 2, x.shape[-1]
        weights = functools.reduce(np.multiply.outer, [line] * rank)[..., None, None]
        kernel = jnp.asarray(np.broadcast_to(weights, (*weights.shape[:-1], channels)), x.dtype)
        around = (self.strides - 1 + self.window - 1) // 2
        return F.conv(x, kernel, padding=around, strides=self.strides, groups=channels)
