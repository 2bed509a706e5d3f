"""Two processes share a run: they end at the bits of one process, together, and none is left waiting for a dead one."""

import json
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from data.damaged import bad_files, damaged_folder
from faults import runs

from jaxconv.data import batch_indices, decoded, load_dataset, normalization

pytestmark = pytest.mark.faults

END_SECONDS = 60
"""All processes of a run have ended so long after one of them died: the heartbeat, twice."""


def pytest_generate_tests(metafunc):
    if "victim" in metafunc.fixturenames:  # process 0 writes what the other only reads
        metafunc.parametrize("victim", [0, 1] if metafunc.config.getoption("--kills") > 2 else [0])


def start(
    out: Path, *arguments: str, commands=(runs.COMMAND, runs.COMMAND), devices: int = 1
) -> list[subprocess.Popen[str]]:
    port = runs.free_port()
    shared = ["--coordinator", f"localhost:{port}", "--process-count", "2", *arguments]
    return [
        runs.start(out, *shared, "--process-id", str(number), command=command, devices=devices)
        for number, command in enumerate(commands)
    ]


@pytest.fixture(scope="module")
def two_devices(tmp_path_factory) -> Path:
    """One process with as many devices."""
    out = tmp_path_factory.mktemp("two") / "run"
    code, error = runs.train(out, devices=2)
    assert code == 0, error
    return out


@pytest.fixture
def ended():
    """Ends what a failed test leaves."""
    left: list[subprocess.Popen[str]] = []
    yield left
    for process in left:
        runs.stop(process)


def test_two_processes_equal_one(two_devices, tmp_path, ended):
    ended += start(tmp_path / "run")
    codes = [runs.end(process) for process in ended]
    assert [code for code, _ in codes] == [0, 0], codes
    assert not runs.differences(two_devices, tmp_path / "run")


