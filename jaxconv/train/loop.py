"""`fit`: from an experiment and a directory to a trained network."""

import os
from typing import Any

from jaxconv.train.checkpoint import Checkpoints
from jaxconv.train.clock import Clock
from jaxconv.train.experiment import Experiment, Result
from jaxconv.train.record import Display, Records
from jaxconv.train.run import Run
from jaxconv.train.saving import Saving
from jaxconv.train.session import Session
from jaxconv.train.state import TrainState
from jaxconv.train.stop import StopRequest
from jaxconv.train.trainer import Trainer


def fit(
    experiment: Experiment, out: str | os.PathLike[str], *, progress: bool = True, saving: Saving | None = None
) -> Result:
    """Train in the directory `out`, or continue the unfinished run there.

    Args:
        experiment: what to train.
        out: a new directory, or that of a run with the same settings.
        progress: show a progress bar (lines where the output is no terminal).
        saving: when checkpoints are saved and which stay; by default the three newest ones of the ends of epochs.

    Returns:
        The final numbers and parameters. A run that was finished before is not repeated: its numbers come back.

    Raises:
        RunError: if `out` holds something else; the message names what differs.
        ValueError: if the batch cannot be divided among the devices.
        FloatingPointError: if the loss is no longer finite.
        BadImagesError: if more images cannot be used than the experiment allows.
        LoaderError: if a loader worker dies.
        CheckpointError: if a checkpoint cannot be written, unless `saving` says to continue.
        Stopped: after SIGINT or SIGTERM, once the state is saved.
    """
    clock = Clock(experiment.batch_size)
    trainer = Trainer(experiment)
    run = Run.start(out, experiment.settings, experiment.record)
    if run.result is not None:
        return _finished(run, run.result)
    run.note_start()
    trainer.bad_images.keep(run.directory, run.incident, [experiment.train_data, experiment.eval_data])
    saving = saving or Saving()
    with (
        trainer,
        Checkpoints(run.checkpoints, keep=saving.keep, keep_best=saving.keep_best, say=run.incident) as checkpoints,
    ):
        state = _restored(checkpoints, run, trainer.initial_state())
        start = int(state.step)
        with (
            Records(run.directory, start) as records,
            Display(experiment.total_steps, start, show=progress) as display,
            StopRequest() as request,
        ):
            if start:
                display.line(f"continuing {run.directory} after step {start} of {experiment.total_steps}")
            session = Session(trainer, records, display, checkpoints, clock, request, saving, run.incident)
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


def _restored(checkpoints: Checkpoints, run: Run, state: TrainState) -> TrainState:
    """The newest good state; the initial one where there is none, which `run` is told where there should be one."""
    if checkpoints.latest() is None:
        return state
    try:
        return checkpoints.restore(state)
    except FileNotFoundError:
        run.incident("no checkpoint is good: the run starts again from its first step.")
        return state


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
