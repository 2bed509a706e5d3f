"""The one rule between our variables and the entries of a PyTorch state dict.

Attribute paths are the same on both sides, so only the last name and the layout differ: a convolution kernel is OIHW
there and HWIO here (in any number of dimensions), a dense one (out, in) there and (in, out) here.
"""

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np

LEAVES = MappingProxyType({"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"})


def reference_name(path: Sequence[object]) -> str:
    """The state dict's name of the variable at an attribute path.

    ("layer1", 0, "bn1", "mean") is in it as "layer1.0.bn1.running_mean".
    """
    *modules, leaf = map(str, path)
    return ".".join([*modules, LEAVES.get(leaf, leaf)])


def reference_shape(leaf: str, shape: Sequence[int]) -> tuple[int, ...]:
    """The shape there of a variable called `leaf` that has `shape` here."""
    return (shape[-1], shape[-2], *shape[:-2]) if leaf == "kernel" else tuple(shape)


def from_reference(leaf: str, value: np.ndarray) -> np.ndarray:
    """An entry of a state dict in the layout of our variable called `leaf`."""
    return np.moveaxis(value, (0, 1), (-1, -2)) if leaf == "kernel" else value


def to_reference(leaf: str, value: np.ndarray) -> np.ndarray:
    """The inverse of `from_reference`."""
    return np.moveaxis(value, (-1, -2), (0, 1)) if leaf == "kernel" else value
