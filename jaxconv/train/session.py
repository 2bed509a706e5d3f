"""The loop itself: stretches of steps between the points where something is recorded, measured or saved."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from jaxconv.data import ImageError, LoaderError
from jaxconv.train.checkpoint import CheckpointError, Checkpoints, NonFiniteError
from jaxconv.train.clock import Clock
from jaxconv.train.display import Display
from jaxconv.train.nonfinite import Broken, explain, require_progress
from jaxconv.train.parallel import replicate
from jaxconv.train.record import Records
from jaxconv.train.rows import next_record
from jaxconv.train.saving import Saving
from jaxconv.train.state import TrainState, no_totals
from jaxconv.train.stop import Stopped, StopRequest
from jaxconv.train.trainer import Trainer
from jaxconv.train.watchdog import Watchdog

UNREADABLE = (ImageError, LoaderError, OSError)
"""What ends a run because its data cannot be read; what was reached is saved first."""

REFRESH_SECONDS = 0.2


class Session:
    """Trains from a state to the end of the last epoch.

    Args:
        trainer: takes the steps.
        records: gets the numbers.
        display: shows them.
        checkpoints: where states are saved; None on a process that saves nothing.
        clock: measures speed.
        request: asked between two steps whether to stop.
        watchdog: told of progress.
        saving: when states are saved.
        incident: told of what goes wrong without ending the run.
    """

    def __init__(
        self,
        trainer: Trainer,
        records: Records,
        display: Display,
        checkpoints: Checkpoints | None,
        clock: Clock,
        request: StopRequest,
        watchdog: Watchdog,
        saving: Saving,
        incident: Callable[[str], None],
    ) -> None:
        self.trainer, self.records, self.display = trainer, records, display
        self.checkpoints, self.clock, self.request, self.watchdog = checkpoints, clock, request, watchdog
        self.saving, self.incident, self.saved_at = saving, incident, time.monotonic()
        self._explained = False

    def train(
        self, state: TrainState, left_out: frozenset[int], evaluated: int
    ) -> tuple[TrainState, dict[str, float | int]]:
        """From the state to the end of the last epoch; returns the last evaluation too.

        Args:
            state: to begin with; its memory is taken over.
            left_out: steps that are counted and not taken.
            evaluated: the last step that was evaluated and recorded before.

        Raises:
            Broken: when a number of the state is found not to be finite.
            Stopped: after a request, once the state is saved.
        """
        e = self.trainer.experiment
        metrics: dict[str, float | int] = {}
        for epoch in range(1, e.epochs + 1):
            end, step = e.epoch_end(epoch), int(state.step)
            if end < step:
                continue
            if end == step <= evaluated:
                self._save(state, self.records.measured)  # the checkpoint may lack what was measured
                continue
            state = self._epoch(state, epoch, end, left_out)
            if not self.trainer.is_finite(state):
                raise Broken(end)
            metrics = self._evaluate(state, end)
            self.records.metrics(end, "eval", metrics)
            self._say(epoch, metrics)
            self._save(state, metrics)
        return state, metrics or self._evaluate(state, e.total_steps)

    def _epoch(self, state: TrainState, epoch: int, end: int, left_out: frozenset[int]) -> TrainState:
        step = int(state.step)
        while step < end:
            record = next_record(self.trainer.experiment, epoch, step)
            save = record if self.saving.steps is None else (step // self.saving.steps + 1) * self.saving.steps
            target = min(record, save)
            state = self._stretch(state, step, target, epoch, left_out)
            if target == record:
                state = self._record(state, target)
            self._share(state)  # last: a state that is saved has its row, and is not recorded again
            if target == save != end and self.saving.steps is not None:
                self._save(state)
            step = target
        return state

    def _stretch(self, state: TrainState, first: int, last: int, epoch: int, left_out: frozenset[int]) -> TrainState:
        self._stop_if_asked(state, first)
        self._save_if_due(state)  # on an accelerator a stretch is one piece
        self.clock.resume()
        done, refreshed = first, time.monotonic()
        for step, latest in self._taken(state, first, last, left_out):
            state = latest
            if not self.clock.compiled:
                jax.block_until_ready(state)
                self.clock.first_step()
                self.display.first_step()
                done = step
            if time.monotonic() - refreshed > REFRESH_SECONDS or step == last:
                jax.block_until_ready(state.step)
                self.watchdog.beat()
                self.clock.pause(step - done)
                self.clock.resume()
                done, refreshed = step, time.monotonic()
                self.display.update(step, epoch, self._numbers(state))
            if step < last:
                self._stop_if_asked(state, step)
                self._save_if_due(state)
        return state

    def _taken(
        self, state: TrainState, first: int, last: int, left_out: frozenset[int]
    ) -> Iterator[tuple[int, TrainState]]:
        """The steps as the trainer takes them; where there is nothing to take them of, what was reached is saved."""
        try:
            for step, latest in self.trainer.take(state, first, last, left_out):
                state = latest
                yield step, state
        except UNREADABLE:
            self._save_what_is_good(state)
            raise

    def _share(self, state: TrainState) -> None:
        """The bad images that each process has met become known; if they are too many, what was reached is saved."""
        try:
            self.trainer.bad_images.share()
        except UNREADABLE:
            self._save_what_is_good(state)
            raise

    def _evaluate(self, state: TrainState, step: int) -> dict[str, float | int]:
        def beat() -> None:
            self.watchdog.beat()
            self._stop_if_asked(state, step)

        try:
            return self.trainer.evaluate(state, beat=beat)
        except CheckpointError:
            raise
        except UNREADABLE:
            self._save_what_is_good(state)
            raise

    def _stop_if_asked(self, state: TrainState, step: int) -> None:
        number = self.request.asked()
        if number is None:
            return
        self._save_what_is_good(state)
        if self.checkpoints is not None:
            self._guarded(self.checkpoints.wait)
            step = self.checkpoints.latest() or 0
        self.trainer.bad_images.share()  # last: it may find that they are too many
        raise Stopped(number, step)

    def _save_what_is_good(self, state: TrainState) -> None:
        """Save where this process saves; a state that is not finite is left for whoever goes on to find."""
        if self.checkpoints is not None:
            with suppress(NonFiniteError):
                self._store(self.checkpoints, state)

    def _save_if_due(self, state: TrainState) -> None:
        """By the clock of the process that saves: a fault is met where all processes look for it."""
        if self.checkpoints is None:
            return
        self._guarded(self.checkpoints.poll)
        if self.saving.seconds is not None and time.monotonic() - self.saved_at > self.saving.seconds:
            self.saved_at = time.monotonic()
            self._save_what_is_good(state)

    def _save(self, state: TrainState, metrics: Mapping[str, float | int] | None = None) -> None:
        if not self.trainer.is_finite(state):
            raise Broken(int(state.step))
        if self.checkpoints is not None:
            self._store(self.checkpoints, state, metrics)

    def _store(
        self, checkpoints: Checkpoints, state: TrainState, metrics: Mapping[str, float | int] | None = None
    ) -> None:
        def store() -> None:
            self.records.flush()
            checkpoints.save(state, metrics)

        self._guarded(checkpoints.wait)
        self._guarded(store)
        self.saved_at = time.monotonic()
        self.watchdog.beat()

    def _guarded(self, action: Callable[[], None]) -> None:
        """A save that fails ends the run, or is reported and passed over, as `saving.on_error` says."""
        try:
            action()
        except CheckpointError as error:
            if self.saving.on_error == "stop":
                raise
            self.incident(f"{error} Training goes on.")

    def _numbers(self, state: TrainState) -> str:
        loss, accuracy = _means(state)
        return f"loss {loss:.4f}  accuracy {accuracy:.2%}  {self.clock.images_per_second():,.0f} images/s"

    def _record(self, state: TrainState, step: int) -> TrainState:
        """Write the means since the last record and start new sums."""
        loss, accuracy = _means(state)
        if not np.isfinite(loss):
            raise Broken(step)
        row: dict[str, float | int] = {"learning_rate": float(jnp.asarray(self.trainer.schedule(step - 1)))}
        if int(state.totals["images"]):  # all steps may have been left out
            row = {"loss": loss, "accuracy": accuracy, **row}
        skipped = int(state.totals["skipped"])
        if skipped:
            row["skipped"] = skipped
            self._report_skipped(state, skipped, step)
        self.records.metrics(step, "train", row)
        self.records.timing(step, self.clock.images_per_second())
        require_progress(state.totals, step)
        streak = replicate(no_totals(), self.trainer.mesh) | {"streak": state.totals["streak"]}
        return replace(state, totals=streak)

    def _report_skipped(self, state: TrainState, count: int, step: int) -> None:
        last = int(state.totals["skipped_at"])
        text = f"{count} steps up to {step} were skipped because a number was not finite, the last one step {last}"
        if not self._explained:  # it takes a while; the first of a process must do
            where = explain(self.trainer, replace(state, step=np.int32(last)))
            text += f"; with the parameters of step {step} it arises {where}"
        self._explained = True
        self.incident(f"{text}.")

    def _say(self, epoch: int, metrics: dict[str, float | int]) -> None:
        self.display.line(
            f"epoch {epoch}/{self.trainer.experiment.epochs}  test loss {metrics['loss']:.4f}  "
            f"test accuracy {metrics['accuracy']:.2%} ({metrics['correct']}/{metrics['images']})  "
            f"{self.clock.images_per_second():,.0f} images/s  {self.clock.elapsed():.1f} s"
        )


def _means(state: TrainState) -> tuple[float, float]:
    totals = jax.device_get(state.totals)
    images = max(int(totals["images"]), 1)
    return float(totals["loss"]) / images, float(totals["correct"]) / images
