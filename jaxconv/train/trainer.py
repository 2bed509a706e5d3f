"""An experiment compiled over the devices."""

from collections.abc import Callable, Collection, Iterator
from functools import partial

import jax
import numpy as np

from jaxconv.train.bad_images import BadImages
from jaxconv.train.evaluate import evaluate
from jaxconv.train.experiment import Experiment
from jaxconv.train.feed import Feed
from jaxconv.train.functions import made
from jaxconv.train.parallel import compile_evaluation, compile_step, data_mesh, replicate, require_divisible
from jaxconv.train.pieces import SECONDS, Pieces, has_plain_convolution, keeps_host_busy
from jaxconv.train.state import TrainState, initial_state
from jaxconv.train.step import is_finite, make_eval_step, make_objective, make_stretch, make_train_step, passed_over

EVAL_BATCH = 256


class Trainer:
    """An experiment compiled over the devices: it takes stretches of steps and evaluates.

    Args:
        experiment: what to train.
        skip_nonfinite: leave out steps that would make a number NaN or infinite; see `make_train_step`.
        call_seconds: on a CPU one call takes as many steps as end within these, at least one.

    Attributes:
        objective: what a step descends on; see `make_objective`.
        plain_step: one step as a function written for one device.
        is_finite: `state -> bool`.

    Raises:
        ValueError: if the batch size is no multiple of the number of devices, there are too few devices, or a function
            of the experiment gives something else than it must, see `functions.made`.
        TypeError: likewise.
    """

    def __init__(self, experiment: Experiment, *, skip_nonfinite: bool = False, call_seconds: float = SECONDS) -> None:
        self.experiment = e = experiment
        self.mesh = data_mesh(e.devices)
        require_divisible(e.batch_size, self.mesh)
        (self._apply, self._params, self._batch_stats), self.schedule, self._optimizer = made(e)
        self.bad_images = BadImages(e.max_bad_images)
        self._feed = Feed(e, self.mesh, self.bad_images)
        options = {"loss": e.loss, "preprocess": e.preprocess, "augment": e.augment, "seed": e.seed}
        self.objective = make_objective(self._apply, **options)
        self._pieces = Pieces(resident=self._feed.resident, looped=self._loops_well(), seconds=call_seconds)
        make = partial(make_train_step, self._apply, self._optimizer, **options, ema_decay=e.ema_decay)
        self.plain_step = make()
        stretch = make_stretch(make(skip_nonfinite=skip_nonfinite), resident=self._feed.resident)
        split = 1 if self._feed.resident else 2
        self._step = compile_step(stretch, self.mesh, batch_arguments=split, batch_axis=1)
        self._pass_over = compile_step(passed_over, self.mesh, batch_arguments=0)
        self.is_finite = jax.jit(is_finite)
        evaluation = make_eval_step(self._apply, loss=e.loss, preprocess=e.preprocess)
        self._evaluation = compile_evaluation(evaluation, self.mesh, batch_arguments=3)

    def _loops_well(self) -> bool:
        """Whether a step is as fast inside a loop, on a CPU; elsewhere that is not asked."""
        if not keeps_host_busy():
            return True
        e = self.experiment
        state = jax.eval_shape(self._initial_state)
        images = jax.ShapeDtypeStruct((e.batch_size, *e.train_data.image_shape), np.uint8)
        labels = jax.ShapeDtypeStruct((e.batch_size,), np.int32)
        return not has_plain_convolution(jax.make_jaxpr(self.objective)(self._params, state, images, labels).jaxpr)

    def __enter__(self) -> "Trainer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads and processes that read images."""
        self._feed.close()

    def initial_state(self) -> TrainState:
        """The state before the first step, on every device."""
        return replicate(self._initial_state(), self.mesh)

    def _initial_state(self) -> TrainState:
        ema = self.experiment.ema_decay is not None
        return initial_state(self._params, self._batch_stats, self._optimizer, ema=ema)

    def batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """All images and labels of a step, on this process."""
        return self.experiment.train_data.gather(self._feed.rows(step))

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
            steps, data, failure = self._feed.take(first, length, self._pieces.most or length)
            if steps:
                state = self._pieces.call(self._step, state, steps, *self._feed.whole, *data)
                first += steps
                yield first, state
            if failure is not None:
                try:
                    raise failure
                finally:
                    del failure  # or it would hold this frame, which holds it, and all that was read

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
            loader=self._feed.loader,
        )
