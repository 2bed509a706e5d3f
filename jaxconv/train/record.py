"""Where numbers go while a run is under way: JSON lines, TensorBoard, and the terminal."""

import json
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
    """

    def __init__(self, directory: Path, step: int) -> None:
        for name in ("metrics.jsonl", "timing.jsonl"):
            _keep_until(directory / name, step)
        self._metrics = (directory / "metrics.jsonl").open("a")
        self._timing = (directory / "timing.jsonl").open("a")
        self._events = SummaryWriter(str(directory), purge_step=step + 1 if step else None, flush_secs=10)

    def __enter__(self) -> "Records":
        return self

    def __exit__(self, *_: object) -> None:
        self._metrics.close()
        self._timing.close()
        self._events.close()

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
