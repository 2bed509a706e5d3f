"""From the weights of a reference implementation to a network of ours, with a report of what did not fit."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from jaxconv.models.network import Network
from jaxconv.nn import BatchNorm
from jaxconv.nn.variables import read
from jaxconv.weights import (
    from_reference,
    read_weights,
    reference_name,
    reference_shape,
    to_reference,
    write_safetensors,
)
from jaxconv.weights.torchvision import norm_settings, timm_names

SOURCES = {
    "timm": lambda network, names: {name: name for name in names},
    "torchvision": timm_names,
}
"""Whose state dict -> its names -> ours."""
IGNORED = ("num_batches_tracked",)
"""Last names of entries that a network has no use for."""


@dataclass(frozen=True)
class LoadReport:
    """What loading found, in the names of the reference's state dict.

    Attributes:
        loaded: entries that the network took.
        missing: entries that the network has and the weights lack.
        unexpected: entries of the weights that the network lacks.
        misshapen: entries of both whose shapes differ: name -> (shape in the network, shape in the weights).
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misshapen: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]

    @property
    def complete(self) -> bool:
        """Whether network and weights agree in every name and shape."""
        return not (self.missing or self.unexpected or self.misshapen)

    def __str__(self) -> str:
        shapes = [f"{name} (network {ours}, weights {theirs})" for name, (ours, theirs) in self.misshapen.items()]
        parts = {"missing": self.missing, "unexpected": self.unexpected, "misshapen": shapes}
        said = [f"{len(names)} {what}: {_listed(names)}" for what, names in parts.items() if names]
        return "; ".join([f"{len(self.loaded)} loaded", *said])


def load_weights(
    model: Network, weights: str | Path | Mapping[str, Any], *, source: str = "timm", strict: bool = True
) -> LoadReport:
    """Gives `model`, in place, the parameters and running statistics that a state dict holds.

    Args:
        model: the network, drawn or not.
        weights: a checkpoint file (safetensors, .pth, .npz: see `weights.read_weights`) or name -> array, in the
            reference's names and layout; any floating dtype becomes float32.
        source: whose names these are: "timm", or "torchvision", where they are translated.
        strict: whether anything missing, unexpected or misshapen raises, before the model is touched.

    Raises:
        ValueError: if the file cannot be read, or there is no such source; when strict, if names or shapes differ.
    """
    variables = state_variables(model)
    if source not in SOURCES:
        raise ValueError(f"source is one of {', '.join(SOURCES)}: got {source!r}.")
    used = {name: value for name, value in read_weights(weights).items() if name.rsplit(".", 1)[-1] not in IGNORED}
    ours = SOURCES[source](model.info.name, list(used))
    given = {ours[name]: value for name, value in used.items()}
    shapes = {name: reference_shape(leaf, variable.get_value().shape) for name, (leaf, variable) in variables.items()}
    common = [name for name in variables if name in given]
    if source == "torchvision":
        given |= {name: _fitted(given[name], shapes[name]) for name in common}
    misshapen = {name: (shapes[name], given[name].shape) for name in common if shapes[name] != given[name].shape}
    report = LoadReport(
        loaded=tuple(name for name in common if name not in misshapen),
        missing=tuple(name for name in variables if name not in given),
        unexpected=tuple(name for name in given if name not in variables),
        misshapen=misshapen,
    )
    if strict and not report.complete:
        raise ValueError(f"The weights do not fit the network: {report}.")
    if source == "torchvision":
        _set_norms(model)
    # Copied: jax.device_put may keep the memory itself, to which its owner, such as a torch network, goes on writing.
    values = [from_reference(variables[name][0], np.array(given[name], np.float32)) for name in report.loaded]
    for name, value in zip(report.loaded, jax.device_put(values)):
        variables[name][1].set_value(value)
    return report


def save_weights(model: Network, path: str | Path) -> None:
    """Writes parameters and running statistics as safetensors, in the reference's names and layout.

    `load_weights(model, path)` gives the same bits back; so does timm, where it has the network.

    Raises:
        ValueError: if the network is not drawn yet.
    """
    variables = state_variables(model)
    state = {name: to_reference(leaf, np.asarray(read(node, np.float32))) for name, (leaf, node) in variables.items()}
    write_safetensors(state, Path(path))


def state_variables(model: nnx.Module) -> dict[str, tuple[str, nnx.Variable]]:
    """Every parameter and statistic by the name that the reference's state dict gives it, with our last name."""
    nodes = ((path, node) for path, node in nnx.iter_graph(model) if isinstance(node, nnx.Variable))
    return {reference_name(path): (str(path[-1]), node) for path, node in nodes}


def _set_norms(model: Network) -> None:
    """Gives batch norms the epsilon and momentum that torchvision's weights were trained with."""
    settings = norm_settings(model.info.name)
    for _, module in nnx.iter_modules(model) if settings else ():
        if isinstance(module, BatchNorm):
            module.epsilon, module.momentum = settings  # pyright: ignore[reportGeneralTypeIssues]  (None has no loop)


def _fitted(value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Torchvision's dense layers on a flattened map are our convolutions over the map; its layer scale is (c, 1, 1)."""
    dense = len(shape) == 4 and value.shape == (shape[0], math.prod(shape[1:]))
    scale = value.shape == (*shape, 1, 1)
    return value.reshape(shape) if dense or scale else value


def _listed(names, most: int = 8) -> str:
    shown = ", ".join(list(names)[:most])
    return shown if len(names) <= most else f"{shown}, and {len(names) - most} more"
