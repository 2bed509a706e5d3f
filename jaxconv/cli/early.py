"""A SIGTERM in the first seconds, while a command imports what it needs. This file imports nothing that takes long."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

PREEMPTED = 42
"""The exit code of `jaxconv train` after a SIGTERM; `jaxconv.train.stop`, which takes seconds to import, has it too."""


@contextmanager
def preemptible(wanted: bool = True) -> Iterator[None]:
    """Within, a SIGTERM ends the process at once with `PREEMPTED`, until something else handles it.

    Args:
        wanted: False leaves the signal as it is. So does a thread that is not the main one.
    """
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        os.write(2, b"jaxconv: stopped by SIGTERM before anything was begun.\n")
        os._exit(PREEMPTED)  # an exception inside an import may be taken for the module's own

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is leave:  # after one was answered, further ones are ignored to the end
            signal.signal(signal.SIGTERM, before)
