"""The run directory keeps what defines a run and refuses everything else."""

import contextlib
import errno
import fcntl
import json
import os

import pytest

from jaxconv.train import Run, RunError, run
from jaxconv.train.record import Records


def test_a_new_directory_and_the_same_again(tmp_path):
    started = Run.start(tmp_path / "run", {"epochs": 3, "size": (8, 8)}, {"model": "x"})
    assert started.settings == {"epochs": 3, "size": [8, 8]} and started.result is None
    assert Run.start(tmp_path / "run", {"epochs": 3, "size": (8, 8)}, {"model": "x"}) == started
    started.finish({"steps": 7, "accuracy": 0.5})
    assert Run.open(tmp_path / "run").result == {"steps": 7, "accuracy": 0.5}


def test_differences_are_named(tmp_path):
    Run.start(tmp_path, {"epochs": 3, "seed": 0}, {})
    with pytest.raises(RunError, match=r"epochs: 3 there, 4 now; seed: 0 there, \(not set\) now; "):
        Run.start(tmp_path, {"epochs": 4, "extra": 1}, {})
    assert json.loads((tmp_path / "run.json").read_text())["settings"] == {"epochs": 3, "seed": 0}


def test_another_record_or_other_data_are_another_run(tmp_path):
    record = {"data": {"classes": ["a", "b"]}, "size": (8, 8)}
    Run.start(tmp_path, {"seed": 0}, record, {"train_data": {"images": 40}})
    assert Run.start(tmp_path, {"seed": 0}, record, {"train_data": {"images": 40}}).record["size"] == [8, 8]
    with pytest.raises(RunError, match=r"another configuration \(data.classes: only there 'a'; only now 'z'\)"):
        Run.start(tmp_path, {"seed": 0}, {**record, "data": {"classes": ["z", "b"]}}, {"train_data": {"images": 40}})
    with pytest.raises(RunError, match=r"another configuration \(train_data.images: 40 there, 39 now\)"):
        Run.start(tmp_path, {"seed": 0}, record, {"train_data": {"images": 39}})


def test_what_an_earlier_version_did_not_write_is_no_difference(tmp_path):
    (tmp_path / "run.json").write_text('{"settings": {"seed": 0}, "record": {"data": {"name": "x"}}}')
    run = Run.start(tmp_path, {"seed": 0}, {"data": {"name": "x", "classes": ["a"]}}, {"epochs": 3})
    assert run.experiment == {}


def test_foreign_directories_are_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="neither empty nor a run directory; it is left as it is"):
        Run.start(tmp_path, {}, {})
    with pytest.raises(RunError, match="neither empty nor a run directory"):
        Run.start(tmp_path / "thesis.txt", {}, {})
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_start_that_was_killed_is_no_foreign_directory(tmp_path):
    (tmp_path / "run.json.partial").write_text('{"sett')
    assert Run.start(tmp_path, {"seed": 1}, {}).settings == {"seed": 1}


