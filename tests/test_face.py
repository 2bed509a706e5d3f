"""The face: every public name is there, comes when it is used, and comes from where the types say."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import jaxconv


@pytest.mark.parametrize("name", jaxconv.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert getattr(jaxconv, name).__doc__
    assert name in dir(jaxconv)


def test_the_types_and_the_table_agree():
    tree = ast.parse(Path(jaxconv.__file__).read_text())
    typed = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jaxconv")
        for alias in node.names
    }
    assert set(typed) == set(jaxconv.__all__)
    for name, layer in jaxconv._HOME.items():
        assert typed[name] == f"jaxconv.{layer}"


def test_what_is_not_there_says_so():
    with pytest.raises(AttributeError, match="module 'jaxconv' has no attribute 'resnet'"):
        _ = jaxconv.resnet


def test_the_face_is_quick():
    """Nothing heavy comes with the import: what it adds to `import jax, flax` stays under half a second."""
    code = (
        "import time, jax, flax.nnx; t = time.process_time(); "
        "import jaxconv, jaxconv.functional, jaxconv.nn, jaxconv.models; print(time.process_time() - t)"
    )
    times = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout) for _ in range(2)
    ]
    assert min(times) < 0.5
