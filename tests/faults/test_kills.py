"""SIGKILL at any moment, the same command again: the same bits. `pytest -m faults --kills 50` draws 50 moments."""

import signal
import time

import numpy as np
import pytest
from faults import runs

pytestmark = pytest.mark.faults


def pytest_generate_tests(metafunc):
    if "point" in metafunc.fixturenames:
        points = np.random.default_rng(2026).random(metafunc.config.getoption("--kills")) * 0.999
        metafunc.parametrize("point", points.tolist(), ids=[f"{point:.3f}" for point in points])


@pytest.fixture(scope="session")
def lines(tmp_path_factory) -> int:
    """How many lines of the trainer a whole run executes."""
    folder = tmp_path_factory.mktemp("count")
    code, error = runs.train(folder / "run", command=runs.victim(f"count:{folder / 'count'}"))
    assert code == 0, error
    return int((folder / "count").read_text())


@pytest.fixture(scope="session")
def seconds(tmp_path_factory) -> float:
    """How long a whole run takes, compiled programs at hand."""
    began = time.monotonic()
    code, error = runs.train(tmp_path_factory.mktemp("time") / "run")
    assert code == 0, error
    return time.monotonic() - began


def test_before_any_line_of_the_trainer(whole, lines, point, tmp_path):
    last = 1 + int(point * lines)
    code, error = runs.train(tmp_path / "run", command=runs.victim(f"kill:{last}"))
    assert code == -signal.SIGKILL, error
    code, error = runs.train(tmp_path / "run")
    assert code == 0, error
    assert not runs.differences(whole, tmp_path / "run")
    assert not runs.incidents(tmp_path / "run")


def test_at_any_time_and_again_while_it_continues(whole, seconds, point, tmp_path):
    for share in (point, point / 2):
        process = runs.start(tmp_path / "run")
        time.sleep(share * seconds)
        process.kill()
        process.communicate()
    code, error = runs.train(tmp_path / "run")
    assert code == 0, error
    assert not runs.differences(whole, tmp_path / "run")
    assert not runs.incidents(tmp_path / "run")