def test_of_two_first_starts_at_the_same_moment_the_later_one_is_measured_by_the_earlier(tmp_path, monkeypatch):
    def overtaken(path, text):
        monkeypatch.undo()
        Run.start(tmp_path, {"seed": 1}, {})
        run.create_text(path, text)

    monkeypatch.setattr(run, "create_text", overtaken)
    with pytest.raises(RunError, match="seed: 1 there, 2 now"):
        Run.start(tmp_path, {"seed": 2}, {})
    assert Run.open(tmp_path).settings == {"seed": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_directory_is_held_by_one_and_free_afterwards(tmp_path):
    started = Run.start(tmp_path, {}, {})
    for _ in range(2):
        with started.held(), pytest.raises(run.InUseError, match="another process trains there"), started.held():
            pass


def test_the_lock_is_one_that_nfs_gives(tmp_path, monkeypatch):
    modes = []
    monkeypatch.setattr(fcntl, "flock", lambda file, how: modes.append(fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE))
    with Run.start(tmp_path, {}, {}).held():
        assert modes == [os.O_RDWR]


def test_where_there_are_no_locks_the_run_goes_on_and_says_so(tmp_path, monkeypatch, capsys):
    def flock(file, how):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with Run.start(tmp_path, {}, {}).held():
        assert "cannot be locked (No locks available)" in capsys.readouterr().err
    assert "see to it that no other process trains there" in (tmp_path / "incidents.jsonl").read_text()


def test_a_flipped_bit_in_the_description_is_damage(tmp_path):
    Run.start(tmp_path, {"seed": 1}, {"name": "é", "preprocess": {"mean": [0.13]}}, {"epochs": 3})
    path = tmp_path / "run.json"
    content, accepted = path.read_bytes(), []
    for place in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        with contextlib.suppress(RunError):
            accepted.append(Run.open(tmp_path))
    path.write_bytes(content)
    assert set(map(str, accepted)) == {str(Run.open(tmp_path))}  # spaces became others


def test_what_is_no_run_is_refused_with_what_was_expected(tmp_path):
    with pytest.raises(RunError, match=r"there is no such directory. Expected what `jaxconv train"):
        Run.open(tmp_path / "absent")
    with pytest.raises(RunError, match=r"it has no run.json. Expected"):
        Run.open(tmp_path)
    (tmp_path / "run.json").write_text('{"settings": ')
    with pytest.raises(RunError, match=r"run.json is damaged: JSONDecodeError"):
        Run.open(tmp_path)
    (tmp_path / "run.json").write_bytes(b"\xff\x00\xfe")
    with pytest.raises(RunError, match=r"run.json is damaged: UnicodeDecodeError"):
        Run.open(tmp_path)
    for content in ("{}", '{"settings": 1, "record": 2}', '{"settings": [], "record": {}, "experiment": {}}'):
        (tmp_path / "run.json").write_text(content)
        with pytest.raises(RunError, match=r"run.json is damaged: settings.* Expected an object with settings and rec"):
            Run.open(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"steps": 2', b'{"steps": "2"}', b"\xff\xfe\x00"])
def test_a_damaged_result_is_none(tmp_path, content):
    started = Run.start(tmp_path, {}, {})
    (tmp_path / "result.json").write_bytes(content)
    assert started.result is None


def test_a_result_with_a_flipped_bit_is_none(tmp_path):
    run = Run.start(tmp_path, {}, {})
    run.finish({"steps": 7, "accuracy": 0.5})
    content = (tmp_path / "result.json").read_bytes()
    (tmp_path / "result.json").write_bytes(content.replace(b"accuracy", b"accurac9"))
    assert run.result is None
    (tmp_path / "result.json").write_bytes(content.replace(b"0.5", b"0.7"))
    assert run.result is None
    (tmp_path / "result.json").write_text('{"steps": 7, "accuracy": 0.5}')  # as an earlier version wrote it
    assert run.result == {"steps": 7, "accuracy": 0.5}


def test_a_start_is_noted(tmp_path):
    started = Run.start(tmp_path, {}, {})
    started.note_start()
    started.note_start()
    assert len((tmp_path / "command.txt").read_text().splitlines()) == 2
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment["packages"]["jax"] and environment["device"] == {"platform": "cpu", "kind": "cpu", "count": 8}


def test_records_beyond_the_step_and_cut_lines_are_dropped(tmp_path):
    with Records(tmp_path, 0) as records:
        for step in (1, 2, 3):
            records.metrics(step, "train", {"loss": 1.0 / step})
            records.timing(step, 10.04)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "spl')
    with Records(tmp_path, 2) as records:
        records.metrics(3, "eval", {"loss": 0.25})
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(r["step"], r["split"], r["loss"]) for r in rows] == [
        (1, "train", 1.0),
        (2, "train", 0.5),
        (3, "eval", 0.25),
    ]
    assert json.loads((tmp_path / "timing.jsonl").read_text().splitlines()[-1]) == {
        "step": 2,
        "images_per_second": 10.0,
    }


def three_rows(folder):
    with Records(folder, 0) as records:
        for step in (1, 2, 3):
            records.metrics(step, "train", {"loss": 1 / step})
            records.timing(step, 10.0)


@pytest.mark.parametrize(("kept", "lacks"), [(None, 3), (0, 3), (1, 2), (3, 0)])
def test_rows_that_are_missing_are_told(tmp_path, kept, lacks):
    three_rows(tmp_path)
    path, told = tmp_path / "metrics.jsonl", []
    lines = path.read_text().splitlines(keepends=True)
    path.unlink() if kept is None else path.write_text("".join(lines[:kept]))
    with Records(tmp_path, 3, say=told.append) as records:
        records.require_rows([(1, "train"), (2, "train"), (3, "train")])
    first = 4 - lacks
    assert told == ([f"{path} lacks {lacks} of the 3 rows up to the step from which the run goes on, the first one of "
                     f"step {first} (train): those steps are not taken again."] if lacks else [])  # fmt: skip


def test_metrics_that_cannot_be_read_are_refused_and_left_as_they_are(tmp_path):
    three_rows(tmp_path)
    path = tmp_path / "metrics.jsonl"
    content = bytearray(path.read_bytes())
    content[10:20] = bytes(10)
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"metrics.jsonl is damaged: line 1: .* Expected objects with step and split"):
        Records(tmp_path, 3)
    assert path.read_bytes() == content


def test_times_that_cannot_be_read_are_set_aside(tmp_path):
    three_rows(tmp_path)
    told = []
    for number, name in enumerate(["timing.jsonl.damaged", "timing.jsonl.damaged-1"]):
        (tmp_path / "timing.jsonl").write_bytes(b"\x00\xff garbage\n")
        with Records(tmp_path, 3, say=told.append) as records:
            records.timing(4, 20.0)
        assert (tmp_path / name).read_bytes() == b"\x00\xff garbage\n"
        assert "timing.jsonl is damaged: line 1: " in told[number] and f"set aside as {name}." in told[number]
        assert [json.loads(line)["step"] for line in (tmp_path / "timing.jsonl").read_text().splitlines()] == [4]
