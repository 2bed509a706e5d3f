"""What timm and torchvision publish with each network: `published.csv`, read into rows of our tables.

The file has a line for every published checkpoint, a network's default one first, taken from timm 1.0.31 and
torchvision 0.28.0: where the weights are, how images are prepared for them, which layers are first and last (in our
names), and (on the first line) how many parameters the network has. A network without weights has one line, without a
tag. `experiments/tables/published.py` writes it.
"""

import csv
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jaxconv.models.network import ModelInfo, Network, Variant

_FILE = Path(__file__).with_name("published.csv")


def variants(
    build: Callable[..., Network], source: str, table: Mapping[str, Mapping[str, Any]], *, library: str = "timm"
) -> dict[str, Variant]:
    """The rows of a family: what each network is built with, beside what is published of it.

    Args:
        build: makes the network from the settings.
        source: the publication.
        table: name -> settings.
        library: whose names these are, "timm" or "torchvision".
    """
    return {name: Variant(build, published_info(name, source, library), settings) for name, settings in table.items()}


def published_info(name: str, source: str, library: str = "timm") -> ModelInfo:
    """What `library` publishes of the network `name`, with its default checkpoint's preprocessing."""
    row = published_rows(name, library)[0]
    return ModelInfo(name, source, int(row["parameters"]), **checkpoint_info(row), tag=row["tag"])


def checkpoint_info(row: Mapping[str, str]) -> dict[str, Any]:
    """What a line of the file says of its checkpoint, as `ModelInfo` calls it."""
    return {
        "input_size": (int(row["height"]), int(row["width"])),
        "fixed_input_size": row["fixed"] == "1",
        "num_classes": int(row["num_classes"]),
        "in_chans": int(row["in_chans"]),
        "mean": _numbers(row["mean"]),
        "std": _numbers(row["std"]),
        "interpolation": row["interpolation"],
        "crop_pct": float(row["crop_pct"]),
        "crop_mode": row["crop_mode"],
    }


def published_rows(name: str, library: str = "timm") -> list[dict[str, str]]:
    """The lines of the file about one network, the default checkpoint first; none where nothing is published."""
    return _rows().get((library, name), [])


@cache
def _rows() -> dict[tuple[str, str], list[dict[str, str]]]:
    found: dict[tuple[str, str], list[dict[str, str]]] = {}
    with _FILE.open(newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault((row["library"], row["name"]), []).append(row)
    return found


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split()))
