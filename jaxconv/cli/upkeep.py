"""Where a run lives and how it is kept alive."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from jaxconv.cli.supervise import supervise, supervised
from jaxconv.train import Experiment, Result, Saving, fit
from jaxconv.train.processes import connect, is_first
from jaxconv.train.stop import early_stop


@dataclass(frozen=True, kw_only=True)
class Upkeep:
    """Where the run lives and how it is kept alive; all of it may differ when a run is continued."""

    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Run directory; an unfinished run there is continued. Default: runs/NAME-DATE-TIME."""
    save_every: Annotated[str | None, tyro.conf.arg(metavar="STEPS|SECONDSs")] = None
    """Save this often beside the end of each epoch: 500 is steps, 60s is seconds."""
    keep: int = 3
    """How many of the newest checkpoints stay."""
    keep_best: Literal["accuracy", "loss"] | None = None
    """Also keep the checkpoint with the best test accuracy or loss."""
    on_save_error: Literal["stop", "continue"] = "stop"
    """What follows when a checkpoint cannot be written, as on a full disk."""
    on_nan: Literal["stop", "skip", "rollback"] = "stop"
    """When a number is NaN or infinite: stop and name the layer; skip such steps; or roll back and leave them out."""
    hang_seconds: float = 1800.0
    """End the process, with the stacks of its threads, after so long without progress; 0 never does."""
    max_restarts: int = 0
    """Train in a process of its own, and start it again this often if it dies or hangs."""
    coordinator: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT")] = None
    """Where process 0 listens, if several share the run. Found out on TPU pods, Slurm, Kubernetes and Open MPI."""
    process_id: int | None = None
    """Number of this process, from 0."""
    process_count: int | None = None
    """How many processes share the run; 1 trains alone under any launcher."""

    def __post_init__(self) -> None:
        self.saving()
        if not 0 <= self.hang_seconds < float("inf"):
            raise ValueError(f"--hang-seconds must be zero or positive; got {self.hang_seconds}.")
        if self.max_restarts < 0:
            raise ValueError(f"--max-restarts must be zero or positive; got {self.max_restarts}.")

    def saving(self) -> Saving:
        """When checkpoints are saved and which stay."""
        return Saving(every=self.save_every, keep=self.keep, keep_best=self.keep_best, on_error=self.on_save_error)

    def run(self, default: Path, train: Callable[[Path, bool], int]) -> int:
        """Call `train(directory, whether to talk)` in this process or under a supervisor; returns the exit code.

        Args:
            default: the directory if `out` is not given.
            train: loads data, calls `fit`, reports.
        """
        out = self.out or default
        if self.max_restarts and not supervised():
            given = [] if self.out else ["--out", str(out)]
            return supervise(given, self.max_restarts, self.hang_seconds or None)
        with early_stop():
            connect(self.coordinator, self.process_id, self.process_count)
            return train(out, is_first())

    def fit(self, experiment: Experiment, out: Path, *, progress: bool) -> Result:
        """`jaxconv.fit` with these settings."""
        return fit(
            experiment,
            out,
            progress=progress,
            saving=self.saving(),
            on_nan=self.on_nan,
            hang_seconds=self.hang_seconds or None,
        )
