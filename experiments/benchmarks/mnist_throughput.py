"""CPU training throughput of Nielsen's two-convolution network: jaxconv beside plain lax, Keras 3 on JAX and PyTorch.

Network: row 3 of Nielsen 2015, "Neural Networks and Deep Learning", chapter 6 (`nielsen_conv2`, 85,670 parameters),
28x28x1 images, batches of 128, float32, SGD with momentum 0.9. Everyone pools before the sigmoid, takes the same
batches (Keras' `fit` shuffles those of a block), and keeps loss and accuracy. Before anything is timed each must show
that it computes the same function: same number of parameters, same loss on the same weights, before and after five
steps.

* jaxconv: `Trainer.take`, the step that `fit` runs: on-device gather of bytes, preprocessing, network, optimizer.
* lax: the same `Trainer` around a network on `lax.conv_general_dilated` and `lax.reduce_window`, as any library has it.
* Keras: `train_on_batch`, and `fit` over a whole block. PyTorch: both memory layouts, eager and compiled. These get
  images that were made float32 and normalised beforehand, which spares them the preprocessing.

All take turns in one process, in an order that flips every round; a block of `--seconds` follows a step that warms up.
A ratio is the median over the rounds of the ratios within a round, so that a machine that slows down slows down all.
The file is long so that everything that decides the numbers is read in one place.

Command: python experiments/benchmarks/mnist_throughput.py --data-dir FOLDER --json mnist_throughput.json
"""

import importlib
import itertools
import json as jsonlib
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import alternate
import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jax import lax
from rich.console import Console
from rich.table import Table

import jaxconv
from jaxconv.cli.users import answer
from jaxconv.data import Dataset, batch_indices
from jaxconv.train import Experiment, Preprocess, Trainer, make_optimizer, make_schedule

NETWORK, PARAMETERS = "nielsen_conv2", 85_670
BATCH, RATE, SEED = 128, 0.05, 0
PROBE, CHECKED_STEPS, TOLERANCE = 512, 5, 1e-4
PILOT_STEPS, PAUSE_SECONDS, QUIET_CORES = 10, 0.01, 0.12
PACKAGES = ("jax", "jaxlib", "keras", "torch", "numpy")
OURS = "jaxconv"

Peer = Literal["lax", "keras", "torch"]
Layers = list[dict[str, Any]]
"""Kernel and bias of each layer, float32: convolutions (h, w, c, k), dense (in, out)."""


@dataclass(frozen=True)
class Task:
    """What is trained on what: bytes for us, the same images as normalised floats for the others."""

    data: Dataset
    mean: float
    std: float
    params: dict[str, Any]

    @cached_property
    def floats(self) -> np.ndarray:
        """Images (n, 28, 28, 1), as the network takes them."""
        return (self.data.images.astype(np.float32) / 255 - np.float32(self.mean)) / np.float32(self.std)

    @cached_property
    def labels(self) -> np.ndarray:
        """Labels (n,) int64, as Keras and PyTorch want them."""
        return self.data.labels.astype(np.int64)

    def rows(self, step: int) -> np.ndarray:
        """The examples of one step, which jaxconv draws likewise."""
        return batch_indices(SEED, step, length=len(self.data), batch_size=BATCH)

    @cached_property
    def layers(self) -> Layers:
        """The weights for channels last: the dense layer behind the convolutions reads (h, w, c), not (c, h, w)."""
        convs, first, last = self.params["conv"], dict(self.params["fc"][0]), self.params["softmax"]
        first["kernel"] = first["kernel"].reshape(40, 4, 4, 100).transpose(1, 2, 0, 3).reshape(640, 100)
        return [convs[0], convs[1], first, last]


@dataclass(frozen=True)
class Variant:
    """One way to train the network, beginning with the weights of the task.

    Attributes:
        name: the library, and behind a comma which way.
        parameters: how many numbers are trained.
        loss: gives the mean cross-entropy of the first `PROBE` images under the present weights.
        block: `(first, count) -> run`: calling `run` takes these steps and waits for them. Only `run` is timed.
    """

    name: str
    parameters: int
    loss: Callable[[], float]
    block: Callable[[int, int], Callable[[], Any]]


