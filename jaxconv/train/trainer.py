"""An experiment compiled over the devices."""

from collections.abc import Callable, Collection, Iterator
from functools import partial

import jax
import numpy as np

from jaxconv.data import Batch, Dataset, Loader, batch_indices, batches
from jaxconv.train.bad_images import BadImages
from jaxconv.train.evaluate import evaluate
from jaxconv.train.experiment import Experiment
from jaxconv.train.functions import made
from jaxconv.train.parallel import (
    compile_evaluation,
    compile_step,
    data_mesh,
    local_rows,
    replicate,
    require_divisible,
    shard_batches,
    shard_columns,
)
from jaxconv.train.pieces import Pieces
from jaxconv.train.state import TrainState, initial_state
from jaxconv.train.step import is_finite, make_eval_step, make_objective, make_stretch, make_train_step, passed_over

RESIDENT_BYTES = 4 * 2**30
"""Data sets of up to this size are kept on the device."""

EVAL_BATCH = 256


class Trainer:
    """An experiment compiled over the devices: it takes stretches of steps and evaluates.

    Args:
        experiment: what to train.
        skip_nonfinite: leave out steps that would make a number NaN or infinite; see `make_train_step`.

    Attributes:
        objective: what a step descends on; see `make_objective`.
        plain_step: one step as a function written for one device.
        is_finite: `state -> bool`.

    Raises:
        ValueError: if the batch size is no multiple of the number of devices, there are too few devices, or a function
            of the experiment gives something else than it must, see `functions.made`.
        TypeError: likewise.
    """

    def __init__(self, experiment: Experiment, *, skip_nonfinite: bool = False) -> None:
        self.experiment = e = experiment
        self.mesh = data_mesh(e.devices)
        require_divisible(e.batch_size, self.mesh)
        (self._apply, self._params, self._batch_stats), self.schedule, self._optimizer = made(e)
        data = e.train_data
        self.bad_images = BadImages(e.max_bad_images)
        self._loader = Loader((data, e.eval_data), workers=e.workers)
        self._read_ahead: tuple[int, Iterator[Batch]] | None = None
        self._resident = isinstance(data, Dataset) and data.in_memory and data.images.nbytes <= RESIDENT_BYTES
        self._pieces = Pieces(resident=self._resident)
        options = {"loss": e.loss, "preprocess": e.preprocess, "augment": e.augment, "seed": e.seed}
        self.objective = make_objective(self._apply, **options)
        make = partial(make_train_step, self._apply, self._optimizer, **options, ema_decay=e.ema_decay)
        self.plain_step = make()
        self._step = self._compiled(make(skip_nonfinite=skip_nonfinite))
        self._pass_over = compile_step(passed_over, self.mesh, batch_arguments=0)
        self.is_finite = jax.jit(is_finite)
        evaluation = make_eval_step(self._apply, loss=e.loss, preprocess=e.preprocess)
        self._evaluation = compile_evaluation(evaluation, self.mesh, batch_arguments=3)

    def __enter__(self) -> "Trainer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads and processes that read images."""
        self._read_ahead = None
        self._loader.close()

    def _compiled(self, step: Callable[..., TrainState]) -> Callable[..., TrainState]:
        stretch = make_stretch(step, resident=self._resident)
        compiled = compile_step(stretch, self.mesh, batch_arguments=1 if self._resident else 2, batch_axis=1)
        if not self._resident:
            return compiled
        data = self.experiment.train_data
        assert isinstance(data, Dataset)
        images, labels = replicate((np.asarray(data.images), data.labels), self.mesh)
        return lambda state, count, indices: compiled(state, count, images, labels, indices)

    def initial_state(self) -> TrainState:
        """The state before the first step, on every device."""
        ema = self.experiment.ema_decay is not None
        return replicate(initial_state(self._params, self._batch_stats, self._optimizer, ema=ema), self.mesh)

    def batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """All images and labels of a step, on this process."""
        return self.experiment.train_data.gather(self._rows(step))

    def take(
        self, state: TrainState, first: int, last: int, left_out: Collection[int] = (), *, singly: bool = False
    ) -> Iterator[tuple[int, TrainState]]:
        """Take the steps from `first` to `last`; yields (steps taken, state) after each piece that was dispatched.

        Args:
            state: after `first` steps; its memory is taken over.
            first: steps taken before.
            last: steps taken after.
            left_out: steps that are counted and not taken.
            singly: every step is a piece.
        """
        holes = sorted(step for step in left_out if first <= step < last)
        for stop in [*holes, last]:
            start = state
            for step, latest in self._take(start, first, stop, singly):
                state = latest
                yield step, state
            if stop < last:
                state, first = self._pass_over(state), stop + 1
                yield first, state

    def _take(self, state: TrainState, first: int, last: int, singly: bool) -> Iterator[tuple[int, TrainState]]:
        while first < last:
            length = 1 if singly else self._pieces.length(last - first)
            steps, data, failure = self._drawn(first, length) if self._resident else self._read_several(first, length)
            if steps:
                state = self._pieces.call(self._step, state, steps, *data)
                first += steps
                yield first, state
            if failure is not None:
                raise failure

    def _drawn(self, first: int, length: int) -> tuple[int, tuple[jax.Array], None]:
        """The rows of some steps."""
        rows = np.zeros((self._pieces.most or length, self.experiment.batch_size), np.int32)
        for number in range(length):
            rows[number] = self._rows(first + number)
        return length, (shard_columns(rows, self.mesh),), None

    def _read_several(self, first: int, length: int) -> tuple[int, tuple[jax.Array, ...], Exception | None]:
        """How many of the batches could be read, those, and what kept the next from being read."""
        read, failure = [], None
        try:
            for step in range(first, first + length):
                read.append(self._read(step))
        except Exception as error:  # raised behind the steps before it
            failure = error
        most, size = self._pieces.most or 1, self.experiment.batch_size
        return len(read), shard_batches(read, self.mesh, size=size, most=most) if read else (), failure

    def _rows(self, step: int) -> np.ndarray:
        e = self.experiment
        return batch_indices(e.seed, step, length=len(e.train_data), batch_size=e.batch_size)

    def _read(self, step: int) -> Batch:
        """This process's rows of a step; those of the steps after it are being read, across stretches and epochs."""
        e = self.experiment
        if self._read_ahead is None or self._read_ahead[0] != step:
            last = max(e.total_steps, step + 1)
            on_bad = partial(self.bad_images.drawn, e.train_data.split)
            options = {"rows": local_rows(e.batch_size, self.mesh), "loader": self._loader, "on_bad": on_bad}
            ahead = batches(e.train_data, e.seed, step, last, e.batch_size, **options)
        else:
            ahead = self._read_ahead[1]
        batch = next(ahead)
        self._read_ahead = (step + 1, ahead)
        return batch

    def evaluate(self, state: TrainState, *, beat: Callable[[], None] = lambda: None) -> dict[str, float | int]:
        """Loss and accuracy on the evaluation data, each image counted once.

        Args:
            state: its moving average is evaluated where it has one.
            beat: called after each batch.
        """
        params = state.params if state.ema is None else state.ema
        size = -(-min(EVAL_BATCH, len(self.experiment.eval_data)) // self.mesh.size) * self.mesh.size
        return evaluate(
            self._evaluation,
            params,
            state.batch_stats,
            self.experiment.eval_data,
            batch_size=size,
            mesh=self.mesh,
            beat=beat,
            loader=self._loader,
        )
