"""Where numbers go while a run is under way: JSON lines and TensorBoard. A full disk loses none of them."""

import errno
import itertools
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog  # pyright: ignore[reportAttributeAccessIssue] (generated)

from jaxconv.data.atomic import write_text
from jaxconv.data.stored import drop_cut_line, read_rows
from jaxconv.train.checkpoint import CheckpointError, free_name
from jaxconv.train.run import RunError

_NUMBERS = itertools.count()


class Records:
    """`metrics.jsonl`, `timing.jsonl` and TensorBoard events of one run, continued from `step`.

    What an interrupted run had written beyond `step` is dropped, because those steps are taken again. Rows for which
    the disk has no room wait in memory.

    Args:
        directory: of the run; None writes nothing anywhere.
        step: from which the run goes on.
        say: told when TensorBoard's file, which repeats `metrics.jsonl`, cannot be written, of rows that are missing,
            and of a `timing.jsonl` that cannot be read.

    Attributes:
        evaluated: the last step whose evaluation had been recorded before, 0 if there is none.
        measured: what that evaluation gave.

    Raises:
        RunError: if `metrics.jsonl` cannot be read.
    """

    def __init__(self, directory: Path | None, step: int, *, say: Callable[[str], None] = lambda text: None) -> None:
        self._directory, self._say = directory, say
        self._open(step)

    def __enter__(self) -> "Records":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.flush()
        except CheckpointError as error:
            if kind is None:
                raise
            self._say(str(error))
        finally:
            self._close()

    def require_rows(self, due: Iterable[tuple[int, str]]) -> None:
        """Say so where rows are missing: the steps before are not taken again, so they are lost.

        Args:
            due: step and split of each row that must be there.
        """
        wanted = list(due)
        missing = [row for row in wanted if row not in self._before]
        if missing:
            step, split = missing[0]
            self._say(
                f"{self._metrics.path} lacks {len(missing)} of the {len(wanted)} rows up to the step from which the "
                f"run goes on, the first one of step {step} ({split}): those steps are not taken again."
            )

    def rewind(self, step: int) -> None:
        """Drop what was written beyond `step`: the run goes back to it."""
        before = self._metrics, self._timing, self._events
        self._open(step)
        for file in before:
            file.close()

    def metrics(self, step: int, split: str, values: Mapping[str, float | int]) -> None:
        """Numbers that follow from the settings alone."""
        self._metrics.append({"step": step, "split": split, **values})
        self._events.scalars(step, {f"{split}/{name}": value for name, value in values.items()})

    def timing(self, step: int, images_per_second: float) -> None:
        """How fast it went."""
        self._timing.append({"step": step, "images_per_second": round(images_per_second, 1)})
        self._events.scalars(step, {"images_per_second": images_per_second})

    def flush(self) -> None:
        """To the disk, before a checkpoint says that these steps are over.

        Raises:
            CheckpointError: if there is no room.
        """
        for lines in (self._metrics, self._timing):
            try:
                lines.flush()
            except OSError as error:
                raise CheckpointError(f"{lines.path.name} could not be written: {error.strerror}.") from error

    def _open(self, step: int) -> None:
        folder, null = self._directory, Path(os.devnull)
        metrics, timing = (null, null) if folder is None else (folder / "metrics.jsonl", folder / "timing.jsonl")
        rows = [] if folder is None else _keep_until(metrics, step, split=str)
        self._before = {(row["step"], row["split"]) for row in rows}
        if folder is not None:
            self._keep_timing(timing, step)
        self.evaluated, self.measured = _last_evaluation(rows)
        self._metrics, self._timing = _Lines(metrics), _Lines(timing)
        self._events = _Events(folder, step, self._say)

    def _keep_timing(self, path: Path, step: int) -> None:
        """How fast it went decides nothing: what cannot be read is set aside."""
        try:
            _keep_until(path, step)
        except RunError as error:
            aside = free_name(path.parent, f"{path.name}.damaged")
            path.rename(aside)
            self._say(f"{error} It is set aside as {aside.name}.")

    def _close(self) -> None:
        self._metrics.close()
        self._timing.close()
        self._events.close()


class _Lines:
    """A file that grows by whole lines. What is not yet known to be on the disk is kept, to be written again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._safe, self._written, self._waiting = os.fstat(self._file).st_size, b"", b""

    def append(self, row: Mapping[str, object]) -> None:
        self._waiting += json.dumps(row).encode() + b"\n"
        with suppress(OSError):  # it waits; `flush` says so before it matters
            self._write()

    def flush(self) -> None:
        self._write()
        if self.path == Path(os.devnull) or not self._written:
            return
        try:
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, self._safe)
            self._written, self._waiting = b"", self._written + self._waiting
            raise
        self._safe, self._written = self._safe + len(self._written), b""

    def close(self) -> None:
        os.close(self._file)

    def _write(self) -> None:
        """All that waits, or nothing: what did not fit whole is cut off again."""
        if not self._waiting:
            return
        try:
            if os.write(self._file, self._waiting) < len(self._waiting):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            os.ftruncate(self._file, self._safe + len(self._written))
            raise
        self._written, self._waiting = self._written + self._waiting, b""


class _Events:
    """TensorBoard's file, written as numbers come: tensorboardX's thread dies of a full disk, and its queue blocks."""

    def __init__(self, folder: Path | None, step: int, say: Callable[[str], None]) -> None:
        self._say = say
        name = f".{os.getpid()}.{next(_NUMBERS)}"  # the file's own name has seconds only
        self._writer = None if folder is None else EventsWriter(str(folder / "events"), name)
        if folder is not None:  # TensorBoard forgets what an interrupted run had written beyond the step
            self._write(Event(step=step + 1, session_log=SessionLog(status=SessionLog.START)))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._write(Event(step=step, summary=summary.scalar(name, value)))
        self._tried(lambda writer: writer.flush())

    def close(self) -> None:
        self._tried(lambda writer: writer.close())

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._tried(lambda writer: writer.write_event(event))

    def _tried(self, action: Callable[[EventsWriter], object]) -> None:
        if self._writer is None:
            return
        try:
            action(self._writer)
        except OSError as error:
            self._writer = None
            self._say(f"TensorBoard's events end here ({error.strerror}); metrics.jsonl has all numbers.")


def _last_evaluation(rows: Iterable[Mapping[str, Any]]) -> tuple[int, dict[str, Any]]:
    last = max((row for row in rows if row["split"] == "eval"), key=lambda row: row["step"], default={"step": 0})
    return last["step"], {name: value for name, value in last.items() if name not in ("step", "split")}


def _keep_until(path: Path, step: int, **expected: type) -> list[dict[str, Any]]:
    """Keep the whole lines up to `step`, and return them. A last line that a crash cut short goes too."""
    if not path.exists():
        return []
    drop_cut_line(path)
    rows = [row for row in read_rows(path, RunError, step=int, **expected) if row["step"] <= step]
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
    return rows
