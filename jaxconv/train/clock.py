"""How fast training goes, apart from everything around it."""

import time


class Clock:
    """How long training took, without compilation, evaluation and saving."""

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self.began, self.compiled = time.monotonic(), 0.0
        self._seconds, self._steps, self._since = 0.0, 0, self.began

    def first_step(self) -> None:
        """The first step has run: compilation is over."""
        self.compiled = time.monotonic() - self.began
        self._since = time.monotonic()

    def resume(self) -> None:
        """Training goes on after something else."""
        self._since = time.monotonic()

    def pause(self, steps: int) -> None:
        """`steps` more have been taken since the last call."""
        self._seconds += time.monotonic() - self._since
        self._steps += steps

    def images_per_second(self) -> float:
        """So far."""
        return self._steps * self._batch_size / self._seconds if self._steps else 0.0

    def elapsed(self) -> float:
        """Wall seconds since the start."""
        return time.monotonic() - self.began
