"""`fit`: from an experiment and a directory to a trained network."""

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import jax

from jaxconv.train.checkpoint import Checkpoints
from jaxconv.train.clock import Clock
from jaxconv.train.display import Display
from jaxconv.train.experiment import Experiment, Result
from jaxconv.train.nonfinite import ON_NAN, Broken
from jaxconv.train.pieces import seconds_between
from jaxconv.train.processes import agreed, is_first, peers_lost, require_same
from jaxconv.train.record import Records
from jaxconv.train.recovery import Recovery
from jaxconv.train.rows import due
from jaxconv.train.run import Run
from jaxconv.train.saving import Saving
from jaxconv.train.session import Session
from jaxconv.train.state import TrainState
from jaxconv.train.stop import StopRequest
from jaxconv.train.trainer import Trainer
from jaxconv.train.watchdog import Watchdog


def fit(
    experiment: Experiment,
    out: str | os.PathLike[str],
    *,
    progress: bool = True,
    saving: Saving | None = None,
    on_nan: str = "stop",
    hang_seconds: float | None = None,
) -> Result:
    """Train in the directory `out`, or continue the unfinished run there.

    Where several processes share the run (`processes.connect`), all call this; the first one reads and writes `out`.

    Args:
        experiment: what to train.
        out: a new directory, or that of the same run: of equal settings, record, numbers and data.
        progress: show a progress bar (lines where the output is no terminal).
        saving: when checkpoints are saved and which stay; by default the three newest ones of the ends of epochs.
        on_nan: what follows when a number of the state is NaN or infinite. "stop" names the step and the layer; "skip"
            leaves such steps out as they come, "rollback" goes back to the last checkpoint to leave them out.
        hang_seconds: end the process, with the stacks of its threads, after so long without progress; None never does.

    Returns:
        The final numbers and parameters. A run that was finished before is not repeated: its numbers come back.

    Raises:
        RunError: if `out` holds something else; the message names what differs.
        InUseError: if another process trains there.
        PeerLostError: if another process of the run is gone.
        ValueError: if the batch cannot be divided among the devices, or a setting is none of its values.
        NonFiniteError: if a number is no longer finite and `on_nan` knows no remedy.
        BadImagesError: if more images cannot be used than the experiment allows.
        LoaderError: if a loader worker dies.
        CheckpointError: if a checkpoint cannot be written, unless `saving` says to continue.
        Stopped: after SIGINT or SIGTERM, once the state is saved.
    """
    _require_settings(on_nan, hang_seconds)
    clock = Clock(experiment.batch_size)
    saving = saving or Saving()
    call_seconds = seconds_between(saves=saving.seconds, beats=hang_seconds)
    trainer = Trainer(experiment, skip_nonfinite=on_nan == "skip", call_seconds=call_seconds)
    data = [experiment.train_data, experiment.eval_data]
    trainer.bad_images.require_few_at_opening(data)
    run = Run(Path(out), experiment.settings, experiment.record, experiment.described)
    with peers_lost(), ExitStack() as held, Watchdog(hang_seconds) as watchdog, trainer:
        require_same("data", [(len(d), sorted(d.bad), sorted(d.left_out)) for d in data])

        finished = agreed(lambda: _begin(run, held))
        if finished is not None:
            return _finished(run, finished)
        state, metrics = _train(trainer, run, clock, watchdog, saving, on_nan, progress)
        if is_first():
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


def _begin(run: Run, held: ExitStack) -> dict[str, Any] | None:
    """Hold the directory and note this start there; the final numbers of a run that is finished."""
    started = Run.start(run.directory, run.settings, run.record, run.experiment)
    if started.result is None:
        held.enter_context(started.held())
        started.note_start()
        if (run.directory / "result.json").exists():
            started.incident("result.json is damaged: the last checkpoint gives it again.")
    return started.result


def _require_settings(on_nan: str, hang_seconds: float | None) -> None:
    if on_nan not in ON_NAN:
        raise ValueError(f"on_nan must be one of {', '.join(ON_NAN)}; got {on_nan}.")
    if hang_seconds is not None and not hang_seconds > 0:
        raise ValueError(f"hang_seconds must be positive; got {hang_seconds}.")


def _train(
    trainer: Trainer, run: Run, clock: Clock, watchdog: Watchdog, saving: Saving, on_nan: str, progress: bool
) -> tuple[TrainState, dict[str, float | int]]:
    first, total = is_first(), trainer.experiment.total_steps
    incident = run.incident if first else _aside
    data = [trainer.experiment.train_data, trainer.experiment.eval_data]
    agreed(lambda: trainer.bad_images.keep(run.directory, incident, data), tell=False)
    with (
        StopRequest() as request,
        Checkpoints(run.checkpoints, keep=saving.keep, keep_best=saving.keep_best, say=incident) as checkpoints,
    ):
        recovery = Recovery(trainer, checkpoints, run.directory / "left_out.jsonl", incident)
        state = recovery.state()
        start = int(state.step)
        opened = agreed(lambda: _records(run.directory, trainer.experiment, start, incident), tell=False)
        with (
            opened or Records(None, start) as records,
            Display(total, start, show=progress and first) as display,
        ):
            if start:
                display.line(f"continuing {run.directory} after step {start} of {total}")
            saves = checkpoints if first else None
            session = Session(trainer, records, display, saves, clock, request, watchdog, saving, incident)
            while True:
                try:
                    return session.train(state, recovery.left_out(), agreed(lambda: records.evaluated) or 0)
                except Broken as broken:
                    noticed = broken.step
                del state  # its memory is needed for what follows
                recovery.remedy(noticed, on_nan, watchdog.beat)
                state = recovery.state()
                records.rewind(int(state.step))


def _records(directory: Path, experiment: Experiment, start: int, incident: Callable[[str], None]) -> Records:
    records = Records(directory, start, say=incident)
    records.require_rows(due(experiment, start))
    return records


def _aside(text: str) -> None:
    """What a process says that does not write the run directory."""
    with suppress(OSError):
        print(f"jaxconv, process {jax.process_index()}: {text}", file=sys.stderr, flush=True)


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
