"""`slurm.sbatch`: 0 is done, 42 goes back into the queue, 2 and 130 end, anything else is tried again, to a limit."""

import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

LAUNCH = Path(__file__).parents[3] / "experiments" / "launch"


def slurm(bench, codes: list[int], state: str = "RUNNING", **more: str) -> int:
    bench.stub("srun", bench.answers("srun", [str(code) for code in codes]) + '\nexit "$line"')
    bench.stub("squeue", f"echo {state}")
    bench.stub("scontrol", "")
    environment = bench.environment(OUT="/runs/a b", SLURM_JOB_ID="77", **more)
    return subprocess.run(["bash", LAUNCH / "slurm.sbatch", "--model", "x y"], env=environment, timeout=60).returncode


@pytest.mark.parametrize(
    ("codes", "code", "requeued"),
    [
        ([0], 0, False),
        ([42], 42, True),
        ([2], 2, False),
        ([130], 130, False),
        ([1, 0], 0, False),
        ([134, 42], 42, True),
        ([137, 1, 2], 2, False),
        ([1, 1, 1, 9], 9, False),
    ],
)
def test_slurm_and_the_exit_codes(bench, codes, code, requeued):
    assert slurm(bench, codes) == code
    assert len(bench.calls("srun")) == len(codes)
    assert bench.calls("scontrol") == ([["scontrol", "requeue", "77"]] if requeued else [])
    train = ["srun", "--kill-on-bad-exit=0", "jaxconv", "train", "--model", "x y", "--out", "/runs/a b"]
    assert bench.calls("srun") == [train] * len(codes)


@pytest.mark.parametrize("state", ["COMPLETING", "CANCELLED", "PENDING", ""])
def test_slurm_brings_no_job_back_that_slurm_has_taken_away(bench, state):
    assert slurm(bench, [42], state) == 42
    assert bench.calls("scontrol") == []


def test_slurm_tries_as_often_as_told(bench):
    assert slurm(bench, [1], MAX_RETRIES="0") == 1
    assert len(bench.calls("srun")) == 1


def test_slurm_needs_a_run_directory(bench):
    done = subprocess.run(["bash", LAUNCH / "slurm.sbatch"], env=bench.environment(), capture_output=True, text=True)
    assert done.returncode == 1 and "OUT: is the run directory" in done.stderr and bench.calls() == []


@pytest.mark.parametrize(("answer", "code"), [("exit 42", 42), ("kill -KILL $$", 137)])
def test_slurm_before_the_time_limit(bench, answer, code):
    """The warning comes to the script alone; it hands it on, waits for the save, and puts the job back."""
    saves = f"trap 'sleep 0.5; {answer}' TERM\ntouch {bench.folder}/trained\nwhile :; do sleep 0.05; done"
    bench.stub("srun", saves)
    bench.stub("squeue", "echo RUNNING")
    bench.stub("scontrol", "")
    environment = bench.environment(OUT="/runs/a", SLURM_JOB_ID="77")
    process = subprocess.Popen(["bash", LAUNCH / "slurm.sbatch"], env=environment)
    deadline = time.monotonic() + 30
    while not (bench.folder / "trained").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)  # while it saves
    assert process.wait(timeout=30) == code
    assert len(bench.calls("srun")) == 1 and bench.calls("scontrol") == [["scontrol", "requeue", "77"]]


def test_slurm_warned_between_two_attempts(bench):
    """The warning comes while no step is there to hear it: the next one is told as soon as it is started."""
    first = f"[ -e {bench.folder}/tried ] || {{ touch {bench.folder}/tried; exit 1; }}"
    bench.stub("srun", f"{first}\ntrap 'exit 42' TERM\nwhile :; do sleep 0.05; done")
    bench.stub("squeue", "echo RUNNING")
    bench.stub("scontrol", "")
    strike = """trap '[[ $BASH_COMMAND != "echo \\"attempt"* ]] || kill -TERM $$' DEBUG"""
    warned = f"set -o functrace; {strike}; source {LAUNCH}/slurm.sbatch"
    environment = bench.environment(OUT="/runs/a", SLURM_JOB_ID="77")
    done = subprocess.run(["bash", "-c", warned], env=environment, timeout=30, capture_output=True, text=True)
    assert done.stderr.startswith("attempt 1 ended with 1")
    assert done.returncode in (42, 143)  # the second: it had not yet begun to listen
    assert bench.calls("scontrol") == [["scontrol", "requeue", "77"]]


def test_slurm_asks_for_what_it_relies_on():
    options = re.findall(r"^#SBATCH (\S+)", (LAUNCH / "slurm.sbatch").read_text(), re.M)
    assert {"--requeue", "--signal=B:TERM@120", "--open-mode=append"} <= set(options)
