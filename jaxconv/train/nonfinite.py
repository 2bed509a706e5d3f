"""What follows when a number is no longer finite: which step did it, in which layer, and how the run goes on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxconv.data.atomic import write_text
from jaxconv.data.stored import read_rows
from jaxconv.train.checkpoint import NonFiniteError
from jaxconv.train.origin import first_nonfinite, last_nonfinite, order_of_use
from jaxconv.train.run import RunError
from jaxconv.train.state import TrainState
from jaxconv.train.step import is_finite
from jaxconv.train.trainer import Trainer

ON_NAN = ("stop", "skip", "rollback")
"""`stop` ends the run; `skip` leaves the state as it was before a step that breaks it; `rollback` looks for that step
from the last checkpoint on and takes all others again, at no cost as long as nothing happens."""

MOST_LEFT_OUT = 10
"""So many steps left out, in a row (skip) or in all (rollback), are no accident: the run ends."""


class Broken(Exception):
    """Some step up to this one made a number that is not finite.

    Attributes:
        step: at which it was noticed.
    """

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step


def find_fault(
    trainer: Trainer, restored: Callable[[], TrainState], last: int, left_out: frozenset[int], beat: Callable[[], None]
) -> int | None:
    """Take the steps since the last good state again, one by one, up to the one that breaks it.

    Args:
        trainer: of the run.
        restored: gives the last good state; called once or twice.
        last: where the fault was noticed.
        left_out: steps that are passed over.
        beat: called after each step.

    Returns:
        The number of the step, from 0; None if all numbers stay finite this time, as they may on hardware that adds in
        no fixed order.
    """
    start = restored()
    for step, state in trainer.take(start, int(start.step), last, left_out, singly=True):
        beat()
        if not trainer.is_finite(state):
            return step - 1
    return None


def explain_step(trainer: Trainer, restored: Callable[[], TrainState], step: int, left_out: frozenset[int]) -> str:
    """Where that step breaks the state, as a clause; the arguments are those of `find_fault`."""
    state = start = restored()
    for _, latest in trainer.take(start, int(start.step), step, left_out, singly=True):
        state = latest
    return explain(trainer, state)


def explain(trainer: Trainer, state: TrainState) -> str:
    """Where the next step makes a number that is not finite: in the forward pass, a gradient or the update.

    Computed operation by operation on one device of this process, with the whole batch; where its memory does not hold
    that, the answer says so.
    """
    try:
        return _explained(trainer, state)
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        return f"in a place that one device could not compute again ({repr(error)[:200]})"


def _explained(trainer: Trainer, state: TrainState) -> str:
    host: TrainState = jax.tree.map(np.asarray, state)
    images, labels = trainer.batch(int(host.step))
    arguments = host.params, host, images, labels
    origin = first_nonfinite(trainer.objective, *arguments)
    if origin is not None:
        layer = "before the first layer" if origin.parameter is None else f"in layer {_layer(origin.parameter)}"
        return f"{layer}, operation {origin.operation}, whose operands reach {origin.largest:.3g}"
    gradients, _ = jax.jit(jax.grad(trainer.objective, has_aux=True))(*arguments)
    worst = last_nonfinite(gradients, order_of_use(trainer.objective, *arguments))
    if worst is not None:
        return f"in layer {_layer(worst)}, in the gradient of {worst}, the loss being finite"
    if is_finite(jax.jit(trainer.plain_step)(host, images, labels)):
        return "in no operation when it is repeated on one device"
    largest = max((float(jnp.abs(g).max()) for g in jax.tree.leaves(gradients)), default=0.0)
    return f"in the optimizer's update: loss and gradients are finite, the largest gradient is {largest:.3g}"


def _layer(parameter: str) -> str:
    return parameter.rpartition(".")[0] or parameter


class LeftOut:
    """The steps that a run passes over, kept in its directory so that it passes over them whenever it is continued.

    Args:
        path: a JSON line each.

    Raises:
        RunError: if the file is damaged: without it the run would take other steps.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.steps = [row["step"] for row in read_rows(path, RunError, step=int)]

    def add(self, step: int) -> None:
        """One more."""
        self.steps.append(step)
        write_text(self._path, "".join(json.dumps({"step": step}) + "\n" for step in self.steps))


def require_progress(totals: dict[str, Any], step: int) -> None:
    """Refuse to skip for ever.

    Raises:
        NonFiniteError: if too many steps in a row were skipped.
    """
    streak = int(totals["longest"])
    if streak >= MOST_LEFT_OUT:
        raise NonFiniteError(
            f"at most {MOST_LEFT_OUT - 1} steps in a row may be skipped; {streak} before step {step} made "
            "numbers that are not finite. A lower learning rate usually helps."
        )
