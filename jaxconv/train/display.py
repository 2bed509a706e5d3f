"""What the terminal shows of a run."""

import time
from contextlib import suppress

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_SECONDS = 10.0
"""Between two lines where the output is no terminal."""


class Display:
    """A live progress bar in a terminal, plain lines elsewhere, or nothing.

    Args:
        total: steps of the run.
        start: steps that were taken before.
        show: whether to show anything.
    """

    def __init__(self, total: int, start: int, *, show: bool = True) -> None:
        self._console = Console(markup=False, emoji=False)
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
        with suppress(OSError):  # the output may lie on a disk that is full
            self._console.print(text, highlight=False, soft_wrap=True)
