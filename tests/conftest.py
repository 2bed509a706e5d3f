"""The suite is stricter than the users: eight devices, no silent promotion, warnings are errors."""

import atexit
import os
import shutil
import tempfile

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")

# Many tests train the same small network: it is compiled once a session, for all workers of pytest-xdist together.
if "JAXCONV_TEST_PROGRAMS" not in os.environ:
    os.environ["JAXCONV_TEST_PROGRAMS"] = tempfile.mkdtemp(prefix="jaxconv-programs-")
    atexit.register(shutil.rmtree, os.environ["JAXCONV_TEST_PROGRAMS"], ignore_errors=True)

import jax
import numpy as np
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", os.environ["JAXCONV_TEST_PROGRAMS"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator that starts from the same state in every test."""
    return np.random.default_rng(0)


def pytest_addoption(parser: pytest.Parser) -> None:
    """How thoroughly runs are killed: a few moments in the suite, 50 and more for the log."""
    words = "at how many moments each test of tests/faults kills a run; from 3 on each of its processes, too"
    parser.addoption("--kills", type=int, default=2, help=words)
