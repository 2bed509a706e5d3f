"""The systems of `peer_faults.py`: how each is started, where its checkpoints lie, what it ended with."""

import atexit
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

LOOPS = Path(__file__).with_name("peer_loops.py")
EPOCHS, STEPS, EVERY = 4, 90, 5
WORK = Path(tempfile.mkdtemp(prefix="faults-work-"))
"""Compiled programs, output of the processes, final parameters: nothing that a fault touches."""
atexit.register(shutil.rmtree, WORK, ignore_errors=True)
ENVIRONMENT = {
    **{"JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": str(WORK / "programs")},
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
}


@dataclass(frozen=True)
class Finished:
    """How a process ended.

    Attributes:
        code: its exit code; negative for a signal.
        restored: the step from which it went on; 0 for the start.
        error: what it wrote to the error output.
        final: a digest of its final parameters; None if it did not come to the end.
    """

    code: int
    restored: int
    error: str
    final: str | None

    def said(self, *words: str) -> str | None:
        """The first line of the error output with one of these words, shortened."""
        lines = [line.strip() for line in self.error.splitlines() if any(word in line for word in words)]
        return re.sub(r"/\S+/", "", lines[-1])[:160] if lines else None


@dataclass(frozen=True)
class System:
    """A way to train.

    Attributes:
        program: what `peer_many.py` calls it.
        command: `(run directory, learning rate) -> arguments`.
        checkpoints: `(run directory) -> folder of the checkpoints`.
        prefix: of a checkpoint's name, before its step.
        finals: `(run directory) -> digest` of what the run ended with, None while it has not ended.
        arrays: `(checkpoint) -> arrays`.
    """

    program: str
    command: Callable[[Path, str], list[str]]
    checkpoints: Callable[[Path], Path]
    prefix: str
    finals: Callable[[Path], str | None]
    arrays: Callable[[Path], list[np.ndarray]]
    whole: dict[Path, str] = field(default_factory=dict)

    def steps(self, out: Path) -> list[int]:
        """The steps whose checkpoints have their final name, oldest first."""
        names = [name.removeprefix(self.prefix) for name in self._names(out)]
        return sorted(int(name) for name in names if name.isdecimal())

    def leftovers(self, out: Path) -> list[str]:
        """What lies beside them, such as a checkpoint half written."""
        return [name for name in self._names(out) if not name.removeprefix(self.prefix).isdecimal()]

    def _names(self, out: Path) -> list[str]:
        folder = self.checkpoints(out)
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def place(self, out: Path, step: int) -> Path:
        """The folder of one checkpoint."""
        return self.checkpoints(out) / f"{self.prefix}{step}"

    def finite(self, out: Path, step: int) -> bool:
        """Whether every number of a checkpoint is finite."""
        return all(np.isfinite(array).all() for array in self.arrays(self.place(out, step)))

    def reference(self, folder: Path) -> str:
        """The digest of what the uninterrupted run ended with; trained twice, to be sure that it is always the same."""
        if folder not in self.whole:
            ended = [train(self, folder / name) for name in ("first", "whole")]
            if ended[0].final is None or ended[0].final != ended[1].final:
                raise RuntimeError(f"two uninterrupted runs must end alike; they ended with {ended}")
            self.whole[folder] = ended[0].final
        return self.whole[folder]

    def mount(self, place: Path, size: int, *, again: bool = False) -> bool:
        """Mount a tmpfs of so many bytes, or give the one that is there another size; False if that is not allowed."""
        options = f"{'remount,' if again else ''}size={size}"
        return (
            subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True).returncode == 0
        )

    def unmount(self, place: Path) -> None:
        """Undo `mount`."""
        subprocess.run(["umount", place], check=True)


def start(system: System, out: Path, rate: str = "2e-3") -> subprocess.Popen[str]:
    """Start training in a process; its output goes to files."""
    out.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | ENVIRONMENT
    with (WORK / "out").open("w") as stdout, (WORK / "err").open("w") as stderr:
        return subprocess.Popen(system.command(out, rate), stdout=stdout, stderr=stderr, text=True, env=environment)


def finish(system: System, out: Path, process: subprocess.Popen[str]) -> Finished:
    """Wait for the process and look at what it left."""
    code = process.wait(timeout=600)
    return _finished(system, out, code, (WORK / "out").read_text(), (WORK / "err").read_text())


def _finished(system: System, out: Path, code: int, said: str, error: str) -> Finished:
    found = re.search(r"continuing .*?after step (\d+)", said)
    return Finished(code, int(found[1]) if found else 0, error, system.finals(out))


