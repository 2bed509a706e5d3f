"""Stopping in an orderly way: a signal asks, the loop answers between two steps, on every process at the same one."""

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import jax
from jax.experimental import multihost_utils

from jaxconv.train.processes import notify_peers

DEADLINE_SECONDS = 25.0
"""After SIGTERM a machine is taken away, often 30 seconds later."""

PREEMPTED = 42
"""The exit code of a run that SIGTERM stopped: the same command continues it."""


class Stopped(Exception):
    """The run was asked to stop and saved its state.

    Attributes:
        signal: the number of the signal that asked.
        step: the step at which the state was saved.
    """

    def __init__(self, number: int, step: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}; saved at step {step}")
        self.signal, self.step = number, step


class StopRequest:
    """While active, SIGINT and SIGTERM set `signal` instead of ending the process; a second SIGINT ends it.

    Where the loop does not answer a SIGTERM in time, because it compiles or waits for a step, the process ends with
    `PREEMPTED` all the same: the run continues from its last checkpoint.

    Among several processes a signal to one of them is a signal to all: JAX's preemption service brings them to the same
    step. Outside the main thread, where Python allows no handlers, nothing is installed.

    Args:
        deadline: seconds from a SIGTERM to the end of the process.
    """

    def __init__(self, deadline: float = DEADLINE_SECONDS) -> None:
        self.signal: int | None = None
        self._deadline = deadline
        self._alone = jax.process_count() == 1
        self._calls = 0
        self._before: dict[int, object] = {}
        self._wakeup: tuple[int, int] | None = None  # the writing end of the pipe, and what was there before

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            self._before = {n: signal.signal(n, self._ask) for n in (signal.SIGINT, signal.SIGTERM)}
            self._watch()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]  (what signal.signal returned)
        if self._wakeup is not None:
            pipe, before = self._wakeup
            signal.set_wakeup_fd(before)
            os.close(pipe)

    def asked(self) -> int | None:
        """The signal that asked, or None. Every process calls this equally often, and all hear at the same call."""
        if self._alone:
            return self.signal
        self._calls += 1
        return (self.signal or signal.SIGTERM) if multihost_utils.reached_preemption_sync_point(self._calls) else None

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.signal == signal.SIGINT == number:
            raise KeyboardInterrupt
        self.signal = number
        notify_peers()

    def _watch(self) -> None:
        """A thread hears of signals through a pipe, also while the main thread is inside a long call."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        self._wakeup = writing, signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        threading.Thread(target=_end_in_time, args=(reading, self._deadline), daemon=True, name="deadline").start()


@contextmanager
def early_stop() -> Iterator[None]:
    """Around the whole run: where there is nothing to save, a SIGTERM ends the process at once.

    After a SIGTERM was answered further ones are ignored, so that the exit code stays what it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        os.write(2, b"jaxconv: stopped by SIGTERM while nothing was to be saved.\n")  # print is not reentrant
        raise SystemExit(PREEMPTED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    except (Stopped, SystemExit):
        before = signal.SIG_IGN
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _end_in_time(pipe: int, seconds: float) -> None:
    try:
        while (received := os.read(pipe, 1)) and received[0] != signal.SIGTERM:
            pass
        end = time.monotonic() + seconds
        while received and select.select([pipe], [], [], max(0.0, end - time.monotonic()))[0]:
            received = os.read(pipe, 64)  # further signals change nothing; the end of the file does
        if received:
            print(
                f"jaxconv: stopped by SIGTERM; not saved within {seconds:.0f} s. The same command continues from the "
                "last checkpoint.",
                file=sys.stderr,
                flush=True,
            )
            os._exit(PREEMPTED)
    finally:
        os.close(pipe)
