"""Attention pooling: the mean of a map asks all of its positions, and the answer is the vector."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.nn import initializers
from jaxconv.nn.dense import Dense
from jaxconv.nn.dropout import Dropout
from jaxconv.nn.variables import parameter, read


class AttentionPool(nnx.Module):
    """Self-attention over the mean and all positions of a map, with learned positions; the mean's answer is taken.

    Args:
        channels: channels of the input.
        num_classes: length of the output; 0 leaves out the last dense layer.
        size: (height, width) of the maps that the positions are learned for; for others they are resampled.
        head_width: channels of one attention head.
        global_pool: "token" for the mean's answer, "" for the answers of all positions, as a map.
        drop_rate: dropout before the last dense layer.

    Raises:
        ValueError: if the heads do not divide the channels, or there is no such pool.

    Reference: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision",
    arXiv:2103.00020, section 2.4.
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        *,
        size: tuple[int, int] = (7, 7),
        head_width: int = 64,
        global_pool: str = "token",
        drop_rate: float = 0.0,
    ):
        if channels % head_width:
            raise ValueError(f"head_width must divide the channels: got {head_width}, and {channels} channels.")
        if global_pool not in ("token", ""):
            raise ValueError(f"An attention pool's global_pool is 'token' or '': got {global_pool!r}.")
        self.size, self.head_width, self.global_pool = size, head_width, global_pool
        spread = initializers.normal(channels**-0.5)
        self.q = Dense(channels, channels, kernel_init=spread)
        self.k = Dense(channels, channels, kernel_init=spread)
        self.v = Dense(channels, channels, kernel_init=spread)
        self.dropout = Dropout(drop_rate)
        self.proj = Dense(channels, num_classes, kernel_init=initializers.normal(0.01)) if num_classes else None
        self.pos_embed = parameter((size[0] * size[1] + 1, channels), spread)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."]:
        """Pools x (n, h, w, channels) to (n, num_classes), or maps it to (n, h, w, num_classes)."""
        n, h, w, c = x.shape
        tokens = x.reshape(n, h * w, c)
        tokens = jnp.concatenate([tokens.mean(1, keepdims=True), tokens], 1) + self._positions(h, w, x.dtype)[None]
        asking = tokens[:, :1] if self.global_pool else tokens
        y = jax.nn.dot_product_attention(*(self._heads(y) for y in (self.q(asking), self.k(tokens), self.v(tokens))))
        y = self.dropout(y.reshape(*asking.shape), train, key)
        y = y if self.proj is None else self.proj(y)
        return y[:, 0] if self.global_pool else y[:, 1:].reshape(n, h, w, -1)

    def _heads(self, y: Array) -> Array:
        return y.reshape(*y.shape[:2], -1, self.head_width)

    def _positions(self, height: int, width: int, dtype) -> Array:
        positions = read(self.pos_embed, dtype)
        if (height, width) == self.size:
            return positions
        grid = read(self.pos_embed, jnp.float32)[1:].reshape(*self.size, -1)
        resampled = jax.image.resize(grid, (height, width, grid.shape[-1]), "cubic")
        return jnp.concatenate([positions[:1], resampled.reshape(height * width, -1).astype(dtype)])
