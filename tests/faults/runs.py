"""Real training runs in processes of their own, and what is left of them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from safetensors.numpy import load_file

# Batch norm, a moving average, Adam: everything that a state can have. 34 steps in three epochs.
ARGUMENTS = [
    *("--model", "conv_pyramid", "--epochs", "3", "--batch-size", "128", "--ema-decay", "0.9"),
    *("--save-every", "5", "--keep", "2", "--quiet"),
]
COMMAND = [sys.executable, "-m", "jaxconv"]
LIMIT_SECONDS = 240


def victim(fault: str) -> list[str]:
    """The command `jaxconv` to which something happens; see victim.py."""
    return [sys.executable, str(Path(__file__).with_name("victim.py")), fault]


class Hold:
    """A run that waits before chosen rows of its metrics: what a test does meanwhile is in time on any machine.

    Args:
        folder: for the two to meet in.
        rows: counted from 1 in each process of the run, measurements of the evaluation too.

    Attributes:
        command: the command `jaxconv` that waits.
    """

    def __init__(self, folder: Path, *rows: int) -> None:
        self._folder = folder / "hold"
        self._folder.mkdir()
        self.command = victim(f"hold:{self._folder}:{','.join(map(str, rows))}")

    def reached(self, row: int, process: subprocess.Popen[str]) -> None:
        """Returns when the run waits there."""
        wait_until((self._folder / f"{row}.reached").exists, process)

    def go_on(self, *rows: int) -> None:
        """It need not wait (any longer) there."""
        for row in rows:
            (self._folder / f"{row}.go").touch()


def environment(devices: int = 1, **more: str) -> dict[str, str]:
    """Of a training process: compiled programs are shared by all of a session."""
    programs = os.environ["JAXCONV_TEST_PROGRAMS"]
    return {**os.environ, "JAX_NUM_CPU_DEVICES": str(devices), "JAX_COMPILATION_CACHE_DIR": programs, **more}


def start(out: Path, *arguments: str, command=COMMAND, **settings) -> subprocess.Popen[str]:
    """`jaxconv train` in the background."""
    return subprocess.Popen(
        [*command, "train", *ARGUMENTS, "--out", str(out), *arguments],
        env=environment(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str], seconds: float = LIMIT_SECONDS) -> tuple[int, str]:
    """Its exit code and error output, once it has ended by itself."""
    try:
        _, error = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, error


def train(out: Path, *arguments: str, **settings) -> tuple[int, str]:
    """`jaxconv train` to its end."""
    return end(start(out, *arguments, **settings))


def wait_for_rows(out: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Until so many rows are in the metrics of a run."""
    wait_until(lambda: _rows(out) >= count, process)


def wait_until(true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Until something has become true, which the process has yet to do."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no progress"
        time.sleep(0.01)


def _rows(out: Path) -> int:
    path = out / "metrics.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


def differences(whole: Path, other: Path) -> list[str]:
    """What of two runs is not the same to the bit: state, metrics, result."""
    names = ["metrics.jsonl", "result.json"]
    found = [name for name in names if (whole / name).read_bytes() != (other / name).read_bytes()]
    last = json.loads((whole / "result.json").read_text())["steps"]
    states = [load_file(path / "checkpoints" / str(last) / "state.safetensors") for path in (whole, other)]
    assert {name.split(".")[0] for name in states[0]} == {"step", "params", "batch_stats", "opt_state", "ema", "totals"}
    assert states[0].keys() == states[1].keys()
    return found + [name for name in states[0] if states[0][name].tobytes() != states[1][name].tobytes()]


def incidents(out: Path) -> str:
    """What went wrong in a run without ending it."""
    path = out / "incidents.jsonl"
    return path.read_text() if path.exists() else ""


def checkpoints(out: Path) -> list[str]:
    """What lies among the checkpoints of a run."""
    return sorted((path.name for path in (out / "checkpoints").iterdir()), key=lambda name: (len(name), name))


def free_port() -> int:
    """A port on this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def stop(process: subprocess.Popen[str]) -> None:
    """End a process that a test has left, suspended or not."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.communicate()
