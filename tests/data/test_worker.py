"""Worker processes: the same batches, and an error with a cause, not a hang, when one dies."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from data.damaged import damaged_folder

import jaxconv
from jaxconv.data import Loader, LoaderError, StreamedDataset, batches, ordered_batches
from jaxconv.data.folder import FolderRecords, ImageFolder
from jaxconv.data.usable import Without
from jaxconv.data.worker import Worker, pickled_for_workers

pytestmark = pytest.mark.faults

SECONDS = 10.0
"""In which every fault here has become an error; the most that was seen on two busy cores is 1.2."""


class Records:
    """Records whose image number i is filled with i; the worker imports this class to read them."""

    name, split, classes = "made", "train", ("a",)

    def __init__(self, action=None, at=-1, seconds=0.0):
        self.action, self.at, self.seconds = action, at, seconds

    def __len__(self):
        return 40

    def key(self):
        return {}

    def fingerprint(self):
        return ""

    def shape(self, image_size, progress):
        return 2, 2, 1

    def read(self, indices, shape):
        time.sleep(self.seconds)
        if self.at in indices:
            ACTIONS[self.action]()
        return np.stack([np.full(shape, i, np.uint8) for i in indices]), np.zeros(len(indices), np.int32)


class Unsendable(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def _raise(error):
    raise error


def _jax_state():
    loaded = {"jax", "jaxconv.train", "jaxconv.cli"} & set(sys.modules)

    import jax
    from jax._src import xla_bridge  # that no backend has been started can only be seen here

    assert not xla_bridge.backends_are_initialized()
    raise RuntimeError(f"platforms {jax.config.jax_platforms}, loaded {loaded}")


ACTIONS = {
    "error": lambda: _raise(KeyError("a mistake in the records")),
    "end of file": lambda: _raise(EOFError("cut short")),
    "unsendable": lambda: _raise(Unsendable("one", "two")),
    "exit": lambda: os._exit(3),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "abort": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "jax": _jax_state,
}


def made(*arguments):
    return StreamedDataset(Records(*arguments), (2, 2, 1))


def alive(pid) -> bool:
    """Whether the process runs, which one that waits to be asked for its exit code does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds=SECONDS):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def pets(tmp_path):
    damaged_folder(tmp_path / "pets")
    records = FolderRecords(ImageFolder.open(tmp_path / "pets"), "train")
    return lambda: StreamedDataset(records, (32, 32, 3))


def test_batches_and_bad_images_are_the_same_for_any_number_of_workers(pets):
    got, bad, ends = {}, {}, {}
    for workers in (0, 1, 2, 3):
        dataset, bad[workers] = pets(), []
        with Loader([dataset], workers=workers) as loader:
            got[workers] = [b for b in batches(dataset, 7, 0, 9, 8, loader=loader, on_bad=bad[workers].append)]
            got[workers] += list(ordered_batches(dataset, 8, loader=loader))
            assert len({w.pid for w in loader.workers} - {os.getpid()}) == workers
        ends[workers] = dataset.bad
    for workers in (1, 2, 3):
        assert bad[workers] == bad[0] and ends[workers] == ends[0] and len(ends[0]) == 3
        for (images, labels), (other, others) in zip(got[0], got[workers], strict=True):
            assert images.dtype == other.dtype and images.flags.writeable
            np.testing.assert_array_equal(images, other)
            np.testing.assert_array_equal(labels, others)


def test_workers_live_from_stretch_to_stretch_and_end_with_the_loader():
    dataset = made()
    with Loader([dataset], workers=2) as loader:
        for _ in range(2):
            list(batches(dataset, 0, 0, 8, 4, loader=loader))
            pids = {w.pid for w in loader.workers}
            assert all(alive(pid) for pid in pids)
            list(ordered_batches(dataset, 16, loader=loader))
        assert pids == {w.pid for w in loader.workers}
    assert not any(alive(pid) for pid in pids)


def test_a_part_of_a_batch_may_be_empty(pets):
    dataset = pets()
    with Loader([dataset], workers=1) as loader:
        for images, labels in batches(dataset, 0, 0, 3, 4, rows=slice(4, 8), loader=loader):
            assert images.shape == (0, 32, 32, 3) and labels.shape == (0,)


def test_workers_start_when_they_are_needed():
    with Loader([made()], workers=2) as loader:
        assert [w.pid for w in loader.workers] == [None, None]
    with Loader([], workers=2) as loader:
        assert loader.workers == []


