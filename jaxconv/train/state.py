"""What a training run is at one moment: a plain pytree."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

# A pytree's leaves are arrays, and whatever a tree_map puts in their place: shapes, shardings, names.
Leaf = Any
Params = Any
BatchStats = Any


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """Everything that the next step depends on; the batch and the random key follow from `(seed, step)`.

    Attributes:
        step: how many steps have been taken, int32 scalar.
        params: nested dict of float32 arrays.
        batch_stats: nested dict of float32 arrays, the running statistics of batch norm.
        opt_state: the optimizer's.
        ema: the exponential moving average of `params`, or None where none is kept.
        totals: sums over the steps since the last record: `loss` (per image), `correct`, `images`, `skipped` (steps
            that were left out because a number was not finite), `skipped_at` (the last of them), `streak` (how many in
            a row, up to now) and `longest` (at most).
    """

    step: Leaf
    params: Params
    batch_stats: BatchStats
    opt_state: Any
    ema: Params | None
    totals: dict[str, Leaf]


COUNTS = ("correct", "images", "skipped", "skipped_at", "streak", "longest")


def no_totals() -> dict[str, jax.Array]:
    """The sums of zero steps."""
    return {"loss": jnp.zeros((), jnp.float32), **{name: jnp.zeros((), jnp.int32) for name in COUNTS}}


def initial_state(
    params: Params, batch_stats: BatchStats, optimizer: optax.GradientTransformation, *, ema: bool = False
) -> TrainState:
    """The state before the first step.

    Args:
        params: nested dict of float32 arrays.
        batch_stats: nested dict of float32 arrays.
        optimizer: whose state is initialised.
        ema: whether a moving average of the parameters is kept.
    """
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=batch_stats,
        opt_state=optimizer.init(params),
        ema=jax.tree.map(jnp.array, params) if ema else None,
        totals=no_totals(),
    )
