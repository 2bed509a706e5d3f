"""The cache of compiled programs: a second process finds what the first compiled."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import jax, jax.numpy as jnp
from jaxconv.cli.programs import keep_programs
keep_programs()
jax.jit(lambda x: jnp.sin(x) + 3)(jnp.arange(7.0)).block_until_ready()
print(jax.config.jax_compilation_cache_dir)
"""


def run(**environment) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "JAXCONV_"))}
    settings = inherited | {"JAX_PLATFORMS": "cpu"} | environment
    done = subprocess.run([sys.executable, "-c", CODE], env=settings, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.slow
def test_programs_are_kept(tmp_path):
    folder = Path(run(XDG_CACHE_HOME=str(tmp_path)))
    assert folder == tmp_path / "jaxconv" / "programs"
    kept = {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.name.endswith("-cache")}
    assert kept
    run(XDG_CACHE_HOME=str(tmp_path))
    assert {path.name for path in folder.iterdir() if path.name.endswith("-cache")} == set(kept)


@pytest.mark.slow
def test_the_cache_is_ones_own_or_none(tmp_path):
    assert run(XDG_CACHE_HOME=str(tmp_path), JAXCONV_KEEP_PROGRAMS="0") == "None"
    assert run(JAX_COMPILATION_CACHE_DIR=str(tmp_path / "own")) == str(tmp_path / "own")
    assert not (tmp_path / "jaxconv").exists()
