"""What turns a network's last map into logits."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

import jaxconv.functional as F
from jaxconv.nn import Dense, Dropout, initializers

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
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        *,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        kernel_init: initializers.Initializer = initializers.lecun,
    ):
        self.pool = GlobalPool(global_pool, num_classes)
        self.dropout = Dropout(drop_rate)
        width = self.pool.width(channels)
        self.fc = Dense(width, num_classes, kernel_init=kernel_init) if num_classes else None

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."]:
        """From a map (n, h, w, channels) to logits (n, num_classes), or to what the pool leaves."""
        y = self.dropout(self.pool(x), train, key)
        return y if self.fc is None else self.fc(y)
