"""`jaxconv train` on a folder with damaged files, as a user sees it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from data.damaged import bad_files, damaged_folder

import jaxconv
from jaxconv.cli import main

ARGUMENTS = ["--model", "nielsen_conv1", "--epochs", "2", "--batch-size", "8", "--devices", "1", "--image-size", "32"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXCONV_CACHE", str(tmp_path / "cache"))
    damaged_folder(tmp_path / "pets")
    return tmp_path / "pets"


def test_bad_images_are_told_and_the_run_is_finished(folder, tmp_path, capsys):
    out = tmp_path / "run"
    command = ["train", "--data", str(folder), *ARGUMENTS, "--out", str(out)]
    assert main(command) == 0
    captured = capsys.readouterr()
    for name in bad_files():
        assert re.search(rf"jaxconv: bad image, .*{name}: ", captured.err)
        assert any(name in line for line in (out / "incidents.jsonl").read_text().splitlines())
    assert "3 replaced in training, 3 left out of the test; named in" in re.sub(r"[│\s]+", " ", captured.out)
    assert json.loads((out / "result.json").read_text())["images"] == 8
    assert main(["eval", str(out)]) == 0
    captured = capsys.readouterr()
    assert captured.err.count("bad image, left out:") == 3
    assert re.search(r"left out +│ 3 images that cannot be used", captured.out)
    assert main(["eval", str(out), "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert (numbers["images"], numbers["left_out"]) == (8, 3)


def test_past_the_budget_it_ends_with_the_list_and_a_larger_one_goes_on(folder, tmp_path, capsys):
    out = tmp_path / "run"
    command = ["train", "--data", str(folder), *ARGUMENTS, "--out", str(out), "--quiet"]
    assert main([*command, "--max-bad-images", "5"]) == 2
    error = capsys.readouterr().err
    assert "jaxconv: error: --max-bad-images must not be less than" in error and "it is 5 and 6 were found" in error
    assert all(f"{name}: " in error.split("error: ")[1] for name in bad_files())
    assert main([*command, "--max-bad-images", "6"]) == 0


@pytest.mark.parametrize("flag", ["--workers", "--max-bad-images"])
def test_numbers_below_zero_name_the_flag(flag, capsys):
    assert main(["train", flag, "-1"]) == 2
    assert f"{flag} must be zero or positive; got -1" in capsys.readouterr().err


STREAMED = """
import sys
from jaxconv.cli import main
from jaxconv.data import decoded
decoded.DECODED_LIMIT_BYTES = 0
sys.exit(main(sys.argv[1:]))
"""


def loaders_of(pid: int) -> list[int]:
    """The loader workers among the processes that a process has started."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    children = [child for task in tasks for child in (task / "children").read_text().split()]
    return [int(child) for child in children if "jaxconv.data.worker" in Path(f"/proc/{child}/cmdline").read_text()]


def start(command, out):
    """Starts a streamed run with two workers and waits for its second epoch: the process and its workers."""
    environment = {**os.environ, "PYTHONPATH": str(Path(jaxconv.__file__).parents[1])}
    command = [*command, "--out", str(out), "--workers", "2"]
    run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True)
    deadline = time.monotonic() + 120
    while not ((out / "metrics.jsonl").exists() and (out / "metrics.jsonl").read_text().count("eval") >= 2):
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    workers = loaders_of(run.pid)
    assert len(workers) == 2
    return run, workers


def streamed(folder, epochs):
    arguments = ["train", "--data", str(folder), *ARGUMENTS, "--epochs", str(epochs), "--quiet"]
    return [sys.executable, "-c", STREAMED, *arguments]


@pytest.mark.faults
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 42), (signal.SIGINT, 130)])
def test_a_signal_for_every_process_of_the_job_saves_and_leaves_no_worker(folder, tmp_path, number, code):
    run, workers = start(streamed(folder, 100_000), tmp_path / "run")
    with run:
        for worker in workers:
            os.kill(worker, number)
        os.killpg(run.pid, number)
        _, errors = run.communicate(timeout=30)
    assert run.returncode == code and "saved at step" in errors
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


@pytest.mark.faults
def test_a_killed_worker_ends_the_run_with_its_cause_and_the_same_command_ends_it_as_if_nothing_had_been(
    folder, tmp_path
):
    command = streamed(folder, 60)
    run, workers = start(command, tmp_path / "cut")
    with run:
        began = time.monotonic()
        os.kill(workers[0], signal.SIGKILL)
        _, errors = run.communicate(timeout=60)
        assert time.monotonic() - began < 20
    assert run.returncode == 1
    assert f"a loader worker must live as long as the run; process {workers[0]} was ended by SIGKILL" in errors
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert not (tmp_path / "cut" / "result.json").exists()
    for name in ("cut", "whole"):
        main_again = [*command, "--out", str(tmp_path / name)]
        environment = {**os.environ, "PYTHONPATH": str(Path(jaxconv.__file__).parents[1])}
        assert subprocess.run(main_again, check=False, env=environment, capture_output=True).returncode == 0
    metrics = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("cut", "whole")]
    assert metrics[0] == metrics[1]
