"""Published weights: which checkpoint, from where, and how its first and last layers are fitted to the network."""

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

import numpy as np

from jaxconv.models.load import SOURCES, LoadReport, load_weights, state_variables
from jaxconv.models.network import ModelInfo, Network
from jaxconv.models.published import checkpoint_info, published_rows
from jaxconv.weights import read_weights
from jaxconv.weights.hub import FILES, hub_file

AUXILIARY = ("aux1", "aux2", "AuxLogits")
"""Heads that published weights may hold and a network without `aux_logits` has no use for."""
_UNPUBLISHED = MappingProxyType({"library": "timm", "first_conv": "", "classifier": "", "num_classes": "0"})
"""The line of a network that stands in none: its weights are taken as they are."""


def checkpoint_row(name: str, tag: str) -> Mapping[str, str]:
    """The line of `published.csv` about a network's checkpoint; "" for the default one, timm's before torchvision's.

    Raises:
        ValueError: if nothing is published of the network, or it has no checkpoint of that tag.
    """
    rows = [row for row in _rows(name) if row["weights"]]
    if not rows:
        raise ValueError(f"No published weights are known for {name}: pretrained is not possible for it.")
    if not tag:
        return rows[0]
    tags = {row["tag"]: row for row in rows}
    if tag not in tags:
        close = get_close_matches(tag, tags, n=3, cutoff=0.3)
        raise ValueError(f"{name} has no checkpoint {tag!r}: it has {', '.join(close or tags)}.")
    return tags[tag]


def with_checkpoint(info: ModelInfo, tag: str) -> ModelInfo:
    """`info` with the classes and the preprocessing of the checkpoint `tag`; "" for the default one."""
    row = checkpoint_row(info.name, tag)
    return replace(info, **checkpoint_info(row), tag=row["tag"])


def load_pretrained(model: Network, tag: str, source: bool | str | Path) -> LoadReport:
    """Fills a network with a published checkpoint, its first and last layers fitted as timm does.

    A classifier for another number of classes stays as it was drawn; a first convolution for other channels than three
    has the published kernels summed (one channel) or repeated and scaled by 3 / channels.

    Args:
        model: the network.
        tag: of the checkpoint; "" for the default one.
        source: True for the Hugging Face hub (or its cache), else a file, or a folder with model.safetensors or
            pytorch_model.bin (or the index of either), in timm's names or torchvision's. It need not be published.

    Raises:
        ValueError: if there is no such checkpoint, or it does not fit.
    """
    name = model.info.name
    row = checkpoint_row(name, tag) if source is True or tag else next(iter(_rows(name)), _UNPUBLISHED)
    place = hub_file(row["weights"]) if source is True else _local(Path(str(source)))
    state = read_weights(place)
    library = _library(model, list(state), row["library"])
    ours = SOURCES[library](name, list(state))
    state = {ours[name]: value for name, value in state.items()}
    for layer in row["first_conv"].split():
        _fit_first(state, f"{layer}.weight", model.info.in_chans)
    refitted = () if int(row["num_classes"]) == model.info.num_classes else tuple(row["classifier"].split())
    absent = tuple(name for name in AUXILIARY if getattr(model, name, None) is None)
    state = {name: value for name, value in state.items() if not _within(name, refitted + absent)}
    report = load_weights(model, state, source=library, strict=False)
    missing = [name for name in report.missing if not _within(name, refitted)]
    if missing or report.unexpected or report.misshapen:
        raise ValueError(f"The checkpoint {place} does not fit {name}: {report}.")
    return report


def _rows(name: str) -> list[dict[str, str]]:
    """All lines about a network, those with weights first."""
    rows = [*published_rows(name), *published_rows(name, "torchvision")]
    return sorted(rows, key=lambda row: not row["weights"])


def _library(model: Network, names: list[str], published: str) -> str:
    """Whose names these are: the publishing library's, unless those of the other fit more of the network."""
    own = state_variables(model)
    fitting = {
        library: sum(ours in own for ours in rename(model.info.name, names).values())
        for library, rename in SOURCES.items()
    }
    return max(fitting, key=lambda library: (fitting[library], library == published))


def _within(name: str, layers: tuple[str, ...]) -> bool:
    return any(name == layer or name.startswith(f"{layer}.") for layer in layers)


def _local(path: Path) -> Path:
    if not path.is_dir():
        return path
    names = (*FILES, *(f"{name}.index.json" for name in FILES))
    found = [path / name for name in names if (path / name).exists()]
    if not found:
        raise ValueError(f"{path} holds none of {', '.join(names)}.")
    return found[0]


def _fit_first(state: dict[str, np.ndarray], name: str, in_chans: int) -> None:
    """Fits a first convolution (out, 3, h, w) to other input channels."""
    if in_chans == 3 or name not in state:
        return
    kernel = state[name].astype(np.float32)
    out, channels, height, width = kernel.shape
    if channels % 3:
        raise ValueError(f"{name} takes {channels} channels, not 3 or a multiple: it cannot be fitted to {in_chans}.")
    # With space to depth in front of it, a stem sees blocks of pixels: each pixel's channels are fitted by themselves.
    split = kernel.reshape(out, channels // 3, 3, height, width)
    if in_chans == 1:
        fitted = split.sum(2, keepdims=True)
    else:
        repeated = np.tile(split, (1, 1, -(-in_chans // 3), 1, 1))[:, :, :in_chans]
        fitted = repeated * np.float32(3 / in_chans)
    state[name] = fitted.reshape(out, -1, height, width)
