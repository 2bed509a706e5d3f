"""Checkpoints: Orbax behind three verbs. A state is stored as a flat dictionary of named arrays."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from jaxconv.train.state import TrainState


class Checkpoints:
    """The checkpoints of one run, newest last; written in the background, renamed into place when whole.

    Args:
        directory: where they lie; made when the first one is saved.
        keep: how many of the newest stay.
    """

    def __init__(self, directory: Path, *, keep: int = 3) -> None:
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=False, enable_async_checkpointing=True)
        directory.mkdir(parents=True, exist_ok=True)
        self._manager = ocp.CheckpointManager(directory.absolute(), options=options)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self._manager.wait_until_finished()
        self._manager.close()

    def latest(self) -> int | None:
        """The newest step that is stored whole, or None."""
        return self._manager.latest_step()

    def save(self, state: TrainState) -> None:
        """Store the state under its step. The copy is taken before this returns, so the state may be donated."""
        step = int(state.step)
        if step != self.latest():
            host = {name: np.asarray(leaf) for name, leaf in named(state).items()}
            self._manager.save(step, args=ocp.args.StandardSave(host))

    def restore(self, like: TrainState, step: int | None = None) -> TrainState:
        """The state at `step` (the newest by default), placed as `like` is, which may be on other devices.

        Raises:
            FileNotFoundError: if there is no checkpoint.
        """
        stored = self._read(self.latest() if step is None else step)
        leaves, structure = jax.tree.flatten(like)
        placed = [jax.device_put(stored[name], leaf.sharding) for name, leaf in zip(named(like), leaves, strict=True)]
        return jax.tree.unflatten(structure, placed)

    def restore_network(self, params: Any, batch_stats: Any) -> tuple[Any, Any]:
        """The parameters (their moving average where one was kept) and running statistics of the newest step.

        Args:
            params: a tree of the same structure.
            batch_stats: a tree of the same structure.

        Raises:
            FileNotFoundError: if there is no checkpoint.
        """
        stored = self._read(self.latest())
        which = "ema" if any(name.startswith("ema.") for name in stored) else "params"

        def filled(tree: Any, prefix: str) -> Any:
            return jax.tree.unflatten(jax.tree.structure(tree), [stored[f"{prefix}.{name}"] for name in named(tree)])

        return filled(params, which), filled(batch_stats, "batch_stats")

    def _read(self, step: int | None) -> Mapping[str, Any]:
        if step is None:
            raise FileNotFoundError(f"no checkpoint under {self._manager.directory}.")
        return self._manager.restore(step, args=ocp.args.StandardRestore())


def named(tree: Any) -> dict[str, Any]:
    """Every leaf under its path, in the order of `jax.tree.leaves`: `params.c1.kernel`, `opt_state.0.mu.c1.kernel`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}
