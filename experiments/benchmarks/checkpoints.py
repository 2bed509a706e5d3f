"""What a save costs the training thread, and how long the disk needs, beside Orbax.

Run: `python experiments/benchmarks/checkpoints.py [--rounds 7]`

The state is ResNet-50's with momentum and a moving average (307 MB of float32). Ours: `Checkpoints.save` returns when
the copy is taken; the rest (digests, writing, fsync, rename) happens in a thread. Orbax: `CheckpointManager.save` with
its asynchronous handler, which writes no digests. Both take turns; `blocked` is until the call returns, `whole` until
the checkpoint has its name. The last column is `blocked` of one save a minute in percent of the minute.
"""

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import optax
import orbax.checkpoint as ocp
import tyro

from jaxconv import create_model, functionalize
from jaxconv.train import TrainState, initial_state
from jaxconv.train.checkpoint import Checkpoints, named
from jaxconv.train.parallel import data_mesh, replicate

Save = Callable[[Path, TrainState], tuple[float, float]]


def ours(folder: Path, state: TrainState) -> tuple[float, float]:
    """Seconds until the call returns, and until the checkpoint is on the disk."""
    with Checkpoints(folder) as checkpoints:
        began = time.perf_counter()
        checkpoints.save(state)
        blocked = time.perf_counter() - began
        checkpoints.wait()
        return blocked, time.perf_counter() - began


def orbax(folder: Path, state: TrainState) -> tuple[float, float]:
    """The same for Orbax."""
    with ocp.CheckpointManager(folder) as manager:
        began = time.perf_counter()
        manager.save(1, args=ocp.args.StandardSave(named(state)))
        blocked = time.perf_counter() - began
        manager.wait_until_finished()
        return blocked, time.perf_counter() - began


def main(rounds: int = 7) -> None:
    """Print the table.

    Args:
        rounds: saves of each.
    """
    _, params, batch_stats = functionalize(create_model("resnet50"))
    state = replicate(initial_state(params, batch_stats, optax.sgd(0.1, momentum=0.9), ema=True), data_mesh(1))
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(state)) / 1e6
    systems: dict[str, Save] = {"jaxconv": ours, "Orbax": orbax}
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in systems}
    for _ in range(rounds + 1):
        for name, save in systems.items():
            folder = Path(tempfile.mkdtemp())
            seconds[name].append(save(folder, state))
            shutil.rmtree(folder)
    print(f"jax {jax.__version__}, orbax {ocp.__version__}, {size:.0f} MB; median of {rounds} (lowest to highest)")
    for name, rows in seconds.items():
        blocked, whole = np.array(rows[1:]).T  # the first one warms up
        print(
            f"{name:8} blocked {_spread(blocked)} s   whole {_spread(whole)} s   "
            f"{statistics.median(blocked) / 60:.2%} of the training thread at one save a minute"
        )


def _spread(values: np.ndarray) -> str:
    return f"{np.median(values):.3f} ({values.min():.3f} to {values.max():.3f})"


if __name__ == "__main__":
    tyro.cli(main)
