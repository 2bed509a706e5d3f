"""SIGTERM saves and ends with a code of its own, in time, whatever the run is doing; nothing is lost."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from faults import runs

from jaxconv.cli import early
from jaxconv.cli.codes import INTERRUPTED
from jaxconv.train.stop import PREEMPTED

pytestmark = pytest.mark.faults

GRACE_SECONDS = 30


def pytest_generate_tests(metafunc):
    if "rows" in metafunc.fixturenames:
        count = metafunc.config.getoption("--kills")
        metafunc.parametrize("rows", np.random.default_rng(7).integers(1, 33, count).tolist())


def test_one_code_wherever_it_comes():
    assert early.PREEMPTED == PREEMPTED == 42 and early.INTERRUPTED == INTERRUPTED == 130


def test_sigterm_saves_and_the_same_command_continues(whole, rows, tmp_path):
    process = runs.start(tmp_path / "run")
    runs.wait_for_rows(tmp_path / "run", rows, process)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    time.sleep(0.01 * rows)
    process.send_signal(signal.SIGTERM)  # a second one, while the first is being answered, changes nothing
    code, error = runs.end(process)
    assert time.monotonic() - began < GRACE_SECONDS
    if code != 0:  # the last rows may be followed by the end
        assert code == PREEMPTED and "stopped by SIGTERM; saved at step" in error
    assert runs.train(tmp_path / "run")[0] == 0
    assert not runs.differences(whole, tmp_path / "run")


def test_before_the_first_step(whole, tmp_path):
    process = runs.start(tmp_path / "run")
    deadline = time.monotonic() + runs.LIMIT_SECONDS
    while not (tmp_path / "run" / "run.json").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code, error = runs.end(process)
    assert code == PREEMPTED and "stopped by SIGTERM" in error and time.monotonic() - began < GRACE_SECONDS
    assert runs.train(tmp_path / "run")[0] == 0
    assert not runs.differences(whole, tmp_path / "run")


@pytest.mark.parametrize(
    ("module", "name", "wanted", "said"),
    [
        *(
            (module, "SIGTERM", PREEMPTED, "stopped by SIGTERM")
            for module in ("tyro", "jax", "flax.nnx", "tensorboardX", "jaxconv.data.digits")
        ),
        *((module, "SIGINT", INTERRUPTED, "jaxconv: interrupted") for module in ("tyro", "jaxconv.data.digits")),
    ],
)
def test_while_the_command_is_being_imported(module, name, wanted, said, tmp_path):
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # which tests in the background would ignore
        "class Strike:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {module!r}:\n"
        f"            os.kill(os.getpid(), signal.{name})\n"
        "sys.meta_path.insert(0, Strike())\n"
        "from jaxconv.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    process = runs.start(tmp_path / "run", command=[sys.executable, "-c", code])
    code, error = runs.end(process)
    assert code == wanted and said in error and "Traceback" not in error
    assert not (tmp_path / "run").exists()


def test_a_loop_that_does_not_answer_ends_all_the_same():
    code = (
        "import time, signal, os\n"
        "from jaxconv.train.stop import StopRequest\n"
        "with StopRequest(deadline=0.5):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(60)\n"
    )
    began = time.monotonic()
    process = subprocess.run([sys.executable, "-c", code], env=runs.environment(), capture_output=True, text=True)
    assert process.returncode == PREEMPTED and "not saved within 0 s" in process.stderr
    assert time.monotonic() - began < 50
