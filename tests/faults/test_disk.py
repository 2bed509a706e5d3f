"""A disk that is really full: said at the step where it happens, nothing is lost, and there is a way on."""

import subprocess
from contextlib import contextmanager

import pytest
from faults import runs

pytestmark = pytest.mark.faults


@contextmanager
def small_disk(path, kibibytes: int):
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "none", str(path)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a tmpfs needs the right to mount")
    try:
        yield lambda kibibytes: subprocess.run(
            ["mount", "-o", f"remount,size={kibibytes}k", str(path)], check=True, capture_output=True
        )
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def state_kibibytes(whole) -> int:
    return (whole / "checkpoints" / "34" / "state.safetensors").stat().st_size // 1024


def test_the_run_stops_and_goes_on_when_there_is_room(whole, tmp_path):
    with small_disk(tmp_path / "disk", int(2.5 * state_kibibytes(whole))) as resize:
        out = tmp_path / "disk" / "run"
        code, error = runs.train(out)
        assert code == 1 and "the checkpoint of step 12 could not be saved: No space left" in error.replace(
            "Error while serializing: I/O error: ", ""
        )
        assert runs.checkpoints(out) == ["5", "10"]
        resize(10 * state_kibibytes(whole))
        assert runs.train(out)[0] == 0
        assert not runs.differences(whole, out)


def test_training_goes_on_if_asked_to_and_later_saves_succeed(whole, tmp_path):
    hold = runs.Hold(tmp_path, 21)
    with small_disk(tmp_path / "disk", int(2.5 * state_kibibytes(whole))) as resize:
        out = tmp_path / "disk" / "run"
        process = runs.start(out, "--on-save-error", "continue", command=hold.command)
        hold.reached(21, process)
        resize(10 * state_kibibytes(whole))
        hold.go_on(21)
        code, error = runs.end(process)
        assert code == 0 and "could not be saved" in error and "Training goes on." in error
        assert "the checkpoint of step 12 could not be saved" in runs.incidents(out)
        assert runs.checkpoints(out) == ["30", "34"]
        assert not runs.differences(whole, out)


def test_rows_wait_while_not_a_byte_is_free(whole, tmp_path):
    hold = runs.Hold(tmp_path, 1, 21)
    with small_disk(tmp_path / "disk", int(1.5 * state_kibibytes(whole))) as resize:
        out = tmp_path / "disk" / "run"
        process = runs.start(out, "--on-save-error", "continue", "--keep", "1", command=hold.command)
        hold.reached(1, process)  # later the page that holds the first row would have room for others
        filler = tmp_path / "disk" / "filler"
        subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=1k"], capture_output=True)
        hold.go_on(1)
        hold.reached(21, process)
        assert not (out / "metrics.jsonl").read_text() and not [*out.glob("checkpoints/*")]
        filler.unlink()
        resize(10 * state_kibibytes(whole))
        hold.go_on(21)
        code, error = runs.end(process)
        assert code == 0 and "metrics.jsonl could not be written: No space left" in error, error
        assert "Training goes on." in error
        assert not runs.differences(whole, out)
