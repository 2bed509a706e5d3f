"""A recorded answer of a reference implementation, and the one rule that turns its names and layouts into ours."""

import json
from functools import cached_property
from pathlib import Path

import jax
import numpy as np
from models.parity import synth

LEAVES = {"scale": "weight", "kernel": "weight", "mean": "running_mean", "var": "running_var"}


class Record:
    def __init__(self, path: Path):
        with np.load(path) as arrays:
            self.arrays = dict(arrays)
        self.meta = json.loads(bytes(self.arrays["meta"]))

    @cached_property
    def state(self) -> dict[str, np.ndarray]:
        return {name: synth.tensor(name, tuple(shape)) for name, shape in self.meta["state"].items()}

    def fill(self, tree):
        """The tree of parameters or batch statistics with the reference's numbers."""
        return jax.tree_util.tree_map_with_path(lambda path, _: from_reference(path, self.state[name_of(path)]), tree)


def name_of(path) -> str:
    """The reference's name of the leaf at a path of our trees."""
    *modules, leaf = (str(entry.key) for entry in path)
    return ".".join([*modules, LEAVES.get(leaf, leaf)])


def from_reference(path, value: np.ndarray) -> np.ndarray:
    """OIHW to HWIO, (out, in) to (in, out)."""
    if path[-1].key != "kernel":
        return value
    return np.moveaxis(value, (0, 1), (-1, -2))


def shapes_as_reference(tree) -> dict[str, list[int]]:
    """Name -> shape in the reference's layout, for every leaf."""
    named = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        shape = list(leaf.shape)
        if path[-1].key == "kernel":
            shape = [shape[-1], shape[-2], *shape[:-2]]
        named[name_of(path)] = shape
    return named


def norms(tree) -> dict[str, float]:
    """Name -> 2-norm of every leaf."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {name_of(path): float(np.linalg.norm(np.ravel(leaf))) for path, leaf in leaves}


def distance(ours, theirs) -> float:
    """Relative distance in the 2-norm."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)  # their squares may exceed float32
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))
