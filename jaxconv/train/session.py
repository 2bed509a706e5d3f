"""The loop itself: stretches of steps between the points where something is recorded, measured or saved."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import jax
import jax.numpy as jnp

from jaxconv.train.checkpoint import CheckpointError, Checkpoints
from jaxconv.train.clock import Clock
from jaxconv.train.parallel import replicate
from jaxconv.train.record import Display, Records
from jaxconv.train.saving import Saving
from jaxconv.train.state import TrainState, no_totals
from jaxconv.train.stop import Stopped, StopRequest
from jaxconv.train.trainer import Trainer

RECORDS_PER_EPOCH = 10
REFRESH_SECONDS = 0.2


class Session:
    """Trains from a state to the end of the last epoch."""

    def __init__(
        self,
        trainer: Trainer,
        records: Records,
        display: Display,
        checkpoints: Checkpoints,
        clock: Clock,
        request: StopRequest,
        saving: Saving,
        incident: Callable[[str], None],
    ) -> None:
        self.trainer, self.records, self.display = trainer, records, display
        self.checkpoints, self.clock, self.request = checkpoints, clock, request
        self.saving, self.incident, self.saved = saving, incident, time.monotonic()

    def train(self, state: TrainState) -> tuple[TrainState, dict[str, float | int]]:
        """From the state to the end of the last epoch; returns the last evaluation too."""
        e = self.trainer.experiment
        metrics: dict[str, float | int] = {}
        for epoch in range(1, e.epochs + 1):
            end = e.epoch_end(epoch)
            if end <= int(state.step):
                continue
            state = self._epoch(state, epoch, end)
            metrics = self.trainer.evaluate(state)
            self.records.metrics(end, "eval", metrics)
            self._say(epoch, metrics)
            self._save(state, metrics)
        return state, metrics or self.trainer.evaluate(state)

    def _epoch(self, state: TrainState, epoch: int, end: int) -> TrainState:
        every = max(1, end // epoch // RECORDS_PER_EPOCH)
        step = int(state.step)
        while step < end:
            record = min(end, (step // every + 1) * every)
            save = record if self.saving.steps is None else (step // self.saving.steps + 1) * self.saving.steps
            target = min(record, save)
            state = self._stretch(state, step, target, epoch)
            if target == record:
                state = self._record(state, target)
            if target == save != end and self.saving.steps is not None:
                self._save(state)
            step = target
        return state

    def _stretch(self, state: TrainState, first: int, last: int, epoch: int) -> TrainState:
        self._stop_if_asked(state, first)
        self.clock.resume()
        done, refreshed = first, time.monotonic()
        for step, latest in self.trainer.take(state, first, last):
            state = latest
            if not self.clock.compiled:
                jax.block_until_ready(state)
                self.clock.first_step()
                self.display.first_step()
                done = step
            if time.monotonic() - refreshed > REFRESH_SECONDS or step == last:
                jax.block_until_ready(state.step)
                self.clock.pause(step - done)
                self.clock.resume()
                done, refreshed = step, time.monotonic()
                self.display.update(step, epoch, self._numbers(state))
            if step < last:
                self._stop_if_asked(state, step)
                self._save_if_due(state)
        return state

    def _stop_if_asked(self, state: TrainState, step: int) -> None:
        if self.request.signal is not None:
            self.checkpoints.save(state)
            self.checkpoints.wait()
            raise Stopped(self.request.signal, step)

    def _save_if_due(self, state: TrainState) -> None:
        self._guarded(self.checkpoints.poll)
        if self.saving.seconds is not None and time.monotonic() - self.saved > self.saving.seconds:
            self._save(state)

    def _save(self, state: TrainState, metrics: Mapping[str, float | int] | None = None) -> None:
        self._guarded(self.checkpoints.wait)
        self._guarded(lambda: self.checkpoints.save(state, metrics))
        self.saved = time.monotonic()

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
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss must stay finite; it is {loss} at step {step}. "
                f"The last saved step is {self.checkpoints.latest()}. A lower learning rate usually helps."
            )
        rate = float(jnp.asarray(self.trainer.schedule(step - 1)))
        self.records.metrics(step, "train", {"loss": loss, "accuracy": accuracy, "learning_rate": rate})
        self.records.timing(step, self.clock.images_per_second())
        return replace(state, totals=replicate(no_totals(), self.trainer.mesh))

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
