"""How many steps one call of the compiled program takes.

On a GPU or TPU a call is dispatched and forgotten: it takes a whole stretch. On a CPU it keeps the process busy, and
signals, saves and the display wait for its end, so it should end within seconds. Yet a call a step is slow: XLA asks
the system for its temporary memory at each call anew, which is 200,000 page faults for ResNet-50 and 8 images
(`experiments/benchmarks/stretches.py`; `experiments/LOG.md`). So on CPUs the program is a loop of as many steps as it
is told: it is compiled once, and gives the same bits wherever a run is cut. XLA's own convolutions are slow inside
loops, those of `jaxconv.functional` are not: a model that has the former is called step by step.
"""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.extend.core import Jaxpr, subjaxprs  # pyright: ignore[reportPrivateImportUsage] (documented)

State = TypeVar("State")

MOST_RESIDENT, MOST_STREAMED = 32, 4
"""Steps of the longest call on a CPU, for data on the device and for batches that are read as they are needed."""

SECONDS = 4.0
"""A call on a CPU should end within these: a signal waits so long."""


def keeps_host_busy() -> bool:
    """Whether a call runs on the host's own cores."""
    return jax.default_backend() == "cpu"


def has_plain_convolution(jaxpr: Jaxpr) -> bool:
    """Whether a program, or one inside it, has a `lax.conv_general_dilated`."""
    own = any(equation.primitive.name == "conv_general_dilated" for equation in jaxpr.eqns)
    return own or any(map(has_plain_convolution, subjaxprs(jaxpr)))


def seconds_between(*, saves: float | None, beats: float | None) -> float:
    """Within how many seconds a call on a CPU should end.

    Args:
        saves: seconds between two saves, which are made between calls; None where no clock saves.
        beats: a process that has made no progress for so many seconds is ended; None where it is not.
    """
    limits = [SECONDS, saves, None if beats is None else beats / 4]
    return min(seconds for seconds in limits if seconds is not None)


class Pieces:
    """Cuts stretches of steps into calls.

    Args:
        resident: whether all data lie on the device.
        looped: whether steps are as fast inside a loop on a CPU.
        seconds: within which a call on a CPU should end.

    Attributes:
        most: for the batches of how many steps the program has space; None where it is compiled for each number.
    """

    def __init__(self, *, resident: bool, looped: bool = True, seconds: float = SECONDS) -> None:
        self._bounded, self._seconds = keeps_host_busy(), seconds
        self._counted = self._bounded and looped
        self.most: int | None = None if resident else 1
        if self._bounded:
            alone = jax.process_count() == 1  # processes that share a run must call alike
            several = MOST_RESIDENT if resident else MOST_STREAMED
            self.most = several if looped and alone else 1
        self._calls, self._step_seconds = 0, seconds

    def length(self, left: int) -> int:
        """Steps of the next call where `left` are to be taken; on a CPU one each until its speed is known."""
        length = left if self.most is None else min(left, self.most)
        return min(length, max(1, int(self._seconds / self._step_seconds))) if self._bounded else length

    def call(self, program: Callable[..., State], state: State, steps: int, *data: Any) -> State:
        """Take steps with a program of `make_stretch`; on a CPU a loop is over then."""
        if not self._counted:
            return program(state, None, *data)
        began = time.monotonic()
        state = jax.block_until_ready(program(state, np.int32(steps), *data))
        self._calls += 1
        if self._calls > 1:  # the first compiles, which says nothing of the speed
            self._step_seconds = max(time.monotonic() - began, 1e-6) / steps
        return state