def test_two_processes_of_two_devices_equal_one_of_four_but_for_rounding(tmp_path, ended, pytestconfig):
    """Inside a process four devices are added up in another order than between processes; two have only one."""
    if pytestconfig.getoption("--kills") < 3:
        pytest.skip("six processes in all: from --kills 3 on")
    ended += start(tmp_path / "two", devices=2)
    codes = [runs.end(process) for process in ended]
    assert [code for code, _ in codes] == [0, 0], codes
    code, error = runs.train(tmp_path / "one", devices=4)
    assert code == 0, error
    rows = [(tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("two", "one")]
    assert len(rows[0]) == len(rows[1]) == 37
    for two, one in zip(*map(partial(map, json.loads), rows), strict=True):
        assert two.pop("split") == one.pop("split")
        assert two == pytest.approx(one, rel=1e-4)


def test_a_preempted_process_stops_all_at_one_step_and_one_process_goes_on(two_devices, tmp_path, ended, victim):
    hold = runs.Hold(tmp_path, 2)
    ended += start(tmp_path / "run", commands=(hold.command, runs.COMMAND))
    hold.reached(2, ended[0])
    ended[victim].send_signal(signal.SIGTERM)
    hold.go_on(2)
    results = [runs.end(process, END_SECONDS) for process in ended]
    assert [code for code, _ in results] == [42, 42], results
    assert runs.train(tmp_path / "run", devices=2)[0] == 0
    assert not runs.differences(two_devices, tmp_path / "run")


def test_with_one_process_killed_all_end_and_are_started_again(two_devices, tmp_path, ended, victim):
    hold = runs.Hold(tmp_path, 3)
    ended += start(tmp_path / "run", commands=(hold.command, runs.COMMAND))
    hold.reached(3, ended[0])
    began = time.monotonic()
    ended[victim].kill()
    hold.go_on(3)
    codes = [runs.end(process, END_SECONDS)[0] for process in ended]
    assert codes[victim] == -signal.SIGKILL and codes[1 - victim] not in (0, 2, 42), codes
    assert time.monotonic() - began < END_SECONDS
    again = start(tmp_path / "run")
    ended += again
    assert [runs.end(process)[0] for process in again] == [0, 0]
    assert not runs.differences(two_devices, tmp_path / "run")


def test_a_process_that_raises_ends_all_and_their_supervisors_go_on(two_devices, tmp_path, ended):
    # The raising one has no supervisor: the test takes its place, with the command as it should be.
    port = runs.free_port()
    shared = ["--coordinator", f"localhost:{port}", "--process-count", "2"]
    supervised = runs.start(tmp_path / "run", *shared, "--process-id", "0", "--max-restarts", "3")
    raising = runs.start(tmp_path / "run", *shared, "--process-id", "1", command=runs.victim("raise:1500"))
    ended += [supervised, raising]
    code, error = runs.end(raising)
    assert code == 1 and "struck by the test" in error
    ended.append(runs.start(tmp_path / "run", *shared, "--process-id", "1"))
    assert runs.end(supervised)[0] == 0 and runs.end(ended[-1])[0] == 0
    assert not runs.differences(two_devices, tmp_path / "run")


def test_a_suspended_process_does_not_hold_up_the_others(tmp_path, ended):
    hold = runs.Hold(tmp_path, 2)
    ended += start(tmp_path / "run", commands=(hold.command, runs.COMMAND))
    hold.reached(2, ended[0])
    ended[1].send_signal(signal.SIGSTOP)
    hold.go_on(2)
    code, _ = runs.end(ended[0], END_SECONDS)
    assert code not in (0, 2, 42)


def test_what_process_0_refuses_all_refuse(whole, tmp_path, ended):
    ended += start(whole, "--seed", "1")
    results = [runs.end(process, END_SECONDS) for process in ended]
    assert [code for code, _ in results] == [2, 2]
    assert "holds a run with another configuration (seed: 0 there, 1 now)" in results[0][1]
    assert "process 0: " in results[1][1]


STREAMED = """
import sys
from jaxconv.cli import main
from jaxconv.data import decoded
decoded.DECODED_LIMIT_BYTES = 0
{more}
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def damaged(tmp_path_factory) -> tuple[Path, list[str]]:
    """A folder of which each process meets bad images that the other does not, and arguments to train on it once."""
    root = tmp_path_factory.mktemp("damaged")
    damaged_folder(root / "pets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoded, "DECODED_LIMIT_BYTES", 0)
        train, _ = load_dataset(str(root / "pets"), image_size=32, progress=False)
    normalization(train)  # which reads the images: remembered, no run does it, so that runs meet them in training
    bad = set(train.bad)

    def met(seed: int) -> list[set[int]]:
        batches = np.stack([batch_indices(seed, s, length=len(train), batch_size=8) for s in range(len(train) // 8)])
        return [bad.intersection(batches[:, rows].flat) for rows in (slice(4), slice(4, 8))]

    seed = next(seed for seed in range(100) if all(met(seed)) and len(set.union(*met(seed))) == len(bad) == 3)
    arguments = ["--data", str(root / "pets"), "--image-size", "32", "--batch-size", "8"]
    return root, [*arguments, "--epochs", "1", "--seed", str(seed)]


def named(out: Path) -> list[str]:
    return sorted((out / "bad_images.jsonl").read_text().splitlines())


def test_bad_images_of_all_processes_are_known_to_the_run(damaged, tmp_path, ended):
    command = [sys.executable, "-c", STREAMED.format(more="")]
    code, error = runs.train(tmp_path / "one", *damaged[1], command=command, devices=2)
    assert code == 0, error
    ended += start(tmp_path / "two", *damaged[1], commands=(command, command))
    results = [runs.end(process) for process in ended]
    assert [code for code, _ in results] == [0, 0], results
    assert not runs.differences(tmp_path / "one", tmp_path / "two")
    assert len(named(tmp_path / "two")) == 6 and named(tmp_path / "two") == named(tmp_path / "one")
    assert results[0][1].count("bad image, ") == 6 and "bad image" not in results[1][1]


def test_past_their_common_budget_all_processes_end_with_the_list(damaged, tmp_path, ended):
    command = [sys.executable, "-c", STREAMED.format(more="")]
    ended += start(tmp_path / "run", *damaged[1], "--max-bad-images", "5", commands=(command, command))
    results = [runs.end(process) for process in ended]
    assert [code for code, _ in results] == [2, 2], results
    for _, error in results:
        assert "it is 5 and 6 were found" in error and all(f"{name}: " in error for name in bad_files())
    assert len(named(tmp_path / "run")) == 6 and not (tmp_path / "run" / "result.json").exists()
    for out in ("run", "whole"):  # with a larger budget the run goes on, and ends as if it had not been stopped
        going = start(tmp_path / out, *damaged[1], "--max-bad-images", "6", commands=(command, command))
        ended += going
        assert [runs.end(process)[0] for process in going] == [0, 0]
    assert not runs.differences(tmp_path / "whole", tmp_path / "run")


STRUCK = """
import os, signal, time
from jaxconv.train import rows
from jaxconv.train.bad_images import BadImages
rows.RECORDS_PER_EPOCH = 1  # so that an epoch is one stretch
drawn = BadImages.drawn

def struck(self, split, bad):
    drawn(self, split, bad)
    if bad:
        print("struck at", *bad.values(), file=sys.stderr)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(2)  # the other process waits for this one, and is told

BadImages.drawn = struck
"""


def test_bad_images_that_a_preempted_stretch_has_met_are_known_to_the_run(damaged, tmp_path, ended):
    commands = [[sys.executable, "-c", STREAMED.format(more=STRUCK)]] * 2
    ended += start(tmp_path / "run", *damaged[1], "--batch-size", "2", commands=commands)
    results = [runs.end(process) for process in ended]
    assert [code for code, _ in results] == [42, 42], results
    lines = [line for _, error in results for line in error.splitlines() if "struck at" in line]
    struck = {name for name in bad_files() if any(f"{name}: " in line for line in lines)}
    assert struck and all(f"{name}: " in "".join(named(tmp_path / "run")) for name in struck), lines


TOLD = """
import sys
import numpy as np
from jaxconv.train.processes import PeerError, PeerLostError, agreed, broadcast, connect, gathered
number = int(sys.argv[2])
connect(sys.argv[1], number, 2)
x = np.array([-0.0, 0.0, np.nan, 1e-45, 3e38], np.float32)
print(broadcast({"x": x if number == 0 else 0 * x})["x"].tobytes() == x.tobytes())
print(agreed(lambda: {"loss": [1.5, None]}) == {"loss": [1.5, None]})
print([gathered(of) for of in ("", number * "ü", str(number))] == [["", ""], ["", "ü"], ["0", "1"]])
def fail(error):
    raise error
for error, kind in ((ValueError("wrong"), PeerError), (OSError(28, "full"), PeerLostError)):
    try:
        agreed(lambda: fail(error))
    except (type(error), kind) as heard:
        print(type(heard) is (kind if number else type(error)))
"""


def test_what_process_0_has_comes_to_the_others_to_the_bit_and_so_do_its_errors():
    address = f"localhost:{runs.free_port()}"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TOLD, address, str(number)],
            env=runs.environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in (0, 1)
    ]
    assert [process.communicate(timeout=120)[0].split()[-5:] for process in processes] == [["True"] * 5] * 2
