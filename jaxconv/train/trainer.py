"""An experiment compiled over the devices."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from jaxconv.data import Batch, Dataset, Loader, batch_indices, batches
from jaxconv.train.bad_images import BadImages
from jaxconv.train.evaluate import evaluate
from jaxconv.train.experiment import Experiment
from jaxconv.train.parallel import (
    compile_evaluation,
    compile_step,
    data_mesh,
    replicate,
    require_divisible,
    shard_batch,
    unrolls,
)
from jaxconv.train.state import TrainState, initial_state
from jaxconv.train.step import make_eval_step, make_scan, make_train_step

RESIDENT_BYTES = 4 * 2**30
"""Data sets of up to this size are kept on the device."""

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
        self.bad_images = BadImages(experiment.max_bad_images)
        self._loader = Loader((data, experiment.eval_data), workers=experiment.workers)
        self._read_ahead: tuple[int, Iterator[Batch]] | None = None
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

    def __enter__(self) -> "Trainer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads and processes that read images."""
        self._read_ahead = None
        self._loader.close()

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
            for step in range(first, last):
                state = self._step(state, *shard_batch(self._batch(step), self.mesh))
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

    def _batch(self, step: int) -> Batch:
        """The batch of a step; those of the steps after it are being read, across the ends of stretches and epochs."""
        e = self.experiment
        if self._read_ahead is None or self._read_ahead[0] != step:
            last = max(e.total_steps, step + 1)
            on_bad = partial(self.bad_images.drawn, e.train_data.split)
            ahead = batches(e.train_data, e.seed, step, last, e.batch_size, loader=self._loader, on_bad=on_bad)
        else:
            ahead = self._read_ahead[1]
        batch = next(ahead)
        self._read_ahead = (step + 1, ahead)
        return batch

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
            loader=self._loader,
        )
