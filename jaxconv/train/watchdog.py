"""A step that hangs ends the process, after every thread has said where it stands."""

import faulthandler
import os
import signal
import sys
import time

PIPE = "JAXCONV_BEATS"
"""Environment variable: a file descriptor that gets a byte whenever the run makes progress, for a supervisor."""

BEAT_SECONDS = 1.0
"""The least time between two beats that are passed on."""


class Watchdog:
    """While active, ends the process with code 1 once nothing has happened for too long.

    The stacks of all threads go to the error output first. The clock is faulthandler's, a thread in C: it goes on while
    XLA computes, and while Python waits.

    Args:
        seconds: the longest time between two calls of `beat`; None never ends anything.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._last = float("-inf")
        self._pipe = int(os.environ[PIPE]) if PIPE in os.environ else None

    def __enter__(self) -> "Watchdog":
        self.beat()
        return self

    def __exit__(self, *_: object) -> None:
        if self._seconds is not None:
            faulthandler.cancel_dump_traceback_later()

    def beat(self) -> None:
        """The run has made progress."""
        if time.monotonic() - self._last < min(BEAT_SECONDS, (self._seconds or BEAT_SECONDS) / 4):
            return
        self._last = time.monotonic()
        if self._seconds is not None:
            faulthandler.dump_traceback_later(self._seconds, exit=True, file=sys.__stderr__ or sys.stderr)
        if self._pipe is not None:
            try:
                os.write(self._pipe, b".")
            except BlockingIOError:  # a supervisor that is suspended has not read for hours
                return
            except BrokenPipeError:  # nobody would restart this process any more, but somebody may start another
                self._pipe = None
                os.kill(os.getpid(), signal.SIGTERM)
