"""Where numbers go while a run is under way: JSON lines, TensorBoard, and the terminal."""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from tensorboardX import SummaryWriter

PLAIN_SECONDS = 10.0
"""Between two lines where the output is no terminal."""


class Records:
    """`metrics.jsonl`, `timing.jsonl` and TensorBoard events of one run, continued from `step`.

    What an interrupted run had written beyond `step` is dropped, because those steps are taken again.

    Args:
        directory: of the run; None writes nothing anywhere.
        step: from which the run goes on.

    Attributes:
        evaluated: the last step whose evaluation had been recorded before, 0 if there is none.
    """

    def __init__(self, directory: Path | None, step: int) -> None:
        self._directory = directory
        self._open(step)

    def __enter__(self) -> "Records":
        return self

    def __exit__(self, *_: object) -> None:
        self._metrics.close()
        self._timing.close()
        self._events.close()

    def rewind(self, step: int) -> None:
        """Drop what was written beyond `step`: the run goes back to it."""
        self.__exit__()
        self._open(step)

    def _open(self, step: int) -> None:
        folder, null = self._directory, Path(os.devnull)
        metrics, timing = (null, null) if folder is None else (folder / "metrics.jsonl", folder / "timing.jsonl")
        if folder is not None:
            _keep_until(metrics, step)
            _keep_until(timing, step)
        self.evaluated = _last_evaluation(metrics)
        self._metrics, self._timing = metrics.open("a"), timing.open("a")
        purge = step + 1 if step else None
        self._events = SummaryWriter(str(folder), purge_step=purge, flush_secs=10, write_to_disk=folder is not None)

    def flush(self) -> None:
        """To the disk, before a checkpoint says that these steps are over."""
        if self._directory:
            os.fsync(self._metrics.fileno())

    def metrics(self, step: int, split: str, values: Mapping[str, float | int]) -> None:
        """Numbers that follow from the settings alone."""
        _append(self._metrics, {"step": step, "split": split, **values})
        for name, value in values.items():
            self._events.add_scalar(f"{split}/{name}", value, step)

    def timing(self, step: int, images_per_second: float) -> None:
        """How fast it went."""
        _append(self._timing, {"step": step, "images_per_second": round(images_per_second, 1)})
        self._events.add_scalar("images_per_second", images_per_second, step)


def _append(file, row: Mapping[str, object]) -> None:
    file.write(json.dumps(row) + "\n")
    file.flush()


def _last_evaluation(path: Path) -> int:
    """The last step that was evaluated, 0 if none was."""
    rows = map(json.loads, path.read_text().splitlines()) if path.exists() else ()
    return max((row["step"] for row in rows if row["split"] == "eval"), default=0)


def _keep_until(path: Path, step: int) -> None:
    """Keep the whole lines up to `step`. A last line that a crash cut short goes too."""
    if path.exists():
        lines = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
        partial = path.with_name(path.name + ".partial")
        partial.write_text("".join(line for line in lines if json.loads(line)["step"] <= step))
        partial.replace(path)


class Display:
    """A live progress bar in a terminal, plain lines elsewhere, or nothing.

    Args:
        total: steps of the run.
        start: steps that were taken before.
        show: whether to show anything.
    """

    def __init__(self, total: int, start: int, *, show: bool = True) -> None:
        self._console = Console(stderr=False)
        self._show = show
        self._total, self._start = total, start
        self._began, self._last_line = time.monotonic(), time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} steps"),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=self._console,
            disable=not (show and self._console.is_terminal),
        )
        self._task = self._bar.add_task("compiling", total=total, completed=start, numbers="")

    def __enter__(self) -> "Display":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def first_step(self) -> None:
        """Compilation is over: time left is counted from here."""
        self._began = self._last_line = time.monotonic()
        self._bar.reset(self._task, total=self._total, completed=self._start, numbers="")

    def update(self, step: int, epoch: int, numbers: str) -> None:
        """Show the state of the run after `step` steps."""
        self._bar.update(self._task, completed=step, description=f"epoch {epoch}", numbers=numbers)
        now = time.monotonic()
        if self._show and not self._console.is_terminal and now - self._last_line > PLAIN_SECONDS:
            self._last_line = now
            left = (now - self._began) / max(step - self._start, 1) * (self._total - step)
            self._print(f"epoch {epoch}  step {step}/{self._total}  {numbers}  {left:.0f} s left")

    def line(self, text: str) -> None:
        """A line that stays."""
        self._last_line = time.monotonic()
        if self._show:
            self._print(text)

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)
