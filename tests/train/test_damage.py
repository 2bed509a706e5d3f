"""Whatever happens to a checkpoint's files, the newest good state comes back, or an error does."""

import os
import resource
import shutil
import signal
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from train.test_checkpoint import equal, make_state

from jaxconv.train import CheckpointError, NonFiniteError, RunError, Saving, fit
from jaxconv.train.checkpoint import Checkpoints
from jaxconv.train.manifest import DamagedError


def flip(path: Path, rng: np.random.Generator) -> None:
    content = bytearray(path.read_bytes())
    content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)


def truncate(path: Path, rng: np.random.Generator) -> None:
    os.truncate(path, int(rng.integers(path.stat().st_size)))


def empty(path: Path, rng: np.random.Generator) -> None:
    path.write_bytes(b"")


def remove(path: Path, rng: np.random.Generator) -> None:
    path.unlink()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    with Checkpoints(folder) as checkpoints:
        for step in (1, 2):
            checkpoints.save(make_state(step, ema=True))
    return folder


@pytest.mark.parametrize("damage", [flip, truncate, empty, remove])
def test_every_file_damaged_in_every_way(saved, tmp_path, damage):
    files = [path.relative_to(saved) for path in sorted((saved / "2").rglob("*")) if path.is_file()]
    assert [name.name for name in files] == ["manifest.json", "state.safetensors"]
    rng = np.random.default_rng(5)
    for number, name in enumerate(files * 10):
        folder = tmp_path / str(number)
        shutil.copytree(saved, folder)
        damage(folder / name, rng)
        said: list[str] = []
        with Checkpoints(folder, say=said.append) as checkpoints:
            back = checkpoints.restore(make_state(0, ema=True))
        assert equal(back, make_state(1, ema=True)), name
        assert len(said) == 1 and said[0].startswith("the checkpoint of step 2 is damaged and passed over"), name
        assert sorted(path.name for path in folder.iterdir()) == ["1", "2.damaged"]


