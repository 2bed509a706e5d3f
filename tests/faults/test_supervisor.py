"""`--max-restarts`: what dies is started again, what hangs is ended first, what would end the same way is left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from faults import runs

pytestmark = pytest.mark.faults


def child_of(process: subprocess.Popen[str]) -> int:
    """The training process of a supervisor."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + runs.LIMIT_SECONDS
    while not children.read_text().split() and time.monotonic() < deadline:
        time.sleep(0.05)
    return int(children.read_text().split()[0])


@pytest.mark.parametrize(
    ("number", "words"),
    [(signal.SIGKILL, "ended with signal SIGKILL"), (signal.SIGSTOP, "no progress for 20 s: the training process is")],
)
def test_a_process_that_dies_or_hangs_is_started_again(whole, tmp_path, number, words):
    hold = runs.Hold(tmp_path, 2)
    process = runs.start(tmp_path / "run", "--max-restarts", "2", "--hang-seconds", "5", command=hold.command)
    hold.reached(2, process)
    os.kill(child_of(process), number)
    hold.go_on(2)
    code, error = runs.end(process)
    assert code == 0 and words in error and "2 restarts left" in error
    assert not runs.differences(whole, tmp_path / "run")


def test_restarts_are_counted(tmp_path):
    code, error = runs.train(tmp_path / "run", "--max-restarts", "1", command=runs.victim("raise:1200"))
    assert code == 1 and error.count("struck by the test") >= 2
    assert "code 1; 1 restarts left" in error and "code 1; 0 restarts left" in error


def test_what_would_end_the_same_way_is_not_started_again(tmp_path):
    code, error = runs.train(tmp_path / "run", "--max-restarts", "5", "--learning-rate", "1e38")
    assert code == 2 and "every number must stay finite" in error and "restarts left" not in error


def test_a_signal_goes_on_to_the_training_process(whole, tmp_path):
    hold = runs.Hold(tmp_path, 2)
    process = runs.start(tmp_path / "run", "--max-restarts", "5", command=hold.command)
    hold.reached(2, process)
    process.send_signal(signal.SIGTERM)
    hold.go_on(2)
    code, error = runs.end(process)
    assert code == 42 and "saved at step" in error
    assert runs.train(tmp_path / "run")[0] == 0
    assert not runs.differences(whole, tmp_path / "run")


def test_a_training_process_does_not_outlive_its_supervisor(tmp_path):
    process = runs.start(tmp_path / "run", "--max-restarts", "5", "--epochs", "5000")
    runs.wait_for_rows(tmp_path / "run", 5, process)
    process.kill()
    _, error = runs.end(process, 60)  # its pipes close only when the training process has ended too
    assert "stopped by SIGTERM; saved at step" in error
    assert not (tmp_path / "run" / "result.json").exists()


def test_a_directory_that_another_process_trains_in_is_refused(tmp_path):
    first = runs.start(tmp_path / "run", "--epochs", "5000")
    runs.wait_for_rows(tmp_path / "run", 3, first)
    code, error = runs.train(tmp_path / "run", "--epochs", "5000")
    assert code == 1 and "is in use: another process trains there" in error
    first.send_signal(signal.SIGTERM)
    assert runs.end(first)[0] == 42


def test_a_step_that_hangs_shows_every_stack_and_ends(tmp_path):
    code = (
        "import sys, threading, time, dataclasses\n"
        "from jaxconv.cli.knobs import Knobs, build_experiment\n"
        "from jaxconv.train import fit\n"
        "e = build_experiment(Knobs(model='nielsen_conv1', epochs=9), progress=False)\n"
        "class Hanging(type(e.train_data)):\n"
        "    in_memory = False\n"
        "    def gather(self, indices):\n"
        "        time.sleep(600)\n"
        "e = dataclasses.replace(e, train_data=Hanging(**vars(e.train_data)))\n"
        "fit(e, sys.argv[1], progress=False, hang_seconds=3)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    process = subprocess.run(command, env=runs.environment(), capture_output=True, text=True, timeout=120)
    assert process.returncode == 1
    assert "Timeout (0:00:03)!" in process.stderr and "in gather" in process.stderr and "in fit" in process.stderr
