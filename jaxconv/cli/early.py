"""Signals in the first seconds, while a command imports what it needs. This file imports nothing that takes long."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

PREEMPTED = 42
"""The exit code of `jaxconv train` after a SIGTERM; `jaxconv.train.stop`, which takes seconds to import, has it too."""

INTERRUPTED = 130
"""The exit code after a SIGINT; `jaxconv.cli.codes`, which takes as long, has it too."""


@contextmanager
def preemptible(wanted: bool = True) -> Iterator[None]:
    """Within, a SIGTERM ends the process at once with `PREEMPTED`, until something else handles it.

    Args:
        wanted: False leaves the signal as it is. So does a thread that is not the main one.
    """
    if wanted:
        with _ends_at_once(signal.SIGTERM, PREEMPTED, b"jaxconv: stopped by SIGTERM before anything was begun.\n"):
            yield
    else:
        yield


@contextmanager
def interruptible() -> Iterator[None]:
    """Within, a SIGINT ends the process at once with `INTERRUPTED`, unless it is ignored or handled already."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        with _ends_at_once(signal.SIGINT, INTERRUPTED, b"jaxconv: interrupted before anything was begun.\n"):
            yield
    else:
        yield


@contextmanager
def _ends_at_once(number: int, code: int, said: bytes) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        os.write(2, said)
        os._exit(code)  # an exception inside an import may be taken for the module's own

    before = signal.signal(number, leave)
    try:
        yield
    finally:
        if signal.getsignal(number) is leave:  # after one was answered, further ones are ignored to the end
            signal.signal(number, before)
