"""One training step and one evaluation step: pure functions written for one device."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Int, UInt8

from jaxconv.train.state import TrainState

Loss = Callable[..., Array]
"""`loss(logits (n, k), labels (n,), where=mask (n,) or None)`, the mean over the images."""

AUXILIARY_WEIGHT = 0.3
"""Weight of the loss of each auxiliary head (Szegedy et al. 2014, arXiv:1409.4842, section 5)."""


def make_objective(
    apply: Callable[..., Any],
    *,
    loss: Loss,
    preprocess: Callable[[Array], Array],
    augment: Callable[[Array, Array], Array] | None = None,
    seed: int = 0,
) -> Callable[..., tuple[Array, Any]]:
    """A function `(params, state, images, labels) -> (objective, (loss, logits, batch_stats))` of one training step.

    Args:
        apply: `(params, batch_stats, x, *, train, key) -> (logits or (logits, *auxiliary logits), batch_stats)`.
        loss: the mean loss of a batch.
        preprocess: bytes (n, h, w, c) to what the network takes.
        augment: `(key, x) -> x`, or None.
        seed: with the step it gives every random number of the step.
    """

    def objective(params: Any, state: TrainState, images: Array, labels: Array) -> tuple[Array, Any]:
        augment_key, model_key = jax.random.split(jax.random.fold_in(jax.random.key(seed), state.step))
        x = preprocess(images)
        x = x if augment is None else augment(augment_key, x)
        outputs, batch_stats = apply(params, state.batch_stats, x, train=True, key=model_key)
        logits, *auxiliary = outputs if isinstance(outputs, tuple) else (outputs,)
        extra = sum((AUXILIARY_WEIGHT * loss(a, labels) for a in auxiliary), jnp.float32(0))
        main = loss(logits, labels)
        return main + extra, (main, logits, batch_stats)

    return objective


def make_train_step(
    apply: Callable[..., Any],
    optimizer: optax.GradientTransformation,
    *,
    loss: Loss,
    preprocess: Callable[[Array], Array],
    augment: Callable[[Array, Array], Array] | None = None,
    seed: int = 0,
    ema_decay: float | None = None,
    skip_nonfinite: bool = False,
) -> Callable[[TrainState, Array, Array], TrainState]:
    """A function `(state, images, labels) -> state`.

    Args:
        apply: as for `make_objective`; so are `loss`, `preprocess`, `augment` and `seed`.
        optimizer: any optax transformation.
        loss: the mean loss of a batch.
        preprocess: bytes (n, h, w, c) to what the network takes.
        augment: `(key, x) -> x`, or None.
        seed: with the step it gives every random number of the step.
        ema_decay: decay a step of the moving average of the parameters; None keeps none.
        skip_nonfinite: leave the state as it is, but for the count of steps, where the step would make a number of it
            NaN or infinite.
    """
    objective = make_objective(apply, loss=loss, preprocess=preprocess, augment=augment, seed=seed)

    def step(state: TrainState, images: UInt8[Array, "n h w c"], labels: Int[Array, " n"]) -> TrainState:
        gradient = jax.grad(objective, has_aux=True)
        gradients, (value, logits, batch_stats) = gradient(state.params, state, images, labels)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        moved = replace(
            state,
            step=state.step + 1,
            params=params,
            batch_stats=batch_stats,
            opt_state=opt_state,
            ema=None if ema_decay is None else _moved(state.ema, params, ema_decay),
            totals=_added(state.totals, value, logits, labels),
        )
        return _unless_nonfinite(moved, state) if skip_nonfinite else moved

    return step


def passed_over(state: TrainState) -> TrainState:
    """The state after a step that is left out."""
    return replace(state, step=state.step + 1)


def is_finite(state: TrainState) -> Array:
    """Whether no number of a state is NaN or infinite, bool scalar."""
    floats = [leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in floats]).all()


def _unless_nonfinite(moved: TrainState, state: TrainState) -> TrainState:
    fine = is_finite(moved)
    streak = state.totals["streak"] + 1
    counts = {"skipped": state.totals["skipped"] + 1, "skipped_at": state.step, "streak": streak}
    totals = {**state.totals, **counts, "longest": jnp.maximum(state.totals["longest"], streak)}
    stayed = replace(passed_over(state), totals=totals)
    return jax.tree.map(lambda new, old: jnp.where(fine, new, old), moved, stayed)


def make_eval_step(
    apply: Callable[..., Any], *, loss: Loss, preprocess: Callable[[Array], Array]
) -> Callable[..., dict[str, Array]]:
    """A function `(params, batch_stats, images, labels, mask) -> sums` over the images where `mask` holds."""

    def step(
        params: Any,
        batch_stats: Any,
        images: UInt8[Array, "n h w c"],
        labels: Int[Array, " n"],
        mask: Bool[Array, " n"],
    ) -> dict[str, Array]:
        logits, _ = apply(params, batch_stats, preprocess(images), train=False)
        count = mask.sum()
        mean = jnp.where(count > 0, loss(logits, labels, where=mask), 0)
        return {
            "loss": mean * count,
            "correct": ((logits.argmax(-1) == labels) & mask).sum(),
            "images": count,
        }

    return step


def make_stretch(
    step: Callable[[TrainState, Array, Array], TrainState], *, resident: bool
) -> Callable[..., TrainState]:
    """A function `(state, count, *data) -> state` that takes steps one after another.

    Args:
        step: takes one.
        resident: whether the data are a whole data set and the rows of each step, images (m, h, w, c), labels (m,) and
            indices (steps, n); otherwise they are the batches, images (steps, n, h, w, c) and labels (steps, n).

    Returns:
        The function. `count`, a number of steps, may be less than there are batches for, and is not part of the
        program; None takes all in a `lax.scan`, or where it is one step, that step.
    """

    def stretch(state: TrainState, count: Array | None, *data: Array) -> TrainState:
        images, labels, *indices = data
        steps = data[-1].shape[0]

        def take(number: Any, state: TrainState) -> TrainState:
            rows = indices[0][number] if resident else number
            return step(state, images[rows], labels[rows])

        if count is None and steps == 1:
            return take(0, state)
        return jax.lax.fori_loop(0, steps if count is None else count, take, state)

    return stretch


def _added(totals: dict[str, Array], loss: Array, logits: Array, labels: Array) -> dict[str, Array]:
    images = labels.shape[0]
    return {
        "loss": totals["loss"] + loss * images,
        "correct": totals["correct"] + (logits.argmax(-1) == labels).sum(),
        "images": totals["images"] + images,
        "skipped": totals["skipped"],
        "skipped_at": totals["skipped_at"],
        "streak": jnp.zeros_like(totals["streak"]),
        "longest": totals["longest"],
    }


def _moved(average: Any, params: Any, decay: float) -> Any:
    return jax.tree.map(lambda a, p: a + (1 - decay) * (p - a), average, params)
