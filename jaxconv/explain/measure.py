"""What a program takes: seconds to trace, lower and compile, bytes while it runs, seconds a call."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

Clock = Callable[[], float]


@dataclass(frozen=True)
class Compilation:
    """A compiled program and what it took to get there.

    Attributes:
        call: the compiled program.
        trace_seconds: from the Python function to its jaxpr.
        lower_seconds: from the jaxpr to StableHLO.
        compile_seconds: from StableHLO to machine code; little where the persistent cache has the program.
        memory_bytes: arguments, results and temporaries of one call, as the compiler plans them. Results that take over
            the memory of donated arguments count once.
    """

    call: Callable[..., Any]
    trace_seconds: float
    lower_seconds: float
    compile_seconds: float
    memory_bytes: int

    @property
    def seconds(self) -> float:
        """All three together."""
        return self.trace_seconds + self.lower_seconds + self.compile_seconds


def compile_timed(
    function: Callable[..., Any], *arguments: Any, donate: tuple[int, ...] = (), clock: Clock = time.perf_counter
) -> Compilation:
    """Compiles `function` for arguments of these shapes, and times every stage.

    Args:
        function: what `jax.jit` takes.
        *arguments: arrays or `jax.ShapeDtypeStruct`s.
        donate: positions of the arguments whose memory the results take over.
        clock: gives the time in seconds.
    """
    times = [clock()]
    stages: list[Any] = [jax.jit(function, donate_argnums=donate)]
    for stage in (lambda jitted: jitted.trace(*arguments), lambda traced: traced.lower(), lambda low: low.compile()):
        stages.append(stage(stages[-1]))
        times.append(clock())
    memory = stages[-1].memory_analysis()
    sizes = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    return Compilation(stages[-1], *map(float, np.diff(times)), memory_bytes=sizes - memory.alias_size_in_bytes)


@dataclass(frozen=True)
class Durations:
    """Seconds of each of several calls.

    Attributes:
        seconds: in their order.
    """

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Of the calls, in seconds."""
        return float(np.median(self.seconds))

    @property
    def quartiles(self) -> tuple[float, float]:
        """The first and the third, in seconds."""
        low, high = np.quantile(self.seconds, (0.25, 0.75))
        return float(low), float(high)


def time_calls(
    call: Callable[[], Any], *, calls: int = 40, limit_seconds: float = 20.0, clock: Clock = time.perf_counter
) -> Durations:
    """Times calls one by one, each until its result is there.

    Before them a tenth as many are not counted: at least one, and none begins after a tenth of the limit.

    Args:
        call: does the work and returns what must be waited for.
        calls: how many to count.
        limit_seconds: after that long no further call begins, so that large networks end; three are counted always.
        clock: gives the time in seconds.
    """
    start = clock()
    for number in range(max(1, calls // 10)):
        if number == 0 or clock() - start < limit_seconds / 10:
            jax.block_until_ready(call())
    seconds: list[float] = []
    start = clock()
    while len(seconds) < calls and (len(seconds) < 3 or clock() - start < limit_seconds):
        before = clock()
        jax.block_until_ready(call())
        seconds.append(clock() - before)
    return Durations(tuple(seconds))
