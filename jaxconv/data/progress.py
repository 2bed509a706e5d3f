"""How long work tells that it is alive: a bar on a terminal that vanishes when done, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SECONDS_BETWEEN_LINES = 10.0


def say(message: str, *, shown: bool) -> None:
    """Prints one line to standard error."""
    if shown:
        print(message, file=sys.stderr, flush=True)


@contextmanager
def track(description: str, total: int, *, unit: str, shown: bool) -> Iterator[Callable[[int], None]]:
    """Shows how far a piece of work has come.

    Args:
        description: what is being done, such as "Decoding mnist train".
        total: how many units there are.
        unit: what is counted: "images", or "bytes", which are shown as megabytes and megabytes a second.
        shown: False shows nothing.

    Yields:
        A function that counts further units as done; it may be called from any thread.
    """
    if not shown:
        yield lambda done: None
    elif sys.stderr.isatty():
        with _bar(description, total, unit) as advance:
            yield advance
    else:
        with _lines(description, total, unit) as advance:
            yield advance


@contextmanager
def _bar(description: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    from rich import progress
    from rich.console import Console

    if unit == "bytes":
        counters = [progress.DownloadColumn(), progress.TransferSpeedColumn()]
    else:
        counters = [progress.MofNCompleteColumn(), progress.TextColumn(unit)]
    bar = progress.Progress(
        progress.TextColumn("{task.description}", markup=False),  # names of folders and splits
        progress.BarColumn(),
        *counters,
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task(description, total=total)
        yield lambda done: bar.advance(task, done)


@contextmanager
def _lines(description: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    start = last = time.monotonic()
    done = 0
    amount = f"{total / 1e6:,.1f} MB" if unit == "bytes" else f"{total:,} {unit}"
    say(f"{description}: {amount}", shown=True)

    def advance(more: int) -> None:
        nonlocal done, last
        done += more
        if time.monotonic() - last > _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            say(f"{description}: {done / max(total, 1):.0%}", shown=True)

    yield advance
    say(f"{description}: done in {time.monotonic() - start:.1f} s", shown=True)
