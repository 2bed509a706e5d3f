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


@pytest.mark.faults
def test_a_killed_worker_ends_the_run_with_its_cause_and_the_same_command_ends_it_as_if_nothing_had_been(
    folder, tmp_path
):
    environment = {**os.environ, "PYTHONPATH": str(Path(jaxconv.__file__).parents[1])}
    command = [sys.executable, "-c", STREAMED, "train", "--data", str(folder), *ARGUMENTS, "--epochs", "60", "--quiet"]
    cut = [*command, "--out", str(tmp_path / "cut"), "--workers", "2"]
    metrics = tmp_path / "cut" / "metrics.jsonl"
    with subprocess.Popen(cut, stderr=subprocess.PIPE, text=True, env=environment) as run:
        deadline = time.monotonic() + 120
        while not (metrics.exists() and metrics.read_text().count("eval") >= 2):
            assert run.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        workers = loaders_of(run.pid)
        assert len(workers) == 2
        began = time.monotonic()
        os.kill(workers[0], signal.SIGKILL)
        _, errors = run.communicate(timeout=60)
        assert time.monotonic() - began < 20
    assert run.returncode == 2
    assert f"a loader worker must live as long as the run; process {workers[0]} was ended by SIGKILL" in errors
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert not (tmp_path / "cut" / "result.json").exists()
    for again in (cut, [*command, "--out", str(tmp_path / "whole")]):
        assert subprocess.run(again, check=False, env=environment, capture_output=True).returncode == 0
    assert metrics.read_bytes() == (tmp_path / "whole" / "metrics.jsonl").read_bytes()
