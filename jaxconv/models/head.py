"""What turns a network's last map into logits."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

import jaxconv.functional as F
from jaxconv.nn import Conv, Dense, Dropout, initializers

POOLS = {
    "avg": F.global_avg_pool,
    "max": F.global_max_pool,
    "avgmax": lambda x: (F.global_avg_pool(x) + F.global_max_pool(x)) / 2,
    "catavgmax": lambda x: jnp.concatenate([F.global_avg_pool(x), F.global_max_pool(x)], -1),
    "": lambda x: x,
}


class GlobalPool(nnx.Module):
    """Reduces a map (n, h, w, c) to a vector: "avg", "max", "avgmax" (their mean), "catavgmax" (both), or "" for none.

    The names are timm's.

    Args:
        kind: one of those.
        num_classes: length of what a classifier after it gives, 0 for no classifier.

    Raises:
        ValueError: if there is no such pool, or none is asked for although a classifier reads the vector.
    """

    def __init__(self, kind: str, num_classes: int):
        if kind not in POOLS:
            raise ValueError(f"global_pool is one of {', '.join(map(repr, POOLS))}: got {kind!r}.")
        if kind == "" and num_classes:
            raise ValueError(
                f"global_pool='' leaves a map, which no classifier reads: got num_classes={num_classes}, not 0."
            )
        self.kind = kind

    def width(self, channels: int) -> int:
        """Length of the vector that a map of `channels` becomes."""
        return 2 * channels if self.kind == "catavgmax" else channels

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."]:
        """Pools x (n, h, w, c) to (n, width), or leaves it where the kind is ""."""
        return POOLS[self.kind](x)


class ClassifierHead(nnx.Module):
    """Global pool, dropout, classifier: timm's `ClassifierHead`, whose dense layer is `fc`.

    Args:
        channels: channels of the last map.
        num_classes: length of the output; 0 leaves out the classifier.
        global_pool: as in `GlobalPool`.
        drop_rate: dropout before the classifier.
        kernel_init: draws the classifier's kernel.
        convolution: whether the reference holds the classifier as a 1x1 convolution: the numbers are the same, the
            shape in a checkpoint is not.
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        *,
        global_pool: str = "avg",
        drop_rate: int | float = 0.0,
        kernel_init: initializers.Initializer = initializers.lecun,
        convolution: bool = False,
    ):
        self.pool = GlobalPool(global_pool, num_classes)
        self.dropout = Dropout(drop_rate)
        width = self.pool.width(channels)
        dense = partial(Conv, window=1, padding=0) if convolution else Dense
        self.fc = dense(width, num_classes, kernel_init=kernel_init) if num_classes else None
        self.convolution = convolution

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."]:
        """From a map (n, h, w, channels) to logits (n, num_classes), or to what the pool leaves."""
        y = self.dropout(self.pool(x), train, key)
        if self.fc is None:
            return y
        return self.fc(y[:, None, None])[:, 0, 0] if self.convolution else self.fc(y)


class PooledDense(Dense):
    """Global pool, dropout, and the classifier that this is itself; `pooled_dense` makes one.

    Args:
        channels: channels of the last map.
        num_classes: length of the output.
        pool: what reduces the map.
        drop_rate: dropout before the classifier.
        **settings: as in `Dense`.
    """

    def __init__(self, channels: int, num_classes: int, *, pool: GlobalPool, drop_rate: int | float, **settings):
        super().__init__(pool.width(channels), num_classes, **settings)
        self.pool, self.dropout = pool, Dropout(drop_rate)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n k"]:
        """From a map (n, h, w, channels) to logits (n, num_classes)."""
        return super().__call__(self.dropout(self.pool(x), train, key))


def pooled_dense(
    channels: int, num_classes: int, *, global_pool: str = "avg", drop_rate: int | float = 0.0, **settings
):
    """A head whose dense layer has the head's own name in the reference; the pool alone where there are no classes."""
    pool = GlobalPool(global_pool, num_classes)
    return PooledDense(channels, num_classes, pool=pool, drop_rate=drop_rate, **settings) if num_classes else pool


class NormClassifierHead(nnx.Module):
    """Global pool, norm, perhaps a hidden layer, dropout, classifier: timm's `NormMlpClassifierHead`.

    Args:
        channels: channels of the last map.
        num_classes: length of the output; 0 leaves out the classifier.
        norm: builds the norm from a number of channels.
        hidden: width of a dense layer with GELU before the classifier; 0 for none.
        global_pool: as in `GlobalPool`.
        drop_rate: dropout before the classifier.
        kernel_init: draws the dense kernels.
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        *,
        norm: Callable[[int], nnx.Module],
        hidden: int = 0,
        global_pool: str = "avg",
        drop_rate: int | float = 0.0,
        kernel_init: initializers.Initializer = initializers.lecun,
    ):
        self.pool, self.dropout = GlobalPool(global_pool, num_classes), Dropout(drop_rate)
        width = self.pool.width(channels)
        self.norm = norm(width)
        self.pre_logits = nnx.Dict(fc=Dense(width, hidden, kernel_init=kernel_init)) if hidden else None
        self.fc = Dense(hidden or width, num_classes, kernel_init=kernel_init) if num_classes else None

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."]:
        """From a map (n, h, w, channels) to logits (n, num_classes), or to what comes before the classifier."""
        y = self.norm(self.pool(x), train)
        if self.pre_logits is not None:
            y = jax.nn.gelu(self.pre_logits.fc(y), approximate=False)
        y = self.dropout(y, train, key)
        return y if self.fc is None else self.fc(y)