def test_a_worker_that_is_killed_is_an_error_within_seconds():
    dataset = made(None, -1, 0.05)
    with Loader([dataset], workers=2) as loader:
        stretch = batches(dataset, 0, 0, 10**6, 4, loader=loader)
        for _ in range(5):
            next(stretch)
        victim, other = (w.pid for w in loader.workers)
        began = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        message = rf"worker must live as long as the run; process {victim} was ended by SIGKILL \(out of memory.* made"
        with pytest.raises(LoaderError, match=message):
            list(stretch)
        assert time.monotonic() - began < SECONDS
    assert not alive(other)


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        ("kill", LoaderError, "was ended by SIGKILL"),
        ("abort", LoaderError, "was ended by SIGSEGV"),
        ("exit", LoaderError, r"ended with exit code 3 \(its error output is above\)"),
        ("error", KeyError, "a mistake in the records"),
        ("end of file", EOFError, "cut short"),
        ("unsendable", RuntimeError, "Unsendable: one and two"),
    ],
)
def test_whatever_happens_in_a_worker_is_said(action, error, message):
    dataset = made(action, 17)
    began = time.monotonic()
    with Loader([dataset], workers=2) as loader:
        with pytest.raises(error, match=message) as caught:
            list(ordered_batches(dataset, 5, loader=loader))
        if error is KeyError:
            assert re.search(r"in loader worker \d+:\n.*test_worker.py", caught.value.__notes__[0], re.DOTALL)
    assert time.monotonic() - began < SECONDS


def test_a_worker_that_cannot_start_is_said(monkeypatch):
    monkeypatch.setattr("jaxconv.data.worker._PROGRAM", "raise SystemExit(4)")
    dataset = made()
    with Loader([dataset], workers=1) as loader, pytest.raises(LoaderError, match="ended with exit code 4"):
        list(ordered_batches(dataset, 5, loader=loader))


def test_records_that_a_worker_could_not_import_are_refused(monkeypatch):
    monkeypatch.setattr(Records, "__module__", "__main__")
    with pytest.raises(TypeError, match="defined in a module that can be imported; Records is defined in the program"):
        Loader([made()], workers=1)


def test_also_where_others_stand_in_front_of_them(monkeypatch):
    monkeypatch.setattr(Records, "__module__", "__main__")
    hidden = StreamedDataset(Without(made().records, [1]), made().image_shape)
    with pytest.raises(TypeError, match="Records is defined in the program itself"):
        pickled_for_workers([hidden])


def test_a_worker_that_hangs_does_not_hold_up_the_end():
    """A stopped process gives no answer and no error; to close the loader takes no longer for it."""
    dataset, got = made(), []
    worker = Worker([dataset], pickled_for_workers([dataset]))
    worker.read(dataset, [1])
    os.kill(worker.pid, signal.SIGSTOP)

    def read():
        with pytest.raises(LoaderError) as caught:
            worker.read(dataset, [2])
        got.append(str(caught.value))

    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(0.2)
    assert not got
    began = time.monotonic()
    worker.kill()
    thread.join(SECONDS)
    worker.close()
    assert "was ended by SIGKILL" in got[0] and time.monotonic() - began < SECONDS


def test_signals_for_the_whole_job_leave_the_workers_to_the_trainer():
    dataset = made()
    with Loader([dataset], workers=1) as loader:
        list(ordered_batches(dataset, 5, loader=loader))
        (pid,) = (w.pid for w in loader.workers)
        assert os.getsid(pid) == pid
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(pid, number)
        assert len(list(ordered_batches(dataset, 5, loader=loader))) == 8
        assert pid == loader.workers[0].pid and alive(pid)


def test_a_worker_grabs_no_accelerator_and_loads_no_trainer():
    dataset = made("jax", 17)
    with Loader([dataset], workers=1) as loader, pytest.raises(RuntimeError, match=r"^platforms cpu, loaded set\(\)"):
        list(ordered_batches(dataset, 5, loader=loader))


TRAINER = """
import time
from data.test_worker import made
from jaxconv.data import Loader, batches
dataset = made(None, -1, {seconds})
loader = Loader([dataset], workers=2)
for step, _ in enumerate(batches(dataset, 0, 0, 10**6, 4, loader=loader)):
    if step == 3:
        print(*[w.pid for w in loader.workers], flush=True)
    if step == 3 and {end}:
        break
"""


@pytest.mark.parametrize(("end", "seconds"), [("killed", 0.0), ("killed", 0.3), ("finished", 0.0)])
def test_workers_do_not_outlive_the_process_that_started_them(end, seconds):
    """Neither one that is killed, nor a script without a main guard that forgets to close its loader."""
    tests = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{Path(jaxconv.__file__).parents[1]}:{tests}"}
    code = TRAINER.format(seconds=seconds, end=end == "finished")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert len(pids) == 2
        if end == "killed":
            assert all(alive(pid) for pid in pids)
            process.kill()
        assert process.wait(SECONDS) == (-signal.SIGKILL if end == "killed" else 0)
        wait_until(lambda: not any(alive(pid) for pid in pids))