def test_reading_for_another_purpose_leaves_the_damaged_one_where_it_is(saved, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(saved, folder)
    (folder / "2" / "manifest.json").unlink()
    state = make_state(0, ema=True)
    with Checkpoints(folder) as checkpoints:
        step, params, _ = checkpoints.restore_network(state.params, state.batch_stats)
        with pytest.raises(DamagedError, match=r"manifest.json cannot be read"):
            checkpoints.restore(state, step=2)
        with pytest.raises(FileNotFoundError, match=r"no checkpoint of step 3 under .*: there are \[1, 2\]"):
            checkpoints.restore(state, step=3)
    assert step == 1 and equal(params, make_state(1, ema=True).ema) and (folder / "2").is_dir()


def test_a_run_whose_newest_checkpoint_is_damaged_ends_at_the_same_bits(make_experiment, tmp_path, capsys):
    fit(make_experiment(), tmp_path / "whole", progress=False)
    fit(make_experiment(), tmp_path / "cut", progress=False)
    for step, name in (("10", "manifest.json"), ("7", "state.safetensors")):
        flip(tmp_path / "cut" / "checkpoints" / step / name, np.random.default_rng(0))
    (tmp_path / "cut" / "result.json").unlink()
    fit(make_experiment(), tmp_path / "cut", progress=False)
    for name in ("metrics.jsonl", "result.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()
    assert "the checkpoint of step 10 is damaged" in capsys.readouterr().err
    incidents = (tmp_path / "cut" / "incidents.jsonl").read_text()
    assert "step 10 is damaged" in incidents and "step 7 is damaged" in incidents
    assert sorted(p.name for p in (tmp_path / "cut" / "checkpoints").iterdir()) == [
        "10", "10.damaged", "4", "7", "7.damaged",
    ]  # fmt: skip


def test_a_run_without_a_good_checkpoint_starts_again(make_experiment, tmp_path, capsys):
    fit(make_experiment(), tmp_path / "run", progress=False)
    want = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    for path in (tmp_path / "run" / "checkpoints").glob("*/manifest.json"):
        path.write_text("{}")
    (tmp_path / "run" / "result.json").unlink()
    fit(make_experiment(), tmp_path / "run", progress=False)
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == want
    assert "no checkpoint is good: the run starts again" in capsys.readouterr().err


@pytest.fixture
def full_disk():
    """Files of this process end at 300 bytes, somewhat as on a full disk, until `release` is called."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def release() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    resource.setrlimit(resource.RLIMIT_FSIZE, (300, before[1]))
    yield release
    release()
    signal.signal(signal.SIGXFSZ, handler)


def test_a_save_that_does_not_fit_leaves_the_earlier_ones(tmp_path, full_disk):
    full_disk()
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(make_state(1))
        checkpoints.wait()
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        checkpoints.save(make_state(2))
        with pytest.raises(CheckpointError, match=r"the checkpoint of step 2 could not be saved: .*File too large"):
            checkpoints.wait()
        assert [path.name for path in tmp_path.iterdir()] == ["1"]
        full_disk()
        checkpoints.save(make_state(3))
        checkpoints.wait()
        assert checkpoints.steps() == [1, 3] and equal(checkpoints.restore(make_state()), make_state(3))


def failing_saves(monkeypatch, steps: set[int]) -> None:
    write = Checkpoints._write

    def failing(self, step, *arguments):
        if step in steps:
            raise OSError(28, "No space left on device")
        write(self, step, *arguments)

    monkeypatch.setattr(Checkpoints, "_write", failing)


def test_a_failed_save_stops_the_run_or_not_as_asked(make_experiment, tmp_path, monkeypatch, capsys):
    failing_saves(monkeypatch, {4})
    with pytest.raises(CheckpointError, match=r"the checkpoint of step 4 could not be saved: .*No space left"):
        fit(make_experiment(), tmp_path / "stopped", progress=False)
    fit(make_experiment(), tmp_path / "went_on", progress=False, saving=Saving(on_error="continue"))
    assert "step 4 could not be saved" in capsys.readouterr().err
    assert sorted(p.name for p in (tmp_path / "went_on" / "checkpoints").iterdir()) == ["10", "7"]


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / "7.partial" / "state").mkdir(parents=True)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.steps() == []
        checkpoints.save(make_state(8))
    assert [path.name for path in tmp_path.iterdir()] == ["8"]


def test_it_is_removed_where_nothing_is_saved_any_more(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(make_state(8))
    (tmp_path / "7.partial" / "state").mkdir(parents=True)
    with Checkpoints(tmp_path) as checkpoints:
        state = make_state()
        checkpoints.restore_network(state.params, state.batch_stats)  # of another process, perhaps
        assert (tmp_path / "7.partial").exists()
        checkpoints.restore(state)
    assert [path.name for path in tmp_path.iterdir()] == ["8"]


def test_the_best_stays(tmp_path):
    for metric, best in (("accuracy", 2), ("loss", 3)):
        with Checkpoints(tmp_path / metric, keep=1, keep_best=metric) as checkpoints:
            for step, accuracy in ((1, 0.5), (2, 0.9), (3, 0.2), (4, 0.8)):
                checkpoints.save(make_state(step), {"accuracy": accuracy, "loss": accuracy})
            checkpoints.save(make_state(5))
        assert Checkpoints(tmp_path / metric).steps() == [best, 5]


@pytest.mark.parametrize("value", [jnp.nan, jnp.inf])
def test_what_is_not_finite_is_never_saved(tmp_path, value):
    state = make_state(3)
    params = {**state.params, "norm": {**state.params["norm"], "bias": jnp.full(4, value)}}
    with Checkpoints(tmp_path) as checkpoints:
        with pytest.raises(
            NonFiniteError, match=r"step 3 must be finite .* 1 of \d+ arrays are not, first params.norm"
        ):
            checkpoints.save(type(state)(**{**vars(state), "params": params}))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("every", ["1", "2", "3", "0.001s"])
def test_saving_more_often_changes_no_bit(make_experiment, tmp_path, every):
    fit(make_experiment(), tmp_path / "plain", progress=False)
    fit(make_experiment(), tmp_path / "often", progress=False, saving=Saving(every=every, keep=100))
    for name in ("metrics.jsonl", "result.json"):
        assert (tmp_path / "plain" / name).read_bytes() == (tmp_path / "often" / name).read_bytes()
    steps = {int(p.name) for p in (tmp_path / "often" / "checkpoints").iterdir()}
    assert steps >= ({4, 7, 10} | (set() if every.endswith("s") else set(range(int(every), 11, int(every)))))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"keep": 0}, "keep must be positive; got 0"),
        ({"every": "0"}, "save_every must be steps such as 500 or seconds such as 60s; got 0"),
        ({"every": "1.5"}, "save_every must be .* got 1.5"),
        ({"every": "5m"}, "save_every must be .* got 5m"),
        ({"every": "-3"}, "save_every must be .* got -3"),
        ({"keep_best": "speed"}, "keep_best must be one of accuracy, loss; got speed"),
    ],
)
def test_mistakes(wrong, message):
    with pytest.raises(ValueError, match=message):
        Saving(**wrong)


DAMAGES = {
    "result.json": (b"{}", b"[]", b"", b'{"steps": 1'),
    "timing.jsonl": (b"\x00" * 500 + b"\n",),
}
"""What is made again from the last checkpoint, or decides nothing."""


@pytest.mark.parametrize(("name", "content"), [(name, content) for name in DAMAGES for content in DAMAGES[name]])
def test_a_run_makes_again_what_can_be_made_again(make_experiment, tmp_path, name, content):
    fit(make_experiment(), tmp_path / "run", progress=False)
    kept = ("metrics.jsonl", "result.json")
    want = [(tmp_path / "run" / file).read_bytes() for file in kept]
    (tmp_path / "run" / "result.json").unlink()
    (tmp_path / "run" / name).write_bytes(content)
    fit(make_experiment(), tmp_path / "run", progress=False)
    assert [(tmp_path / "run" / file).read_bytes() for file in kept] == want
    assert f"{name} is damaged" in (tmp_path / "run" / "incidents.jsonl").read_text()


@pytest.mark.parametrize("name", ["metrics.jsonl", "left_out.jsonl", "bad_images.jsonl"])
@pytest.mark.parametrize("content", [b"\x00" * 30 + b"\n", b'{"st\n', b'{"step": "x"}\n'])
def test_what_a_run_cannot_do_without_is_named(make_experiment, tmp_path, name, content):
    fit(make_experiment(), tmp_path / "run", progress=False)
    (tmp_path / "run" / "result.json").unlink()
    (tmp_path / "run" / name).write_bytes(content)
    with pytest.raises(RunError, match=rf"{name} is damaged: line 1: .*Expected objects with "):
        fit(make_experiment(), tmp_path / "run", progress=False)
    assert (tmp_path / "run" / name).read_bytes() == content


@pytest.mark.parametrize(("rows", "lacks"), [(None, 12), (0, 12), (5, 7)])
def test_metrics_that_end_before_the_checkpoint_are_an_incident(make_experiment, tmp_path, capsys, rows, lacks):
    fit(make_experiment(), tmp_path / "run", progress=False)
    (tmp_path / "run" / "result.json").unlink()
    path = tmp_path / "run" / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.unlink() if rows is None else path.write_text("".join(lines[:rows]))
    fit(make_experiment(), tmp_path / "run", progress=False)
    told = f"metrics.jsonl lacks {lacks} of the 12 rows up to the step from which the run goes on"
    assert told in capsys.readouterr().err and told in (tmp_path / "run" / "incidents.jsonl").read_text()


def test_a_file_among_the_checkpoints_that_is_called_like_an_unfinished_one_goes(tmp_path):
    (tmp_path / "x.partial").write_text("a stray file")
    (tmp_path / "y.partial").symlink_to(tmp_path)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(make_state(8))
    assert [path.name for path in tmp_path.iterdir()] == ["8"]
