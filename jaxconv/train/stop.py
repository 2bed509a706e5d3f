"""Stopping in an orderly way: a signal asks, the loop answers between two steps."""

import signal
import threading
from types import FrameType


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

    Outside the main thread, where Python allows no handlers, nothing is installed.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            self._before = {n: signal.signal(n, self._ask) for n in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]  (what signal.signal returned)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.signal == signal.SIGINT == number:
            raise KeyboardInterrupt
        self.signal = number