def on_trainer(name: str, task: Task, apply: Callable[..., Any], params: Any) -> Variant:
    """A network in jaxconv's own trainer."""
    probe = Dataset.from_arrays(task.data.images[:PROBE], task.data.labels[:PROBE], classes=task.data.classes)
    experiment = Experiment(
        model=lambda: (apply, params, {}),
        train_data=task.data,
        eval_data=probe,
        preprocess=Preprocess(mean=(task.mean,), std=(task.std,)),
        schedule=lambda total: make_schedule("constant", total, RATE),
        optimizer=lambda schedule: make_optimizer("momentum", schedule),
        epochs=1,
        batch_size=BATCH,
        seed=SEED,
        devices=1,
    )
    trainer = Trainer(experiment)
    state = trainer.initial_state()

    def take(first: int, count: int) -> None:
        nonlocal state
        for _, taken in trainer.take(state, first, first + count):
            state = taken
        jax.block_until_ready(state)

    parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
    return Variant(name, parameters, lambda: float(trainer.evaluate(state)["loss"]), partial(partial, take))


def on_keras(task: Task, *, whole: bool) -> Variant:
    """A Keras model; `whole` trains a block with one `fit`, otherwise each step is a `train_on_batch`."""
    keras = importlib.import_module("keras")
    layers, images, labels = keras.layers, task.floats, task.labels
    convs = [[layers.Conv2D(k, 5), layers.MaxPooling2D(2), layers.Activation("sigmoid")] for k in (20, 40)]
    dense = [layers.Flatten(), layers.Dense(100, activation="sigmoid"), layers.Dense(10)]
    model = keras.Sequential([keras.Input((28, 28, 1)), *convs[0], *convs[1], *dense])
    model.set_weights([layer[kind] for layer in task.layers for kind in ("kernel", "bias")])
    model.compile(
        optimizer=keras.optimizers.SGD(RATE, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )

    def batches(first: int, count: int) -> None:
        for step in range(first, first + count):
            rows = task.rows(step)
            model.train_on_batch(images[rows], labels[rows])

    def fit(first: int, count: int) -> Callable[[], Any]:
        rows = np.concatenate([task.rows(step) for step in range(first, first + count)])
        return partial(model.fit, images[rows], labels[rows], batch_size=BATCH, verbose=0)

    def loss() -> float:
        return model.evaluate(images[:PROBE], labels[:PROBE], batch_size=PROBE, verbose=0, return_dict=True)["loss"]

    name = "Keras, fit" if whole else "Keras, train_on_batch"
    parameters = sum(weight.size for weight in model.get_weights())
    return Variant(name, parameters, loss, fit if whole else partial(partial, batches))


def on_torch(task: Task, *, channels_last: bool, compiled: bool) -> Variant:
    """A PyTorch model in one memory layout, eager or compiled by inductor."""
    torch = importlib.import_module("torch")
    nn, images, labels = torch.nn, torch.from_numpy(task.floats), torch.from_numpy(task.labels)
    model, cross_entropy = torch_model(task), nn.functional.cross_entropy
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9)
    total, correct = torch.zeros(()), torch.zeros((), dtype=torch.int64)

    def batch(rows: Any) -> Any:
        # Images of one channel are both layouts at once: the strides decide which of them the convolution sees.
        return images[rows].permute(0, 3, 1, 2) if channels_last else images[rows].reshape(-1, 1, 28, 28)

    def outputs(x: Any, truth: Any) -> tuple[Any, Any]:
        logits = model(x)
        return cross_entropy(logits, truth), logits

    forward = torch.compile(outputs) if compiled else outputs

    def take(first: int, count: int) -> None:
        for step in range(first, first + count):
            rows = torch.from_numpy(task.rows(step))
            truth = labels[rows]
            value, logits = forward(batch(rows), truth)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total.add_(value.detach(), alpha=BATCH)
            correct.add_((logits.detach().argmax(1) == truth).sum())

    def loss() -> float:
        with torch.no_grad():
            return float(outputs(batch(slice(0, PROBE)), labels[:PROBE])[0])

    name = f"PyTorch, {'channels_last' if channels_last else 'NCHW'} {'compile' if compiled else 'eager'}"
    parameters = sum(weight.numel() for weight in model.parameters())
    return Variant(name, parameters, loss, partial(partial, take))


