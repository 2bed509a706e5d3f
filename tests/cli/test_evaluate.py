"""`jaxconv eval` finds the numbers that training found."""

import json

import pytest

from jaxconv.cli import main


@pytest.mark.parametrize("batch_size", [7, 360])
def test_the_numbers_of_training_come_back(run, capsys, batch_size):
    assert main(["eval", str(run), "--json", "--batch-size", str(batch_size)]) == 0
    got = json.loads(capsys.readouterr().out)
    want = json.loads((run / "result.json").read_text())
    assert got["correct"] == want["correct"] and got["images"] == 360 and got["step"] == want["steps"]
    assert got["loss"] == pytest.approx(want["loss"], rel=1e-5)


def test_the_table(run, capsys):
    assert main(["eval", str(run)]) == 0
    output = capsys.readouterr().out
    assert "of 360 images" in output and "nielsen_conv1, digits" in output


def test_what_is_no_run_is_refused(tmp_path, capsys):
    assert main(["eval", str(tmp_path)]) == 2
    assert "is no run directory: it has no run.json. Expected what `jaxconv train" in capsys.readouterr().err


def test_a_batch_of_none_is_refused(run, capsys):
    assert main(["eval", str(run), "--batch-size", "0"]) == 2
    assert "--batch-size must be positive; got 0" in capsys.readouterr().err
