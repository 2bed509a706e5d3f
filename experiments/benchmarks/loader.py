"""Images a second that the loader decodes from a folder of JPEG files: threads beside worker processes.

Each way reads the same batches of the training split, in the order of the steps, decoded and cropped to `--image-size`;
the batches are compared first. The ways take turns, in an order that flips every round; a ratio is the median over the
rounds of the ratios within a round. On a machine that others use the clock says more about them; the processors' time,
workers included, is what then compares. The files are read once before, so it is not the disk that is measured.

`serial` decodes in the calling thread. `no decoding` is what a worker process could reach if decoding took no time: how
fast decoded batches come out of it.

Command: python experiments/benchmarks/loader.py FOLDER
"""

import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import tyro
from blank_records import Blank
from rich.console import Console
from rich.table import Table

from jaxconv.cli.users import answer
from jaxconv.data import Loader, StreamedDataset, batch_indices, batches
from jaxconv.data.folder import FolderRecords, ImageFolder
from jaxconv.data.prefetch import Batch

SEED = 0


class Cost(NamedTuple):
    """What reading took: by the clock, and of the processors."""

    images_per_second: float
    cpu_milliseconds: float


def loader(
    folder: Annotated[Path, tyro.conf.Positional],
    workers: tuple[int, ...] = (1, 2),
    image_size: int = 160,
    batch_size: int = 128,
    batches_a_round: int = 16,
    rounds: int = 5,
) -> int:
    """Measure how fast the loader decodes.

    Args:
        folder: train/CLASS/... and val/CLASS/..., as `jaxconv train --data` takes it.
        workers: numbers of worker processes to try beside the threads.
        image_size: side of the square that images are brought to.
        batch_size: images in a batch.
        batches_a_round: batches that each way reads in a round.
        rounds: how often the ways take turns.
    """
    shape = (image_size, image_size, 3)
    images = ImageFolder.open(folder)
    for path, _ in images.splits["train"]:
        path.read_bytes()
    data = StreamedDataset(FolderRecords(images, "train"), shape)
    blank = StreamedDataset(Blank(), shape)
    threads = min(os.cpu_count() or 1, 16)
    loaders = {f"{threads} threads": Loader()} | {f"{n} workers": Loader([data], workers=n) for n in workers}
    streams: dict[str, Iterator[Batch]] = {
        name: batches(data, SEED, 0, 10**9, batch_size, loader=loader) for name, loader in loaders.items()
    }
    streams["serial"] = (
        data.gather(batch_indices(SEED, s, length=len(data), batch_size=batch_size)) for s in range(10**9)
    )
    loaders["no decoding, 1 worker"] = Loader([blank], workers=1)
    streams["no decoding, 1 worker"] = batches(
        blank, SEED, 0, 10**9, batch_size, loader=loaders["no decoding, 1 worker"]
    )
    _require_equal(streams)
    names = list(streams)
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            costs[name].append(_cost(streams[name], loaders.get(name), batches_a_round))
    for each in loaders.values():
        each.close()
    _show(costs, f"{threads} threads")
    return 0


def _require_equal(streams: dict[str, Iterator[Batch]]) -> None:
    """Every way gives the same first batch; it is also what starts the workers."""
    first = {name: next(stream) for name, stream in streams.items() if not name.startswith("no decoding")}
    expected = first["serial"]
    for name, batch in first.items():
        if not all(np.array_equal(a, b) for a, b in zip(batch, expected)):
            raise ValueError(f"all ways must read the same batches; {name} read others than serial.")


def _cost(stream: Iterator[Batch], loader: Loader | None, count: int) -> Cost:
    """From the moment that what had been read ahead is used up."""
    for _ in range(4):
        next(stream)
    start, cpu = time.perf_counter(), _cpu_seconds(loader)
    images = sum(len(next(stream)[1]) for _ in range(count))
    return Cost(images / (time.perf_counter() - start), 1000 * (_cpu_seconds(loader) - cpu) / images)


def _cpu_seconds(loader: Loader | None) -> float:
    """Of this process and of the loader's workers."""
    pids = [worker.pid for worker in loader.workers] if loader else []
    fields = [Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split() for pid in pids]
    return time.process_time() + sum(int(f[11]) + int(f[12]) for f in fields) / os.sysconf("SC_CLK_TCK")


def _show(costs: dict[str, list[Cost]], base: str) -> None:
    table = Table("", "images/s, median (least to most)", f"times {base}", "ms of CPU an image (least to most)")
    for name, rows in costs.items():
        rates, cpu = [row.images_per_second for row in rows], [row.cpu_milliseconds for row in rows]
        ratio = statistics.median(a.images_per_second / b.images_per_second for a, b in zip(rows, costs[base]))
        table.add_row(
            name,
            f"{statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})",
            f"{ratio:.2f}",
            f"{statistics.median(cpu):.2f} ({min(cpu):.2f} to {max(cpu):.2f})",
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    raise SystemExit(answer(lambda: tyro.cli(loader)))
