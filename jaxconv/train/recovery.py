"""The way back to a good state: when a process starts, and after a step that broke the state."""

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from jaxconv.train.checkpoint import CheckpointError, Checkpoints, NonFiniteError
from jaxconv.train.nonfinite import MOST_LEFT_OUT, LeftOut, explain_step, find_fault
from jaxconv.train.parallel import from_first
from jaxconv.train.processes import agreed
from jaxconv.train.state import TrainState
from jaxconv.train.trainer import Trainer


class Recovery:
    """Finds the state from which a run goes on; process 0 reads it and all get it.

    Args:
        trainer: of the run.
        checkpoints: of the run.
        left_out: file of the steps that are passed over.
        incident: told of what was found.
    """

    def __init__(
        self, trainer: Trainer, checkpoints: Checkpoints, left_out: Path, incident: Callable[[str], None]
    ) -> None:
        self._trainer, self._checkpoints, self._incident = trainer, checkpoints, incident
        self._path, self._rounds, self._good = left_out, 0, 0

    def state(self) -> TrainState:
        """The newest good state, on all devices; the one before the first step where no checkpoint is good.

        Raises:
            ValueError: if a checkpoint is whole and belongs to a network of other arrays.
        """
        initial = self._trainer.initial_state()
        found: list[TrainState] = []

        def read() -> bool:
            self._settle()
            if self._checkpoints.latest() is None:
                return False
            try:
                found.append(self._checkpoints.restore(initial))
            except FileNotFoundError:
                self._incident("no checkpoint is good: the run starts again from its first step.")
            return bool(found)

        self._good = 0
        if not agreed(read):
            return initial
        host = found[0] if found else jax.tree.map(np.asarray, initial)
        state = from_first(host, self._trainer.mesh)
        self._good = int(state.step)
        return state

    def left_out(self) -> frozenset[int]:
        """The steps that are passed over."""
        return frozenset(agreed(lambda: LeftOut(self._path).steps) or ())

    def remedy(self, noticed: int, on_nan: str, beat: Callable[[], None]) -> None:
        """Find the step that broke the state, and have it left out where `on_nan` says rollback.

        Args:
            noticed: after how many steps the state was found broken.
            on_nan: what to do.
            beat: called after each step that is taken again.

        Raises:
            NonFiniteError: if nothing is left to do; it names the step and the layer.
        """
        self._incident(
            f"a number is not finite at step {noticed}: the steps since the last good state are taken again."
        )
        step = find_fault(self._trainer, self.state, noticed, self.left_out(), beat)
        self._rounds += 1
        known = self.left_out()
        goes_on = on_nan == "rollback" and max(len(known) + 1, self._rounds) <= MOST_LEFT_OUT
        if goes_on and step is not None:  # before it is explained, which takes memory
            agreed(lambda: LeftOut(self._path).add(step), tell=False)
        where = "the steps taken again do not break this"
        if step is not None:
            where = f"step {step} breaks this {explain_step(self._trainer, self.state, step, known)}"
        text = f"every number must stay finite; noticed at step {noticed}: {where}. "
        text += f"The last good state is of step {self._good}"
        if not goes_on:
            raise NonFiniteError(f"{text}. A lower learning rate usually helps.")
        self._incident(f"{text}; the run goes back to it, and {'no' if step is None else 'that'} step is left out.")

    def _settle(self) -> None:
        """Nothing is being saved while checkpoints are read."""
        try:
            self._checkpoints.wait()
        except CheckpointError as error:
            self._incident(str(error))
