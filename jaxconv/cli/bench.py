"""`jaxconv bench`."""

import csv
import difflib
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import tyro
from rich.table import Column, Table

from jaxconv.cli.measured import Mode, Setting, measured
from jaxconv.cli.show import show
from jaxconv.cli.users import about
from jaxconv.models import list_models, model_info


def bench(
    models: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="NETWORK")],
    *,
    mode: tuple[Mode, ...] = ("infer",),
    batch_size: Annotated[int | None, tyro.conf.arg(metavar="IMAGES")] = None,
    size: tuple[int, int] | None = None,
    dtype: Literal["float32", "bfloat16", "float16"] = "float32",
    calls: int = 40,
    limit: Annotated[float, tyro.conf.arg(metavar="SECONDS")] = 20.0,
    csv_file: Annotated[Path | None, tyro.conf.arg(name="csv", metavar="FILE")] = None,
    force: bool = False,
) -> int:
    """Measure how fast networks run here: images a second, milliseconds a step, compilation, memory.

    One device is used. Times are medians over single calls, each waited for, after some that are not counted.

    Args:
        models: names, or patterns with * and ? (quote them).
        mode: infer, train, or both. train is forward, backward and SGD with momentum, as `jaxconv train` takes a step.
        batch_size: images a call. Default: 256 as in timm's tables, and 8 on a CPU.
        size: height and width of the images in pixels. Default: what each network was published for.
        dtype: in which the networks compute; parameters are float32 always.
        calls: how many calls to count.
        limit: seconds after which no further call of a network begins; three are counted always.
        csv_file: write a row a network, in the columns of timm's benchmark results and some more.
        force: replace the file if it exists.
    """
    batch_size = (8 if jax.default_backend() == "cpu" else 256) if batch_size is None else batch_size
    for name, value in (("batch_size", batch_size), ("calls", calls), ("limit", limit)):
        if not value > 0:
            raise ValueError(f"{name} must be positive; got {value}.")
    if not mode:
        raise ValueError("mode must be infer, train, or both; got none.")
    if csv_file is not None and csv_file.exists() and not force:
        raise ValueError(f"{csv_file} exists; --force replaces it.")
    names = chosen(models)
    sizes = {name: model_info(name).size_for(size) for name in names}
    if csv_file is not None:
        with about("--csv"):
            csv_file.write_text("")  # a folder that is not there is said before the work, not after it
    rows, failed = [], 0
    for number, name in enumerate(names, start=1):
        say(f"[{number}/{len(names)}] {name}: {batch_size} images of {sizes[name][0]}x{sizes[name][1]}, {dtype}")
        row = measured(name, mode, Setting(batch_size, sizes[name], dtype, calls, limit), say)
        failed += "error" in row
        rows.append(row)
        if csv_file is not None:
            write(csv_file, [row for row in rows if "error" not in row])
    if len(rows) > failed:
        show(table(rows, mode))
    return 1 if failed else 0


def chosen(models: tuple[str, ...]) -> list[str]:
    """The networks that names and patterns stand for, each once.

    Raises:
        ValueError: if there is none of a name or pattern; the message lists the closest names.
    """
    names: list[str] = []
    for given in models:
        found = list_models(given) if set(given) & set("*?[") else [given]
        if not found:
            close = difflib.get_close_matches(given.strip("*?"), list_models(), cutoff=0.4) or list_models()[:5]
            raise ValueError(f"no network matches {given!r}; close names are {', '.join(close)}.")
        names += found
    if not names:
        raise ValueError("models must name at least one network; got none.")
    for name in names:
        model_info(name)
    return list(dict.fromkeys(names))


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """The rows as a table of text, anew after every network: what was measured is never lost."""
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def table(rows: list[dict[str, Any]], modes: tuple[Mode, ...]) -> Table:
    """What a person reads."""
    columns = ("images/s", "ms a step (quartiles)", "compile s", "MiB", "G multiply-adds/s")
    result = Table("network", "mode", *[Column(name, justify="right") for name in columns])
    for row in rows:
        for mode in modes if "error" not in row else ():
            low, high = row[f"{mode}_step_time_quartiles"].split()
            result.add_row(
                row["model"],
                mode,
                f"{row[f'{mode}_samples_per_sec']:,.1f}",
                f"{row[f'{mode}_step_time']:.1f} ({float(low):.1f} to {float(high):.1f})",
                f"{row[f'{mode}_compile_seconds']:.1f}",
                f"{row[f'{mode}_memory_mib']:,.0f}",
                f"{row[f'{mode}_gmacs_per_sec']:,.1f}",
            )
    return result


def say(text: str) -> None:
    """Progress, beside the results."""
    print(text, file=sys.stderr, flush=True)