def torch_model(task: Task) -> Any:
    """The network in PyTorch with the weights of the task."""
    torch = importlib.import_module("torch")
    nn = torch.nn
    convs = (nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Sigmoid(), nn.Conv2d(20, 40, 5), nn.MaxPool2d(2), nn.Sigmoid())
    model = nn.Sequential(*convs, nn.Flatten(), nn.Linear(640, 100), nn.Sigmoid(), nn.Linear(100, 10))
    params = task.params
    with torch.no_grad():
        for place, layer in zip((0, 3, 7, 9), (*params["conv"].values(), params["fc"][0], params["softmax"])):
            kernel = torch.from_numpy(layer["kernel"])
            model[place].weight.copy_(kernel.permute(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T)
            model[place].bias.copy_(torch.from_numpy(layer["bias"]))
    return model


def plain_apply(layers: Layers, batch_stats: Any, x: jax.Array, *, train: bool, key: Any = None) -> tuple[Any, Any]:
    """The network on XLA's own convolution and pool."""
    *convs, hidden, last = layers
    for layer in convs:
        y = lax.conv_general_dilated(x, layer["kernel"], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        y = lax.reduce_window(y, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        x = jax.nn.sigmoid(y + layer["bias"][None, None, None])
    y = jax.nn.sigmoid(x.reshape(x.shape[0], -1) @ hidden["kernel"] + hidden["bias"][None])
    return y @ last["kernel"] + last["bias"][None], batch_stats


def make_task(data_dir: Path | None) -> Task:
    """MNIST where its archives are given, else random bytes; random weights, as Nielsen's softmax starts at zero."""
    rng = np.random.default_rng(SEED)
    if data_dir is None:
        images = rng.integers(0, 256, (60_000, 28, 28, 1), dtype=np.uint8)
        data = Dataset.from_arrays(images, rng.integers(0, 10, 60_000), name="random bytes in the shape of MNIST")
    else:
        data, _ = jaxconv.load_dataset("mnist", data_dir=data_dir)
        assert isinstance(data, Dataset), "MNIST is decoded once"
    _, params, _ = jaxconv.functionalize(jaxconv.create_model(NETWORK))
    params = jax.tree.map(lambda leaf: rng.normal(0, 0.1, leaf.shape).astype(np.float32), params)
    ((mean,), (std,)) = jaxconv.normalization(data)
    return Task(data, float(mean), float(std), params)


def variants(task: Task, peer: str, compiled: bool) -> Iterator[Variant]:
    """The variants of one library; of PyTorch the compiled ones, too, where asked for."""
    if peer == OURS:
        apply, _, _ = jaxconv.functionalize(jaxconv.create_model(NETWORK))
        yield on_trainer(OURS, task, apply, task.params)
    elif peer == "lax":
        yield on_trainer("plain lax", task, plain_apply, task.layers)
    elif peer == "keras":
        yield from (on_keras(task, whole=whole) for whole in (False, True))
    else:
        ways = itertools.product((False, True) if compiled else (False,), (False, True))
        yield from (on_torch(task, compiled=way, channels_last=last) for way, last in ways)


def prepare(
    task: Task, peers: Sequence[str], compiled: bool, say: Callable[[str], None]
) -> tuple[list[Variant], dict, dict[str, str]]:
    """Build every variant and let it learn a little: the variants, what they computed, what cannot run and why."""
    ready, computed, unavailable = [], {}, {}
    for peer in (OURS, *peers):
        if peer in ("keras", "torch") and find_spec(peer) is None:
            unavailable[peer] = f"{peer} is not installed (python -m pip install {peer}); it is left out."
            say(unavailable[peer])
            continue
        for variant in variants(task, peer, compiled):
            try:
                computed[variant.name] = learn(variant)
            except Exception as error:  # whatever a peer's compiler raises, the others are measured
                if peer in (OURS, "lax"):
                    raise
                reason = next(iter(str(error).splitlines()), "no message")
                unavailable[variant.name] = (
                    f"{variant.name} does not run and is left out. {type(error).__name__}: {reason}"
                )
                say(unavailable[variant.name])
            else:
                say(f"{variant.name} is ready: {computed[variant.name]}")
                ready.append(variant)
    return ready, computed, unavailable


def learn(variant: Variant) -> dict[str, float]:
    """What the variant says of itself before and after a few steps; compiles it."""
    loss = variant.loss()
    for step in range(CHECKED_STEPS):
        variant.block(step, 1)()
    return {"parameters": variant.parameters, "loss": loss, f"loss_after_{CHECKED_STEPS}_steps": variant.loss()}


def require_equal(computed: dict[str, dict[str, float]]) -> None:
    """End the program unless all train the same function from the same weights on the same batches."""
    expected = {**computed[OURS], "parameters": PARAMETERS}
    for name, numbers in computed.items():
        for what, number in numbers.items():
            if not abs(number - expected[what]) <= TOLERANCE:
                raise SystemExit(
                    f"All variants must compute the same to {TOLERANCE}: {what} of {name} is {number}, "
                    f"expected {expected[what]}. Nothing was measured."
                )


def images_per_second(variant: Variant, first: int, count: int) -> float:
    """Speed of `count` steps behind one that warms up; it takes `count + 1` steps from `first`."""
    warm, run = variant.block(first, 1), variant.block(first + 1, count)
    time.sleep(PAUSE_SECONDS)  # threads of another library stop spinning
    warm()
    began = time.perf_counter()
    run()
    return count * BATCH / (time.perf_counter() - began)


def measure(
    ready: Sequence[Variant], rounds: int, seconds: float, say: Callable[[str], None]
) -> tuple[dict[str, list[float]], dict[str, int], list[float | None]]:
    """Images a second of each variant and round, steps of its block, cores that others used in each round."""
    pilot = {v.name: images_per_second(v, CHECKED_STEPS, PILOT_STEPS) for v in ready}
    steps = {name: max(1, round(seconds * rate / BATCH)) for name, rate in pilot.items()}
    rates: dict[str, list[float]] = {v.name: [] for v in ready}
    elsewhere = []
    for number in range(rounds):
        began, before = time.perf_counter(), seconds_elsewhere()
        for variant in ready if number % 2 == 0 else reversed(ready):
            count = steps[variant.name]
            first = CHECKED_STEPS + 1 + PILOT_STEPS + number * (count + 1)
            rates[variant.name].append(images_per_second(variant, first, count))
        after, wall = seconds_elsewhere(), time.perf_counter() - began
        elsewhere.append(None if before is None or after is None else max(0.0, after - before) / wall)
        say(f"round {number + 1}/{rounds}: " + "; ".join(f"{name} {rate[-1]:,.0f}" for name, rate in rates.items()))
    return rates, steps, elsewhere


def seconds_elsewhere() -> float | None:
    """CPU seconds that the machine has spent outside of this process (proc(5), /proc/stat); None but on Linux."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return None
    user, nice, system, _, _, irq, softirq, steal, *_ = map(int, stat.read_text().splitlines()[0].split()[1:])
    own = os.times()
    busy = user + nice + system + irq + softirq + steal
    return busy / os.sysconf("SC_CLK_TCK") - own.user - own.system


def quartiles(values: Sequence[float]) -> dict[str, float]:
    """The middle half of the values."""
    return dict(zip(("lower_quartile", "median", "upper_quartile"), np.percentile(values, (25, 50, 75)).tolist()))


def summarise(rates: dict[str, list[float]], steps: dict[str, int]) -> tuple[dict[str, Any], dict[str, str]]:
    """The numbers of each variant, and the fastest variant of each library."""
    table = {
        name: {
            "images_per_second": {**quartiles(values), "rounds": values},
            "steps_a_block": steps[name],
            "jaxconv_times_as_fast": quartiles([ours / value for ours, value in zip(rates[OURS], values)]),
        }
        for name, values in rates.items()
    }
    fastest: dict[str, str] = {}
    for name in sorted(table, key=lambda name: table[name]["images_per_second"]["median"]):
        fastest[name.split(",")[0]] = name
    return table, fastest


def machine() -> dict[str, Any]:
    """Processor, cores, system and versions."""
    versions = {"python": platform.python_version(), "jaxconv": jaxconv.__version__}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "processor": alternate.processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "versions": versions,
    }


def show(report: dict[str, Any]) -> None:
    """Print the table."""
    busy = [cores for cores in report["cores_used_elsewhere"] if cores is not None]
    table = Table(
        title=f"Training {NETWORK}: batch {BATCH}, float32, {report['data']}",
        caption=f"Medians of {report['rounds']} rounds (quartiles). *: the fastest of its library.\n"
        + (f"Other processes used up to {max(busy):.2f} cores." if busy else ""),
    )
    for heading in ("", "images/s", "ms a step", "jaxconv is ... times as fast", "steps a block"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, row in report["variants"].items():
        speed, ratio = row["images_per_second"], row["jaxconv_times_as_fast"]
        table.add_row(
            name + (" *" if name in report["fastest"].values() else ""),
            f"{speed['median']:,.0f} ({speed['lower_quartile']:,.0f} to {speed['upper_quartile']:,.0f})",
            f"{1e3 * BATCH / speed['median']:.2f}",
            f"{ratio['median']:.2f} ({ratio['lower_quartile']:.2f} to {ratio['upper_quartile']:.2f})",
            str(row["steps_a_block"]),
        )
    console = Console() if sys.stdout.isatty() else Console(width=120)
    console.print(table)
    here = report["machine"]
    console.print(f"{here['processor']}, {here['cores']} cores;", *(f"{k} {v}" for k, v in here["versions"].items()))
    for reason in report["unavailable"].values():
        console.print(reason, markup=False)
    if busy and max(busy) > QUIET_CORES:
        console.print(f"The machine was not quiet (more than {QUIET_CORES} cores used elsewhere): measure again.")


def throughput(
    *,
    rounds: int = 7,
    seconds: float = 10.0,
    against: tuple[Peer, ...] = ("lax", "keras", "torch"),
    compiled: bool = True,
    data_dir: Path | None = None,
    json: Path | None = None,
) -> int:
    """Measure how fast jaxconv and its peers train Nielsen's two-convolution network on the CPU.

    Args:
        rounds: How often each takes its turn.
        seconds: Length of a turn, in which `Keras, fit` is called once.
        against: Which peers take part.
        compiled: Whether torch.compile is among PyTorch's ways; what it leaves in the process slows the others, too.
        data_dir: Where the MNIST archives lie. Default: random images of the same shape.
        json: File that takes every number, each round's too.
    """
    if rounds < 1:
        raise ValueError(f"rounds must be positive; got {rounds}.")
    if not 0 < seconds < float("inf"):
        raise ValueError(f"seconds must be positive; got {seconds}.")
    jax.config.update("jax_platforms", "cpu")
    os.environ["KERAS_BACKEND"] = "jax"
    say = partial(print, file=sys.stderr, flush=True)
    task = make_task(data_dir)
    say(f"Data: {task.data.name}.")
    ready, computed, unavailable = prepare(task, list(dict.fromkeys(against)), compiled, say)
    require_equal(computed)
    rates, steps, elsewhere = measure(ready, rounds, seconds, say)
    table, fastest = summarise(rates, steps)
    report = {
        "network": NETWORK,
        "data": task.data.name,
        "batch": BATCH,
        "rounds": rounds,
        "seconds_a_block": seconds,
        "machine": machine(),
        "computed": computed,
        "variants": table,
        "fastest": fastest,
        "unavailable": unavailable,
        "cores_used_elsewhere": elsewhere,
    }
    if json is not None:
        json.write_text(jsonlib.dumps(report, indent=2) + "\n")
    show(report)
    return 0


if __name__ == "__main__":
    sys.exit(answer(lambda: tyro.cli(throughput)))
