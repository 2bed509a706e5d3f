"""`jaxconv train`."""

import time
from pathlib import Path
from typing import Annotated

import tyro
from rich.table import Table

from jaxconv.cli.knobs import Knobs, build_experiment
from jaxconv.cli.show import show
from jaxconv.cli.upkeep import Upkeep
from jaxconv.train import Experiment, Result


def train(
    knobs: Annotated[Knobs, tyro.conf.arg(name="")],
    upkeep: Annotated[Upkeep, tyro.conf.arg(name="")],
    *,
    quiet: bool = False,
) -> int:
    """Train a network and measure it on every test image.

    With no flag: LeNet-5 on the 1,797 handwritten digits inside the package.

    Args:
        knobs: what to train.
        upkeep: where, and how it is kept alive.
        quiet: show nothing but the table of results.
    """

    def run(out: Path, first: bool) -> int:
        experiment = build_experiment(knobs, progress=not quiet and first)
        if not quiet and first:
            print(
                f"{knobs.model} on {knobs.data}: {len(experiment.train_data):,} training images, "
                f"{len(experiment.eval_data):,} test images, {experiment.total_steps:,} steps; run directory {out}"
            )
        result = upkeep.fit(experiment, out, progress=not quiet)
        if first:
            report(experiment, result)
        return 0

    return upkeep.run(Path("runs") / f"{knobs.model}-{Path(knobs.data).name}-{time.strftime('%Y%m%d-%H%M%S')}", run)


def report(experiment: Experiment, result: Result) -> None:
    """Print the table of results and where the run lies."""
    metrics = result.metrics
    table = Table(title=None, show_header=False)
    table.add_row("test accuracy", f"{metrics['accuracy']:.2%}  ({metrics['correct']} of {metrics['images']} images)")
    table.add_row("test loss", f"{metrics['loss']:.4f}")
    bad, left_out = len(experiment.train_data.bad), len(experiment.eval_data.left_out)
    if bad or left_out:
        table.add_row(
            "bad images", f"{bad} replaced in training, {left_out} left out of the test; named in bad_images.jsonl"
        )
    table.add_row("epochs, steps", f"{experiment.epochs}, {result.steps:,}")
    if result.images_per_second:
        table.add_row("training speed", f"{result.images_per_second:,.0f} images/s")
    if result.params is None:
        table.add_row("time", "this run had been finished before: nothing was left to do")
    else:
        table.add_row("time", f"{result.seconds:.1f} s, of which {result.compile_seconds:.1f} s until the first step")
    show(table)
    print(f"run directory: {result.directory}")
