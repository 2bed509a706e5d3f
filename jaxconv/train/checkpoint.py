"""Checkpoints: a state as a flat dictionary of named arrays, with digests of all that is stored.

<step>/state.safetensors  the arrays; any tool that reads safetensors opens it
<step>/manifest.json      digests of every array and file (`manifest.py`), and what was measured at the step
<step>.partial            being written or deleted; whoever writes next removes it
<step>.damaged            found to be other than what was saved; set aside for whoever wants to know why
"""

import os
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from jaxconv.train.manifest import DamagedError, check_arrays, check_files, read_manifest, write_body, write_manifest
from jaxconv.train.state import TrainState

STATE = "state.safetensors"
LOWER_IS_BETTER = ("loss",)


class CheckpointError(OSError):
    """A checkpoint that could not be written; the message says of which step, and why."""


class NonFiniteError(FloatingPointError):
    """A state holds NaN or infinity: it is not saved, and a run stops; the message says where that came from."""


class Checkpoints:
    """The checkpoints of one run; written in the background, renamed into place when whole, checked when read.

    Args:
        directory: where they lie; made when the first one is saved.
        keep: how many of the newest stay.
        keep_best: a metric ("accuracy", "loss"): the step with its best value stays too.
        say: told of whatever goes wrong without ending the run.
    """

    def __init__(
        self,
        directory: Path,
        *,
        keep: int = 3,
        keep_best: str | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.directory, self._keep, self._keep_best, self._say = directory.absolute(), keep, keep_best, say
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: tuple[int, Future[None]] | None = None
        self._cleaned = False

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.wait()
        except CheckpointError as error:
            if kind is None:
                raise
            self._say(str(error))
        finally:
            self._thread.shutdown()

    def steps(self) -> list[int]:
        """The steps that are stored whole, oldest first."""
        found = self.directory.iterdir() if self.directory.is_dir() else []
        return sorted(int(path.name) for path in found if path.name.isdecimal() and path.is_dir())

    def latest(self) -> int | None:
        """The newest step that is stored whole, or None."""
        return max(self.steps(), default=None)

    def save(self, state: TrainState, metrics: Mapping[str, float | int] | None = None) -> None:
        """Store the state under its step. The copy is taken before this returns, so the state may be donated.

        Args:
            state: every leaf whole on this process.
            metrics: measured at this step, for `keep_best`.

        Raises:
            CheckpointError: if the save before this one failed.
            NonFiniteError: if the state holds a number that is not finite; nothing is saved then.
        """
        self.wait()
        step = int(state.step)
        if step in self.steps():
            self._measured(step, metrics or {})
            return
        host = {name: np.array(leaf, order="C") for name, leaf in named(state).items()}
        _require_finite(host, step)
        self._pending = step, self._thread.submit(self._write, step, host, dict(metrics or {}))

    def poll(self) -> None:
        """Look whether the save in the background has failed, without waiting for it.

        Raises:
            CheckpointError: if it has.
        """
        if self._pending is not None and self._pending[1].done():
            self.wait()

    def wait(self) -> None:
        """Until nothing is being saved any more.

        Raises:
            CheckpointError: if the last save failed.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            try:
                pending[1].result()
            except (OSError, SafetensorError) as error:
                raise CheckpointError(
                    f"the checkpoint of step {pending[0]} could not be saved: {_cause(error)}."
                ) from error

    def restore(self, like: TrainState, step: int | None = None) -> TrainState:
        """The newest good state (or that of `step`) as NumPy arrays; `parallel.replicate` puts it on any devices.

        Steps that turn out damaged are set aside, and `say` is told.

        Args:
            like: a state of the same structure.
            step: which one; the newest good one if None.

        Raises:
            FileNotFoundError: if there is no checkpoint, or none that is good.
            DamagedError: if `step` is given and damaged.
            ValueError: if it is whole and of another structure; the message names the arrays that differ.
        """
        _, stored = self._newest(set_aside=True) if step is None else (step, self._read(step))
        _require_alike(stored, named(like), self.directory)
        return jax.tree.unflatten(jax.tree.structure(like), [stored[name] for name in named(like)])

    def restore_network(self, params: Any, batch_stats: Any) -> tuple[int, Any, Any]:
        """Step, parameters (their moving average where one was kept) and running statistics of the newest good step.

        Args:
            params: a tree of the same structure.
            batch_stats: a tree of the same structure.

        Raises:
            FileNotFoundError: if there is no good checkpoint.
        """
        step, stored = self._newest(set_aside=False)
        which = "ema" if any(name.startswith("ema.") for name in stored) else "params"

        def filled(tree: Any, prefix: str) -> Any:
            return jax.tree.unflatten(jax.tree.structure(tree), [stored[f"{prefix}.{name}"] for name in named(tree)])

        return step, filled(params, which), filled(batch_stats, "batch_stats")

    def _newest(self, *, set_aside: bool) -> tuple[int, Mapping[str, Any]]:
        if set_aside:  # only the run itself does; a run that is over but for its result saves no more
            self._clean()
        for step in reversed(self.steps()):
            try:
                return step, self._read(step)
            except FileNotFoundError:  # it went away meanwhile
                continue
            except DamagedError as error:
                self._say(f"the checkpoint of step {step} is damaged and passed over: {error}")
                if set_aside:
                    self._folder(step).rename(free_name(self.directory, f"{step}.damaged"))
        raise FileNotFoundError(f"no checkpoint under {self.directory}.")

    def _read(self, step: int) -> Mapping[str, Any]:
        folder = self._folder(step)
        if not folder.is_dir():
            raise FileNotFoundError(f"no checkpoint of step {step} under {self.directory}: there are {self.steps()}.")
        body = read_manifest(folder)
        check_files(folder, body)
        try:
            stored = load_file(folder / STATE)
        except (OSError, SafetensorError) as error:
            raise DamagedError(f"{folder / STATE} cannot be read ({error}).") from error
        check_arrays(stored, body)
        return stored

    def _write(self, step: int, host: Mapping[str, np.ndarray], metrics: Mapping[str, float | int]) -> None:
        self._clean()
        partial = self.directory / f"{step}.partial"
        try:
            partial.mkdir(parents=True)
            save_file(dict(host), partial / STATE)
            write_manifest(partial, host, {"step": step, "metrics": dict(metrics)})
            partial.rename(self._folder(step))
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        _flush_folder(self.directory)
        self._prune()

    def _clean(self) -> None:
        """Remove what a process that was killed had not finished, once."""
        if not self._cleaned and self.directory.is_dir():
            for path in self.directory.glob("*.partial"):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        self._cleaned = True

    def _prune(self) -> None:
        steps = self.steps()
        kept = {*steps[-self._keep :], self._best(steps)}
        for step in steps:
            if step not in kept:
                going = self.directory / f"{step}.partial"
                self._folder(step).rename(going)
                shutil.rmtree(going, ignore_errors=True)

    def _measured(self, step: int, metrics: Mapping[str, float | int]) -> None:
        """Add what was measured after the state was saved: a stop saves before the evaluation is over."""
        if not metrics:
            return
        try:
            body = read_manifest(self._folder(step))
            if not body["about"]["metrics"]:
                write_body(self._folder(step), {**body, "about": {**body["about"], "metrics": dict(metrics)}})
                self._prune()
        except DamagedError as error:
            self._say(f"the checkpoint of step {step} is damaged: {error}")
        except OSError as error:
            raise CheckpointError(f"the checkpoint of step {step} could not be described: {_cause(error)}.") from error

    def _best(self, steps: list[int]) -> int | None:
        """The step with the best value of the metric, the later one of equals."""
        values = {}
        for step in steps if self._keep_best else []:
            try:
                values[step] = read_manifest(self._folder(step))["about"]["metrics"][self._keep_best]
            except (DamagedError, KeyError):  # a step between evaluations has none
                continue
        values = {step: value for step, value in values.items() if np.isfinite(value)}
        sign = -1 if self._keep_best in LOWER_IS_BETTER else 1
        return max(values, key=lambda step: (sign * values[step], step), default=None)

    def _folder(self, step: int) -> Path:
        return self.directory / str(step)


def named(tree: Any) -> dict[str, Any]:
    """Every leaf under its path, in the order of `jax.tree.leaves`: `params.c1.kernel`, `opt_state.0.mu.c1.kernel`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def _require_alike(stored: Mapping[str, Any], like: Mapping[str, Any], directory: Path) -> None:
    def described(arrays: Mapping[str, Any]) -> dict[str, str]:
        return {name: f"{array.dtype}{list(array.shape)}" for name, array in arrays.items()}

    there, here = described(stored), described(like)
    rows = [f"{n}: {there.get(n, 'absent')} there, {here.get(n, 'absent')} here" for n in {**here, **there}]
    rows = [row for n, row in zip({**here, **there}, rows) if there.get(n) != here.get(n)]
    if rows:
        raise ValueError(
            f"the checkpoints under {directory} are of another network, optimizer or version of jaxconv: "
            f"{'; '.join(rows[:5])}{f' and {len(rows) - 5} more' if len(rows) > 5 else ''}."
        )


def _cause(error: OSError | SafetensorError) -> str:
    return getattr(error, "strerror", None) or str(error)


def _require_finite(host: Mapping[str, np.ndarray], step: int) -> None:
    bad = [name for name, array in host.items() if array.dtype.kind not in "iub" and not np.isfinite(array).all()]
    if bad:
        raise NonFiniteError(
            f"the state of step {step} must be finite to be saved; {len(bad)} of {len(host)} arrays are not, "
            f"first {', '.join(bad[:3])}."
        )


def free_name(directory: Path, name: str) -> Path:
    """A name that is not taken: the one given, or with a number behind it."""
    path, number = directory / name, 1
    while path.exists():
        path, number = directory / f"{name}-{number}", number + 1
    return path


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
