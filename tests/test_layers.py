"""The layers of the house: who may import whom, read from the source itself."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import jaxconv

PACKAGE = Path(jaxconv.__file__).parent

INSIDE = {
    "functional": set(),
    "nn": {"functional"},
    "models": {"functional", "nn", "weights"},
    "weights": set(),
    "data": {"functional"},
    "train": {"functional", "data"},
    "explain": {"functional", "nn", "models"},
    "cli": {"functional", "nn", "models", "weights", "data", "train", "explain"},
}
OUTSIDE = {
    "functional": {"jax", "numpy", "jaxtyping"},
    "nn": {"jax", "numpy", "jaxtyping", "flax"},
    "models": {"jax", "numpy", "jaxtyping", "flax"},
    "weights": {"numpy", "ml_dtypes", "safetensors", "huggingface_hub", "jaxtyping"},
    "data": {"jax", "numpy", "jaxtyping", "tensorflow_datasets", "array_record", "PIL", "rich", "tensorflow"},
    "train": {"jax", "numpy", "jaxtyping", "optax", "rich", "safetensors", "tensorboardX"},
    "explain": {"jax", "numpy", "jaxtyping", "flax", "matplotlib", "rich"},
    "cli": {"jax", "numpy", "jaxtyping", "tyro", "rich", "optax", "flax"},
}
LAZY = {"tensorflow_datasets", "tensorflow", "torch", "pandas", "matplotlib", "huggingface_hub", "PIL"}
"""Imported only where they are used, never with the module."""


def files() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE)


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every imported module of a file, and whether it is imported with the file itself."""
    tree = ast.parse(path.read_text())
    top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names = [f"{node.module}.{a.name}" for a in node.names] if node.module == "jaxconv" else [node.module or ""]
            yield from ((name, id(node) in top) for name in names)


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_follow_the_table(path):
    layer = path.relative_to(PACKAGE).parts[0]
    for name, at_import in imports(path):
        first, *rest = name.split(".")
        if first == "jaxconv":
            assert rest and (rest[0] == layer or rest[0] in INSIDE[layer]), f"{layer} must not import {name}"
        elif first not in sys.stdlib_module_names:
            assert first in OUTSIDE[layer], f"{layer} must not import {first}"
            assert not (at_import and first in LAZY), f"{path.name} imports {first} before it is needed"


def test_the_layers_form_no_cycle():
    def below(layer: str) -> set[str]:
        return INSIDE[layer].union(*(below(other) for other in INSIDE[layer]))

    assert all(layer not in below(layer) for layer in INSIDE)


def test_import_loads_nothing_heavy():
    code = "import sys, jaxconv, jaxconv.cli, jaxconv.data; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "jaxconv" in loaded
    heavy = {"tensorflow", "torch", "pandas", "matplotlib", "tensorflow_datasets", "orbax", "tyro"}
    assert heavy.isdisjoint(loaded)
