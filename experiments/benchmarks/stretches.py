"""Training steps a call: what the trainer gains on a CPU by calls of several steps (`jaxconv/train/pieces.py`).

Run: `python experiments/benchmarks/stretches.py --only resnet50 --rounds 5`

The same trainer on random images, which lie on the device: `Trainer.take` step by step (`singly`), and in calls as long
as it makes them itself. Both take turns in one process, with the same program, and must give the same bits. Page faults
are those of one step (getrusage(2), minor faults).
"""

import resource

import alternate
import jax
import numpy as np
import tyro

import jaxconv
from jaxconv.data import Dataset
from jaxconv.train import Experiment, Preprocess, Trainer, make_optimizer, make_schedule

# (network, image, batch, steps of a stretch)
CASES = (
    ("nielsen_conv2", (28, 28, 1), 10, 64),
    ("nielsen_conv2", (28, 28, 1), 128, 32),
    ("resnet18", (64, 64, 3), 64, 8),
    ("mobilenetv2_100", (224, 224, 3), 16, 8),
    ("densenet121", (224, 224, 3), 4, 8),
    ("resnet50", (224, 224, 3), 8, 4),
)
CLASSES = 10


def main(only: tuple[str, ...] = (), rounds: int = 5) -> None:
    """Print one line a case.

    Args:
        only: names of the networks; none means all.
        rounds: how many rounds are kept.
    """
    print(alternate.setting())
    for name, shape, batch, steps in CASES:
        if only and name not in only:
            continue
        trainer = Trainer(experiment(name, shape, batch, steps))
        ways = {"singly": way(trainer, steps, singly=True), "several": way(trainer, steps, singly=False)}
        first, second = (jax.tree.leaves(take()) for take in ways.values())
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True)), "equal bits"
        faults = {key: faults_of(take) / steps for key, take in ways.items()}
        result = alternate.compare(ways, rounds=rounds, block_milliseconds=200, limit_seconds=120)
        each = {key: result.milliseconds(key) / steps for key in ways}
        ratios = sorted(a / b for a, b in zip(result.rounds["singly"], result.rounds["several"]))
        print(
            f"{name:16} b{batch:<4} singly {each['singly']:8.2f} ms {faults['singly']:8,.0f} faults | several "
            f"{each['several']:8.2f} ms {faults['several']:8,.0f} faults | x{result.ratio('singly', 'several'):.2f} "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f}) | others {result.other_cores:.2f} cores",
            flush=True,
        )


def experiment(name, shape, batch, steps) -> Experiment:
    """A network on random bytes."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (batch * steps, *shape), dtype=np.uint8)
    data = Dataset.from_arrays(images, rng.integers(0, CLASSES, len(images)))
    return Experiment(
        model=lambda: jaxconv.functionalize(jaxconv.create_model(name, num_classes=CLASSES)),
        train_data=data,
        eval_data=data,
        preprocess=Preprocess(mean=(0.5,) * shape[-1], std=(0.3,) * shape[-1]),
        schedule=lambda total: make_schedule("constant", total, 0.01),
        optimizer=lambda schedule: make_optimizer("momentum", schedule),
        epochs=1,
        batch_size=batch,
        devices=1,
    )


def way(trainer, steps, *, singly):
    """A function that takes the steps of the first epoch, each time from where it was."""
    state = trainer.initial_state()

    def take():
        nonlocal state
        for _, latest in trainer.take(state, 0, steps, singly=singly):
            state = latest
        return jax.block_until_ready(state)

    return take


def faults_of(take) -> int:
    """Page faults of one call."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    take()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


if __name__ == "__main__":
    tyro.cli(main)
