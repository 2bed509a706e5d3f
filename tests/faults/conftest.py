"""The uninterrupted run that all others are held against."""

from pathlib import Path

import pytest
from faults import runs


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    code, error = runs.train(out)
    assert code == 0, error
    return out
