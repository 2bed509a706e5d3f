"""A process that does nothing but start the training process again.

It never touches a device, so nothing that ends the training process ends it.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from jaxconv.cli.codes import FAILED, FINAL
from jaxconv.train.watchdog import PIPE

PATIENCE_SECONDS = 15.0
"""How much longer than the training process itself its supervisor waits for progress: time to write the stacks."""

LONGEST_PAUSE_SECONDS = 60.0


def supervised() -> bool:
    """Whether this process was started by `supervise`."""
    return PIPE in os.environ


def supervise(arguments: Sequence[str], restarts: int, hang_seconds: float | None) -> int:
    """Run this very command again in a process of its own, until it is done or nothing is to be gained.

    Args:
        arguments: further ones for it.
        restarts: how often it may be started again.
        hang_seconds: kill it once it has made no progress for so long, counted from its first progress; None never.

    Returns:
        Its exit code, the last one; 1 where a signal ended it.
    """
    command = [sys.executable, *sys.orig_argv[1:], *arguments]
    code = FAILED
    for restart in range(restarts + 1):
        code = _run(command, hang_seconds)
        if code in FINAL:
            return code
        left = restarts - restart
        what = f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"
        print(f"jaxconv: the training process ended with {what}; {left} restarts left.", file=sys.stderr, flush=True)
        if left:
            time.sleep(min(2.0**restart, LONGEST_PAUSE_SECONDS))
    return max(code, FAILED)


def _run(command: Sequence[str], hang_seconds: float | None) -> int:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    # In a group of its own, a Ctrl-C of the terminal reaches it once, through this process.
    child = subprocess.Popen(
        command, env={**os.environ, PIPE: str(writing)}, pass_fds=[writing], process_group=0, stdin=subprocess.DEVNULL
    )
    os.close(writing)
    with _passed_on(child):
        try:
            _wait(child, reading, None if hang_seconds is None else hang_seconds + PATIENCE_SECONDS)
            return child.wait()
        finally:
            os.close(reading)


def _wait(child: subprocess.Popen[bytes], beats: int, patience: float | None) -> None:
    """Until the process has ended, or was killed because it made no progress."""
    limit = None  # from the first beat on: importing, compiling and decoding data take as long as they take
    while select.select([beats], [], [], limit)[0]:
        if not os.read(beats, 4096):
            return
        limit = patience
    print(f"jaxconv: no progress for {patience:.0f} s: the training process is killed.", file=sys.stderr, flush=True)
    child.kill()


@contextmanager
def _passed_on(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """SIGTERM and SIGINT go on to the training process, which saves and ends."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {n: signal.signal(n, lambda number, frame: child.send_signal(number)) for n in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
