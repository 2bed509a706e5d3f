"""The way back to a good state: when a process starts, and after a step that broke the state."""

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from jaxconv.train.checkpoint import CheckpointError, Checkpoints, NonFiniteError
from jaxconv.train.nonfinite import MOST_LEFT_OUT, LeftOut, find_fault
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
        self._path, self._rounds = left_out, 0

    def state(self) -> TrainState:
        """The newest good state, on all devices; the one before the first step where no checkpoint is good.

        Raises:
            DamagedError: if a checkpoint is whole and belongs to a network of other arrays.
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

        if not agreed(read):
            return initial
        host = found[0] if found else jax.tree.map(np.asarray, initial)
        return from_first(host, self._trainer.mesh)

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
        fault = find_fault(self._trainer, self.state, noticed, self.left_out(), beat)
        good = int(self.state().step)
        found = f"step {fault.step} breaks this {fault.where}" if fault else "the steps taken again do not break this"
        text = (
            f"every number must stay finite; noticed at step {noticed}: {found}. The last good state is of step {good}"
        )
        self._rounds += 1
        if on_nan != "rollback" or max(len(self.left_out()) + 1, self._rounds) > MOST_LEFT_OUT:
            raise NonFiniteError(f"{text}. A lower learning rate usually helps.")
        if fault is not None:
            agreed(lambda: LeftOut(self._path).add(fault))
        what = "that step is left out" if fault else "nothing is left out"
        self._incident(f"{text}; the run goes back to it, and {what}.")

    def _settle(self) -> None:
        """Nothing is being saved while checkpoints are read."""
        try:
            self._checkpoints.wait()
        except CheckpointError as error:
            self._incident(str(error))
