"""Compare durations on a machine that others use too: variants take turns in one process, and only ratios count.

Every round runs a block of calls of each variant, in an order that flips from round to round, each block after a warm
call and a pause in which the threads of another runtime go to sleep. Rounds in which other processes used much of the
processor are repeated; the quietest ones count. The ratio of two variants is the median over rounds of their ratio in
the round, so a slow minute slows both.
"""

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import jax

_PAUSE_SECONDS = 0.002
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Comparison:
    """Durations of the kept rounds, in milliseconds, and the cores that other processes used in the worst of them."""

    rounds: dict[str, list[float]]
    other_cores: float

    def milliseconds(self, name: str) -> float:
        """The median duration of a variant."""
        return statistics.median(self.rounds[name])

    def ratio(self, name: str, base: str) -> float:
        """The median over rounds of the duration of `name` in units of that of `base`."""
        return statistics.median(a / b for a, b in zip(self.rounds[name], self.rounds[base]))

    def fastest(self, names: Iterator[str]) -> str:
        """The variant with the least median."""
        return min(names, key=self.milliseconds)


def compare(
    variants: dict[str, Callable[[], object]],
    *,
    rounds: int = 7,
    block_milliseconds: float = 25.0,
    limit_seconds: float = 40.0,
    tolerated_cores: float = 0.12,
) -> Comparison:
    """Time functions that return when their work is done.

    Args:
        variants: name to function.
        rounds: how many rounds are kept; up to three times as many are run to find quiet ones.
        block_milliseconds: how long one variant runs in one round, at least one call.
        limit_seconds: after that long, no further round is run for the sake of quiet.
        tolerated_cores: how much of a core other processes may use in a quiet round.
    """
    calls = {name: _calls(function, block_milliseconds) for name, function in variants.items()}
    done: list[tuple[float, int, dict[str, float]]] = []
    start = time.perf_counter()
    for number in range(3 * rounds):
        busy, began = _other_seconds(), time.perf_counter()
        order = list(variants)[:: -1 if number % 2 else 1]
        row = {name: _block(variants[name], calls[name]) for name in order}
        other = (_other_seconds() - busy) / (time.perf_counter() - began)
        done.append((other, number, row))
        quiet = sum(other <= tolerated_cores for other, _, _ in done)
        if quiet >= rounds or (number + 1 >= rounds and time.perf_counter() - start > limit_seconds):
            break
    kept = sorted(done, key=lambda entry: (max(entry[0], tolerated_cores), entry[1]))[:rounds]
    return Comparison({name: [row[name] for _, _, row in kept] for name in variants}, max(kept)[0])


def setting() -> str:
    """The versions and the hardware that a table was made with, for its first line."""
    device = jax.devices()[0]
    kind = processor() if device.platform == "cpu" else device.device_kind
    return f"jax {jax.__version__}, {kind}, {os.cpu_count()} cores, float32"


def processor() -> str:
    """The first core's name, family and model, because a guest is often told no more than a name of many models."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().split("\n\n", 1)[0].splitlines() if info.exists() else []
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    more = [f"{key} {said[name]}" for key, name in (("family", "cpu family"), ("model", "model")) if name in said]
    return " ".join([said.get("model name", platform.processor() or platform.machine()), *more])


def _calls(function, block_milliseconds):
    function()
    return max(1, min(1000, int(block_milliseconds / min(_block(function, 1) for _ in range(2)))))


def _block(function, calls):
    time.sleep(_PAUSE_SECONDS)
    if calls > 1:
        function()
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls * 1e3


def _other_seconds():
    """Processor seconds so far of all other processes, and those that the hypervisor gave to other machines."""
    own, ticks = os.getpid(), int(Path("/proc/stat").read_text().split("\n", 1)[0].split()[8])
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != own:
            try:
                fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:  # the process has ended
                continue
            ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS_PER_SECOND
