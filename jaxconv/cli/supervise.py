"""A process that does nothing but start the training process again.

It never touches a device, so nothing that ends the training process ends it.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

from jaxconv.cli.codes import FAILED, FINAL, INTERRUPTED, PREEMPTED
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
    with _Signals() as signals:
        for restart in range(restarts + 1):
            code = _run(command, hang_seconds, signals)
            if code in FINAL:
                return code
            if signals.received is not None:
                return PREEMPTED if signals.received == signal.SIGTERM else INTERRUPTED
            left = restarts - restart
            what = f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"
            print(
                f"jaxconv: the training process ended with {what}; {left} restarts left.", file=sys.stderr, flush=True
            )
            if left:
                signals.wait(min(2.0**restart, LONGEST_PAUSE_SECONDS))
    return max(code, FAILED)


class _Signals:
    """SIGTERM and SIGINT go on to the training process, which saves and ends; none is started after them."""

    def __init__(self) -> None:
        self.received: int | None = None
        self.child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "_Signals":
        self._before = {n: signal.signal(n, self._pass_on) for n in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def wait(self, seconds: float) -> None:
        """So long, or until a signal comes."""
        end = time.monotonic() + seconds
        while self.received is None and time.monotonic() < end:
            time.sleep(0.1)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        if self.child is not None:
            self.child.send_signal(number)


def _run(command: Sequence[str], hang_seconds: float | None, signals: _Signals) -> int:
    if signals.received is not None:
        return FAILED
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    # In a group of its own, a Ctrl-C of the terminal reaches it once, through this process.
    signals.child = child = subprocess.Popen(
        command, env={**os.environ, PIPE: str(writing)}, pass_fds=[writing], process_group=0, stdin=subprocess.DEVNULL
    )
    os.close(writing)
    if signals.received is not None:  # before there was a child to pass it on to
        child.send_signal(signals.received)
    try:
        _wait(child, reading, None if hang_seconds is None else hang_seconds + PATIENCE_SECONDS)
        return child.wait()
    finally:
        os.close(reading)


def _wait(child: subprocess.Popen[bytes], beats: int, patience: float | None) -> None:
    """Until the process has ended, or was killed because it made no progress."""
    limit = None  # from the first beat on: importing and decoding data take as long as they take
    while select.select([beats], [], [], limit)[0]:
        if not os.read(beats, 4096):
            return
        limit = patience
    print(f"jaxconv: no progress for {patience:.0f} s: the training process is killed.", file=sys.stderr, flush=True)
    child.kill()
