"""The run directory: what was asked for, what ran where, what came out.

command.txt        the command, a line for each (re)start
run.json           `settings` (what defines the run), `record` (how to build the model again) and `experiment` (what
                   the experiment itself knows of its data and numbers), with the `digest` of the three
environment.json   versions, device, commit
metrics.jsonl      losses and accuracies: equal bits for equal settings
timing.jsonl       images per second at the same steps
incidents.jsonl    what went wrong without ending the run: damaged checkpoints, failed saves, bad images, NaN
left_out.jsonl     the steps that `--on-nan rollback` passes over, with the reason
bad_images.jsonl   the images that cannot be used, if there are any, with the reasons; see `bad_images.py`
events.out.*       the same for TensorBoard
checkpoints/       see `checkpoint.py`
result.json        the final numbers with their digest; its presence says that the run is finished
"""

import errno
import json
import os
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxconv.data.atomic import create_text, write_text
from jaxconv.data.stored import read_object
from jaxconv.train.differences import differences
from jaxconv.train.environment import environment
from jaxconv.train.manifest import text_digest

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What file systems answer that know no locks: buckets, Lustre mounted without them."""

WRONG_PATHS = (FileNotFoundError, FileExistsError, NotADirectoryError, PermissionError)


class InUseError(OSError):
    """A directory in which another process trains; it may be free a moment later."""


class RunError(ValueError):
    """A directory that is no run, or the run of another configuration."""


@dataclass(frozen=True)
class Run:
    """A directory with the description of one run.

    Attributes:
        directory: where everything of the run lies.
        settings: the JSON values that define it.
        record: JSON values from which the model is built again.
        experiment: what its experiment says of itself, see `Experiment.described`; empty where an earlier version
            began the run.
    """

    directory: Path
    settings: Mapping[str, Any]
    record: Mapping[str, Any]
    experiment: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, directory: str | os.PathLike[str]) -> "Run":
        """The run in a directory.

        Raises:
            RunError: if there is none; the message says what was expected.
        """
        path = Path(directory) / "run.json"
        if not path.is_file():
            what = "there is no such directory" if not Path(directory).exists() else f"it has no {path.name}"
            raise RunError(
                f"{directory} is no run directory: {what}. Expected what `jaxconv train --out DIRECTORY` writes: "
                f"run.json, metrics.jsonl and checkpoints/."
            )
        content = read_object(path, RunError, settings=dict, record=dict)
        content = _checked(path, content)
        experiment = content.get("experiment")
        known = experiment if isinstance(experiment, dict) else {}  # earlier versions wrote none
        return cls(Path(directory), content["settings"], content["record"], known)

    @classmethod
    def start(
        cls,
        directory: str | os.PathLike[str],
        settings: Mapping[str, Any],
        record: Mapping[str, Any],
        experiment: Mapping[str, Any] | None = None,
    ) -> "Run":
        """A new run in an empty or absent directory, or the one that is there if its description is equal.

        Raises:
            TypeError: if a value is none of JSON's.
            ValueError: likewise, of a number that is not finite.
            RunError: if the directory holds something else, or a run of another description; the message names what
                differs.
        """
        path = Path(directory)
        if path.is_file() or (not (path / "run.json").exists() and _foreign(path)):
            raise RunError(
                f"out must be a new directory or that of a run; {directory} is neither empty nor a run directory; "
                "it is left as it is."
            )
        parts = {"settings": dict(settings), "record": dict(record), "experiment": dict(experiment or {})}
        try:
            parts = json.loads(json.dumps(parts, allow_nan=False))
        except (TypeError, ValueError) as error:
            told = f"settings and record must be JSON values: {error}; got {parts['settings']} and {parts['record']}."
            raise type(error)(told) from error
        if not (path / "run.json").exists():
            _create(path, parts)
        run = cls.open(path)
        _require_equal(run, **parts)
        return run

    @contextmanager
    def held(self) -> Iterator[None]:
        """No other process trains in this directory meanwhile.

        Raises:
            InUseError: if one does.
        """
        import fcntl

        with (self.directory / "run.json").open("r+") as file:  # NFS locks only what may be written
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InUseError(
                    f"{self.directory} is in use: another process trains there. Wait for it, end it, or give another "
                    "directory."
                ) from None
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                self.incident(
                    f"{self.directory} cannot be locked ({error.strerror}): see to it that no other process trains "
                    "there."
                )
            yield

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints lie."""
        return self.directory / "checkpoints"

    @property
    def result(self) -> dict[str, Any] | None:
        """The final numbers, or None while the run is unfinished; the last checkpoint gives a damaged file again."""
        path = self.directory / "result.json"
        try:
            return _checked(path, read_object(path, steps=int))
        except (FileNotFoundError, ValueError):
            return None

    def finish(self, numbers: Mapping[str, Any]) -> None:
        """Store the final numbers, which marks the run as finished."""
        write_text(self.directory / "result.json", _json_with_digest(numbers))

    def note_start(self) -> None:
        """Record this process: its command, versions, device and commit."""
        with (self.directory / "command.txt").open("a", errors="surrogateescape") as file:
            file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')}  {shlex.join(sys.argv)}\n")
        write_text(self.directory / "environment.json", _json(environment()))

    def incident(self, text: str) -> None:
        """Something went wrong and the run goes on: say so on the error output, and keep it."""
        with suppress(OSError):  # the error output may lie on a disk that is full
            print(f"jaxconv: {text}", file=sys.stderr, flush=True)
        try:
            with (self.directory / "incidents.jsonl").open("a") as file:
                file.write(json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "what": text}) + "\n")
        except OSError:  # the disk may be what went wrong
            return


def _create(directory: Path, content: Mapping[str, Any]) -> None:
    """The description of a new run, unless another process begins it at this moment."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            create_text(directory / "run.json", _json_with_digest(content))
    except WRONG_PATHS as error:
        raise RunError(f"out must be a directory that can be written; {directory}: {error.strerror}.") from error


def _foreign(directory: Path) -> list[Path]:
    """What lies in a directory, but for what a start that was killed left behind."""
    return [p for p in directory.iterdir() if p.suffix != ".partial"] if directory.is_dir() else []


def _require_equal(
    run: Run, settings: Mapping[str, Any], record: Mapping[str, Any], experiment: Mapping[str, Any]
) -> None:
    """The first part that differs is named: what a person chose comes before what follows from it."""
    rows = (
        differences(run.settings, settings)
        or differences(run.experiment, experiment, lenient=True)
        or differences(run.record, record, lenient=True)
    )
    if rows:
        raise RunError(
            f"{run.directory} holds a run with another configuration ({'; '.join(rows)}). "
            "Give the same values to continue it, or another directory."
        )


def _checked(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """What a file holds beside its digest; earlier versions wrote none."""
    values = {name: value for name, value in content.items() if name != "digest"}
    if content.get("digest", text_digest(values)) != text_digest(values):
        raise RunError(f"{path} is damaged: it is not what was written, its digest differs.")
    return values


def _json_with_digest(content: Mapping[str, Any]) -> str:
    return _json({**content, "digest": text_digest(content)})


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"
