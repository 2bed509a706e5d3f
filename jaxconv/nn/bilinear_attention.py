"""Bilinear attention: positions mixed along rows and along columns, by matrices that the image itself gives."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

import jaxconv.functional as F
from jaxconv.nn import initializers
from jaxconv.nn.conv import Conv, ConvNorm


class BilinearTransform(nnx.Module):
    """P x Q for each channel: the map is cut into `block` x `block` tiles, which P mixes by rows and Q by columns.

    P's rows and Q's columns are sigmoids that sum to one, read off the strongest responses of each row and column of
    tiles, one pair of matrices for each group of channels.

    Args:
        channels: channels of the input.
        block: tiles along each side.
        groups: blocks of channels with matrices of their own.

    Raises:
        ValueError: if the groups do not divide the channels.
    """

    def __init__(self, channels: int, block: int, groups: int):
        if channels % groups:
            raise ValueError(f"groups must divide the channels: got groups={groups}, channels={channels}.")
        self.block, self.groups = block, groups
        outputs, settings = block * block * groups, {"padding": 0, "kernel_init": initializers.he_fan_out}
        self.conv1 = ConvNorm(channels, groups, 1, padding=0)
        self.conv_p = Conv(groups, outputs, (block, 1), **settings)
        self.conv_q = Conv(groups, outputs, (1, block), **settings)
        self.conv2 = ConvNorm(channels, channels, 1, padding=0)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n h w c"]:
        """Mixes the positions of x (n, h, w, channels).

        Raises:
            ValueError: if the tiles do not divide the map.
        """
        n, h, w, c = x.shape
        block, groups = self.block, self.groups
        if h % block or w % block:
            raise ValueError(f"Bilinear attention cuts each side into {block} tiles: got x of shape {x.shape}.")
        response = self.conv1(x, train)
        p = self._matrix(self.conv_p(F.adaptive_max_pool(response, (block, 1))))
        q = self._matrix(self.conv_q(F.adaptive_max_pool(response, (1, block))))
        p, q = p / p.sum(3, keepdims=True), q / q.sum(2, keepdims=True)
        tiles = x.reshape(n, block, h // block, block, w // block, groups, c // groups)
        mixed = jnp.einsum("ngij,njukvgc,ngkl->niulvgc", p, tiles, q)
        return self.conv2(mixed.reshape(x.shape), train)

    def _matrix(self, y: Array) -> Array:
        return jax.nn.sigmoid(y).reshape(y.shape[0], self.groups, self.block, self.block)


class BilinearAttention(nnx.Module):
    """A bottleneck around `BilinearTransform`, added to its input; whole channels of it are dropped in training.

    Args:
        channels: channels of the input.
        block: tiles along each side.
        groups: blocks of channels with matrices of their own.
        reduced: channels inside; a quarter where None.
        drop_rate: probability that a channel of the branch is zero in training.

    Reference: Chi et al., "Non-Local Neural Networks With Grouped Bilinear Attentional Transforms", CVPR 2020.
    """

    def __init__(
        self,
        channels: int,
        *,
        block: int = 7,
        groups: int = 2,
        reduced: int | None = None,
        drop_rate: float = 0.2,
    ):
        reduced = reduced or channels // 4
        self.drop_rate = drop_rate
        self.conv1 = ConvNorm(channels, reduced, 1, padding=0)
        self.ba = BilinearTransform(reduced, block, groups)
        self.conv2 = ConvNorm(reduced, channels, 1, padding=0)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n h w c"]:
        """Adds the mixed positions of x (n, h, w, channels) to x.

        Raises:
            ValueError: in training with a positive rate, if no key is given.
        """
        y = self.conv2(self.ba(self.conv1(x, train), train), train)
        if train and self.drop_rate:
            if key is None:
                raise ValueError(f"Dropout in training draws at random: got drop_rate={self.drop_rate} and key=None.")
            kept = jax.random.bernoulli(key, 1 - self.drop_rate, (y.shape[0], 1, 1, y.shape[-1]))
            y = jnp.where(kept, y / (1 - self.drop_rate), jnp.zeros((), y.dtype))
        return y + x
