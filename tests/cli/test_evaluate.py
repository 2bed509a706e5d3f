"""`jaxconv eval` finds the numbers that training found."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

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


def test_a_folder_is_shown_as_it_is_called(run, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "run[final]")
    assert main(["eval", str(tmp_path / "run[final]")]) == 0
    assert f"of {tmp_path / 'run[final]'}" in capsys.readouterr().out


def test_what_is_no_run_is_refused(tmp_path, capsys):
    assert main(["eval", str(tmp_path)]) == 2
    assert "is no run directory: it has no run.json. Expected what `jaxconv train" in capsys.readouterr().err


def test_a_batch_of_none_is_refused(run, capsys):
    assert main(["eval", str(run), "--batch-size", "0"]) == 2
    assert "--batch-size must be positive; got 0" in capsys.readouterr().err


@pytest.fixture
def striped(tmp_path, monkeypatch):
    """A folder of two classes of 8x8 images, and the command that trains on it."""
    monkeypatch.setenv("JAXCONV_CACHE", str(tmp_path / "cache"))
    for number in range(40):
        name = "ab"[number % 2]
        (tmp_path / "data" / name).mkdir(parents=True, exist_ok=True)
        pixels = np.full((8, 8), number, np.uint8)
        pixels[:: 2 if name == "a" else 1] += 180
        Image.fromarray(pixels).save(tmp_path / "data" / name / f"{number}.png")
    options = ["--model", "nielsen_conv1", "--epochs", "1", "--batch-size", "8", "--devices", "1", "--quiet"]
    return tmp_path / "data", ["train", "--data", str(tmp_path / "data"), *options, "--out", str(tmp_path / "run")]


def test_labels_that_are_not_the_network_s_are_refused_by_eval_and_by_train(striped, tmp_path, capsys):
    folder, command = striped
    assert main(command) == 0
    (folder / "a").rename(folder / "z")
    assert main(["eval", str(tmp_path / "run"), "--json"]) == 2
    captured = capsys.readouterr()
    assert "measured on data like those it was trained on" in captured.err
    assert "(classes: only there 'a'; only now 'z')" in captured.err and "{" not in captured.out
    assert main(command) == 2
    assert "train_data.classes: only there 'a'; only now 'z'" in capsys.readouterr().err


def test_images_of_another_shape_are_refused(striped, tmp_path, capsys):
    folder, command = striped
    assert main(command) == 0
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "a" / "colour.png")
    assert main(["eval", str(tmp_path / "run")]) == 2
    assert "(image_shape: [8, 8, 1] there, [8, 8, 3] now)" in capsys.readouterr().err


def test_a_run_goes_on_only_with_the_images_it_began_with(striped, tmp_path, capsys):
    folder, command = striped
    assert main(command) == 0
    for path in sorted((folder / "b").iterdir())[:3]:
        path.unlink()
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "another configuration (" in error and "_data.images: " in error
