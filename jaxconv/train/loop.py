"""`fit`: from an experiment and a directory to a trained network."""

import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxconv.data import Dataset, batch_indices, batches
from jaxconv.train.checkpoint import Checkpoints
from jaxconv.train.clock import Clock
from jaxconv.train.evaluate import evaluate
from jaxconv.train.experiment import Experiment, Result
from jaxconv.train.parallel import (
    compile_evaluation,
    compile_step,
    data_mesh,
    replicate,
    require_divisible,
    shard_batch,
    unrolls,
)
from jaxconv.train.record import Display, Records
from jaxconv.train.run import Run
from jaxconv.train.state import TrainState, initial_state, no_totals
from jaxconv.train.step import make_eval_step, make_scan, make_train_step
from jaxconv.train.stop import Stopped, StopRequest

RESIDENT_BYTES = 4 * 2**30
"""Data sets of up to this size are kept on the device."""

RECORDS_PER_EPOCH = 10
REFRESH_SECONDS = 0.2
EVAL_BATCH = 256


class Trainer:
    """An experiment compiled over the devices: it takes stretches of steps and evaluates.

    Args:
        experiment: what to train.

    Raises:
        ValueError: if the batch size is no multiple of the number of devices, or there are too few devices.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.mesh = data_mesh(experiment.devices)
        require_divisible(experiment.batch_size, self.mesh)
        self.schedule = experiment.schedule(experiment.total_steps)
        self._optimizer = experiment.optimizer(self.schedule)
        self._apply, self._params, self._batch_stats = experiment.model()
        data = experiment.train_data
        self._resident = isinstance(data, Dataset) and data.in_memory and data.images.nbytes <= RESIDENT_BYTES
        step = make_train_step(
            self._apply,
            self._optimizer,
            loss=experiment.loss,
            preprocess=experiment.preprocess,
            augment=experiment.augment,
            seed=experiment.seed,
            ema_decay=experiment.ema_decay,
        )
        self._step = self._compiled(step)
        self._evaluation = compile_evaluation(
            make_eval_step(self._apply, loss=experiment.loss, preprocess=experiment.preprocess),
            self.mesh,
            batch_arguments=3,
        )

    def _compiled(self, step: Callable[..., TrainState]) -> Callable[..., TrainState]:
        if not self._resident:
            return compile_step(step, self.mesh, batch_arguments=2)
        data = self.experiment.train_data
        assert isinstance(data, Dataset)
        images, labels = replicate((np.asarray(data.images), data.labels), self.mesh)
        stretch = compile_step(make_scan(step, unroll=unrolls()), self.mesh, batch_arguments=1, batch_axis=1)
        return lambda state, indices: stretch(state, images, labels, indices)

    def initial_state(self) -> TrainState:
        """The state before the first step, on every device."""
        ema = self.experiment.ema_decay is not None
        return replicate(initial_state(self._params, self._batch_stats, self._optimizer, ema=ema), self.mesh)

    def take(self, state: TrainState, first: int, last: int) -> Iterator[tuple[int, TrainState]]:
        """Take the steps from `first` to `last`; yields (steps taken, state) after each piece that was dispatched."""
        e = self.experiment
        if not self._resident:
            for step, batch in enumerate(batches(e.train_data, e.seed, first, last, e.batch_size), first):
                state = self._step(state, *shard_batch(batch, self.mesh))
                yield step + 1, state
            return
        piece = 1 if unrolls() else last - first
        for start in range(first, last, piece):
            rows = [
                batch_indices(e.seed, s, length=len(e.train_data), batch_size=e.batch_size)
                for s in range(start, start + piece)
            ]
            state = self._step(state, shard_batch(np.stack(rows).astype(np.int32), self.mesh, axis=1))
            yield start + piece, state

    def evaluate(self, state: TrainState) -> dict[str, float | int]:
        """Loss and accuracy on the evaluation data, each image counted once."""
        params = state.params if state.ema is None else state.ema
        size = -(-min(EVAL_BATCH, len(self.experiment.eval_data)) // self.mesh.size) * self.mesh.size
        return evaluate(
            self._evaluation,
            params,
            state.batch_stats,
            self.experiment.eval_data,
            batch_size=size,
            mesh=self.mesh,
        )


def fit(experiment: Experiment, out: str | os.PathLike[str], *, progress: bool = True) -> Result:
    """Train in the directory `out`, or continue the unfinished run there.

    Args:
        experiment: what to train.
        out: a new directory, or that of a run with the same settings.
        progress: show a progress bar (lines where the output is no terminal).

    Returns:
        The final numbers and parameters. A run that was finished before is not repeated: its numbers come back.

    Raises:
        RunError: if `out` holds something else; the message names what differs.
        ValueError: if the batch cannot be divided among the devices.
        FloatingPointError: if the loss is no longer finite.
        Stopped: after SIGINT or SIGTERM, once the state is saved.
    """
    clock = Clock(experiment.batch_size)
    trainer = Trainer(experiment)
    run = Run.start(out, experiment.settings, experiment.record)
    if run.result is not None:
        return _finished(run, run.result)
    run.note_start()
    state = trainer.initial_state()
    with Checkpoints(run.checkpoints) as checkpoints:
        if checkpoints.latest() is not None:
            state = checkpoints.restore(state)
        start = int(state.step)
        with (
            Records(run.directory, start) as records,
            Display(experiment.total_steps, start, show=progress) as display,
            StopRequest() as request,
        ):
            if start:
                display.line(f"continuing {run.directory} after step {start} of {experiment.total_steps}")
            session = _Session(trainer, records, display, checkpoints, clock, request)
            state, metrics = session.train(state)
    run.finish({"steps": experiment.total_steps, **metrics})
    return Result(
        metrics=metrics,
        params=state.params if state.ema is None else state.ema,
        batch_stats=state.batch_stats,
        steps=experiment.total_steps,
        seconds=clock.elapsed(),
        compile_seconds=clock.compiled,
        images_per_second=clock.images_per_second(),
        directory=run.directory,
    )


def _finished(run: Run, numbers: dict[str, Any]) -> Result:
    metrics = {name: value for name, value in numbers.items() if name != "steps"}
    return Result(
        metrics=metrics,
        params=None,
        batch_stats=None,
        steps=numbers["steps"],
        seconds=0.0,
        compile_seconds=0.0,
        images_per_second=0.0,
        directory=run.directory,
    )


class _Session:
    """The loop itself: stretches of steps between the points where something is recorded, measured or saved."""

    def __init__(
        self,
        trainer: Trainer,
        records: Records,
        display: Display,
        checkpoints: Checkpoints,
        clock: Clock,
        request: StopRequest,
    ) -> None:
        self.trainer, self.records, self.display = trainer, records, display
        self.checkpoints, self.clock, self.request = checkpoints, clock, request

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
            self.checkpoints.save(state)
        return state, metrics or self.trainer.evaluate(state)

    def _epoch(self, state: TrainState, epoch: int, end: int) -> TrainState:
        every = max(1, end // epoch // RECORDS_PER_EPOCH)
        step = int(state.step)
        while step < end:
            target = min(end, (step // every + 1) * every)
            state = self._stretch(state, step, target, epoch)
            state = self._record(state, target)
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
        return state

    def _stop_if_asked(self, state: TrainState, step: int) -> None:
        if self.request.signal is not None:
            self.checkpoints.save(state)
            raise Stopped(self.request.signal, step)

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
