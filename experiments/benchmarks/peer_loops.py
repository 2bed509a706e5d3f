"""Two training loops as other libraries' own documentation writes them, for `peer_faults.py`; each a command.

orbax          `orbax.checkpoint.CheckpointManager` as in its guide: asynchronous, max_to_keep=3, an interval in steps,
               restore of `latest_step()`. The data come from an iterator that is made anew at each start.
orbax-indexed  the same, but the batch is computed from the seed and the step: the best that a user of it can do.
flax           `flax.training.checkpoints` as in Flax's ImageNet example (examples/imagenet/train.py): restore, then
               `zip(range(step_offset, steps), iterator)` over a new iterator, and save with keep=3.

Network, data, optimizer and step are the same for all; they differ in nothing but how they save and go on.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxconv
from jaxconv import functional as F

BATCH = 64
Batch = tuple[np.ndarray, np.ndarray]
State = dict[str, Any]


def batches(seed: int, start: int) -> Iterator[Batch]:
    """Batches of the digits from step `start` on: epochs of shuffled images, the order drawn from (seed, epoch)."""
    data, _ = jaxconv.load_dataset("digits")
    per_epoch = len(data) // BATCH
    step = start
    while True:
        order = np.random.default_rng([seed, step // per_epoch]).permutation(len(data))
        rows = order[step % per_epoch * BATCH :][:BATCH]
        yield data.gather(rows)
        step += 1


def make_step(rate: float) -> tuple[State, Callable[[State, np.ndarray, np.ndarray], State]]:
    """The initial state of Nielsen's first convolutional network on the digits, and one step of Adam."""
    apply, params, stats = jaxconv.functionalize(jaxconv.create_model("nielsen_conv1", in_chans=1, num_classes=10))
    optimizer = optax.adam(rate)

    @jax.jit
    def step(state: State, images: np.ndarray, labels: np.ndarray) -> State:
        x = jax.image.resize(jnp.asarray(images, jnp.float32) / 255, (BATCH, 28, 28, 1), "linear")

        def loss(params: Any) -> jax.Array:
            return F.cross_entropy(apply(params, stats, x, train=True)[0], jnp.asarray(labels))

        updates, opt_state = optimizer.update(jax.grad(loss)(state["params"]), state["opt_state"])
        params = optax.apply_updates(state["params"], updates)
        return {"step": state["step"] + 1, "params": params, "opt_state": opt_state}

    return {"step": jnp.int32(0), "params": params, "opt_state": optimizer.init(params)}, step


def restored(state: State) -> int:
    """The step from which a run goes on, said for whoever watches it."""
    print(f"continuing after step {int(state['step'])}", flush=True)
    return int(state["step"])


@contextmanager
def saying(step: int) -> Iterator[None]:
    """An exception gets a note of the step at which it was raised, which may be later than the save that failed."""
    try:
        yield
    except Exception as error:
        error.add_note(f"raised at step {step}")
        raise


def with_orbax(out: Path, steps: int, every: int, rate: float, *, indexed: bool) -> State:
    """Train with `CheckpointManager`."""
    import orbax.checkpoint as ocp

    state, step = make_step(rate)
    options = ocp.CheckpointManagerOptions(max_to_keep=3, save_interval_steps=every, enable_async_checkpointing=True)
    with ocp.CheckpointManager(out.absolute(), options=options) as manager:
        latest = manager.latest_step()
        if latest is not None:
            abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, state)
            state = manager.restore(latest, args=ocp.args.StandardRestore(abstract))
        start = restored(state)
        for number, batch in zip(range(start, steps), batches(0, start if indexed else 0), strict=False):
            state = step(state, *batch)
            with saying(number + 1):
                manager.save(number + 1, args=ocp.args.StandardSave(state))
        manager.wait_until_finished()
    return state


def with_flax(out: Path, steps: int, every: int, rate: float) -> State:
    """Train with `flax.training.checkpoints`."""
    from flax.training import checkpoints

    state, step = make_step(rate)
    state = checkpoints.restore_checkpoint(out.absolute(), state)
    start = restored(state)
    for number, batch in zip(range(start, steps), batches(0, 0), strict=False):
        state = step(state, *batch)
        if (number + 1) % every == 0 or number + 1 == steps:
            with saying(number + 1):
                checkpoints.save_checkpoint(out.absolute(), jax.device_get(state), number + 1, keep=3)
    return state


LOOPS: dict[str, Callable[[Path, int, int, float], State]] = {
    "orbax": lambda *given: with_orbax(*given, indexed=False),
    "orbax-indexed": lambda *given: with_orbax(*given, indexed=True),
    "flax": with_flax,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, then write the final parameters to a file of their own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("loop", choices=LOOPS)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--final", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=270)
    parser.add_argument("--save-every", type=int, default=5)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    given = parser.parse_args(arguments)
    state = LOOPS[given.loop](given.out, given.steps, given.save_every, given.learning_rate)
    leaves = jax.tree.leaves(state["params"])
    np.savez(given.final, *[np.asarray(leaf) for leaf in leaves])


if __name__ == "__main__":
    main()
