"""`jaxconv eval`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.table import Table

from jaxconv.cli.knobs import LOSSES
from jaxconv.cli.restored import Restored, warn
from jaxconv.cli.show import show
from jaxconv.data import AnyDataset, load_dataset
from jaxconv.train import RunError
from jaxconv.train.differences import differences
from jaxconv.train.evaluate import evaluate as measure
from jaxconv.train.parallel import compile_evaluation, data_mesh, replicate
from jaxconv.train.step import make_eval_step


def evaluate(
    run: tyro.conf.Positional[Path],
    *,
    data_dir: Path | None = None,
    batch_size: int = 256,
    devices: int | None = None,
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> int:
    """Measure a trained network on its test images, each counted once.

    Args:
        run: directory that `jaxconv train` wrote.
        data_dir: where archives or prepared sets lie, as for `jaxconv train`.
        batch_size: images at a time; the result does not depend on it.
        devices: how many share a batch. Default: all.
        as_json: print a JSON object instead of a table.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be positive; got {batch_size}.")
    model = Restored.open(run)
    mesh = data_mesh(devices)
    data = model.run.record["data"]
    _, test = load_dataset(data["name"], data_dir=data_dir, image_size=model.run.settings["image_size"])
    _require_same(run, data, test)
    for why in test.left_out.values():
        warn(f"bad image, left out: {why}")
    step = make_eval_step(model.apply, loss=LOSSES[model.run.settings["loss"]], preprocess=model.preprocess)
    params, batch_stats = replicate((model.params, model.batch_stats), mesh)
    size = -(-min(batch_size, len(test)) // mesh.size) * mesh.size
    compiled = compile_evaluation(step, mesh, batch_arguments=3)
    metrics = measure(compiled, params, batch_stats, test, batch_size=size, mesh=mesh)
    left_out = {"left_out": len(test.left_out)} if test.left_out else {}
    if as_json:
        print(json.dumps({"run": str(run), "step": model.step, "data": data["name"], **metrics, **left_out}))
        return 0
    table = Table(show_header=False)
    table.add_row("test accuracy", f"{metrics['accuracy']:.2%}  ({metrics['correct']} of {metrics['images']} images)")
    table.add_row("test loss", f"{metrics['loss']:.4f}")
    table.add_row("model, data", f"{model.run.record['model']['name']}, {data['name']}")
    if left_out:
        table.add_row("left out", f"{len(test.left_out)} images that cannot be used")
    table.add_row("checkpoint", f"step {model.step} of {run}")
    show(table)
    return 0


def _require_same(run: Path, recorded: Mapping[str, Any], test: AnyDataset) -> None:
    """Refuse labels that are not the network's, and images that are brought to another shape."""
    now = {"classes": list(test.classes), "image_shape": list(test.image_shape)}
    rows = differences({name: recorded[name] for name in now if name in recorded}, now, lenient=True)
    if rows:
        raise RunError(
            f"a network is measured on data like those it was trained on; {recorded['name']} is no longer what {run} "
            f"was trained on ({'; '.join(rows)})."
        )