def train(system: System, out: Path, rate: str = "2e-3") -> Finished:
    """Train to the end, or continue."""
    return finish(system, out, start(system, out, rate))


def train_all(system: System, outs: list[Path]) -> list[Finished]:
    """Continue many runs, one after the other in one process."""
    skip = system.command(Path(), "").index("train" if system.program == "jaxconv" else str(LOOPS))
    skip += system.program != "jaxconv"
    calls = "".join(json.dumps(system.command(out, "2e-3")[skip:]) + "\n" for out in outs)
    many = [sys.executable, str(LOOPS.with_name("peer_many.py")), system.program]
    done = subprocess.run(
        many, input=calls, stdout=subprocess.PIPE, text=True, env=os.environ | ENVIRONMENT, check=True
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return [_finished(system, out, row["code"], row["out"], row["err"]) for out, row in zip(outs, rows, strict=True)]


def stop_at(system: System, out: Path, name: str, step: int, seconds: float) -> Finished | None:
    """Train, and send a signal so long after the checkpoint of a step; None if the run was over by then."""
    process = start(system, out)
    while process.poll() is None and not system.steps(out)[-1:] >= [step]:
        time.sleep(0.002)
    time.sleep(seconds)
    if process.poll() is not None:
        return None
    process.send_signal(getattr(signal, f"SIG{name}"))
    ended = finish(system, out, process)
    return ended if ended.code != 0 else None


def _digest(arrays: dict[str, np.ndarray], more: bytes = b"") -> str:
    digest = hashlib.sha256(more)
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].shape} {arrays[name].dtype}".encode() + arrays[name].tobytes())
    return digest.hexdigest()


def _jaxconv_command(out: Path, rate: str, *more: str) -> list[str]:
    train = [
        sys.executable,
        "-m",
        "jaxconv",
        "train",
        "--model",
        "nielsen_conv1",
        "--devices",
        "1",
        "--augment",
        "none",
    ]
    numbers = ["--epochs", str(EPOCHS), "--batch-size", "64", "--save-every", str(EVERY), "--learning-rate", rate]
    return [*train, *numbers, "--out", str(out), *more]


def _jaxconv_final(out: Path) -> str | None:
    """Of the whole last state, optimizer included, and of `metrics.jsonl`."""
    if not (out / "result.json").exists():
        return None
    return _digest(_stored(out / "checkpoints" / str(STEPS)), (out / "metrics.jsonl").read_bytes())


def _stored(checkpoint: Path) -> dict[str, np.ndarray]:
    return load_file(checkpoint / "state.safetensors")


def _loop_command(loop: str, out: Path, rate: str) -> list[str]:
    numbers = ["--steps", str(STEPS), "--save-every", str(EVERY), "--learning-rate", rate]
    return [sys.executable, str(LOOPS), loop, "--out", str(out), "--final", str(_final(out)), *numbers]


def _final(out: Path) -> Path:
    """Where a loop leaves its final parameters: not on the disk that is made full."""
    return WORK / f"final-{hashlib.sha256(str(out).encode()).hexdigest()[:16]}.npz"


def _loop_final(out: Path) -> str | None:
    path = _final(out)
    if not path.exists():
        return None
    with np.load(path) as stored:
        digest = _digest(dict(stored))
    path.unlink()
    return digest


def _orbax_arrays(checkpoint: Path) -> list[np.ndarray]:
    import jax
    import orbax.checkpoint as ocp

    inner = checkpoint / "default" if (checkpoint / "default").is_dir() else checkpoint
    with ocp.PyTreeCheckpointer() as checkpointer:
        return [np.asarray(leaf) for leaf in jax.tree.leaves(checkpointer.restore(inner.absolute()))]


def _ours(*more: str) -> System:
    return System(
        program="jaxconv",
        command=lambda out, rate: _jaxconv_command(out, rate, *more),
        checkpoints=lambda out: out / "checkpoints",
        prefix="",
        finals=_jaxconv_final,
        arrays=lambda checkpoint: list(_stored(checkpoint).values()),
    )


def _loop(name: str, prefix: str) -> System:
    return System(
        program="loops",
        command=lambda out, rate: _loop_command(name, out, rate),
        checkpoints=lambda out: out,
        prefix=prefix,
        finals=_loop_final,
        arrays=_orbax_arrays,
    )


SYSTEMS = {
    "jaxconv": _ours(),
    "jaxconv-continue": _ours("--on-save-error", "continue"),
    "orbax-indexed": _loop("orbax-indexed", ""),
    "orbax": _loop("orbax", ""),
    "flax": _loop("flax", "checkpoint_"),
}
