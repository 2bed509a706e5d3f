"""`jaxconv predict` on files, folders and things that are no images."""

import errno
import io
import json
import os
import re
import shutil
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxconv.cli import classifier, main, predict
from jaxconv.data import imagenet_classes, load_dataset
from jaxconv.models import create_model, model_info, save_weights


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    _, test = load_dataset("digits")
    for i in range(6):
        Image.fromarray(test.images[i, ..., 0]).resize((24, 24)).save(folder / f"{i}.png")
    return folder, test.labels[:6]


def rows(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_folder_as_json(run, digits, capsys):
    folder, labels = digits
    assert main(["predict", str(run), str(folder), "--json", "--batch-size", "4"]) == 0
    got = rows(capsys)
    assert [row["image"] for row in got] == [str(folder / f"{i}.png") for i in range(6)]
    for row in got:
        probabilities = [t["probability"] for t in row["top"]]
        assert (
            len(row["top"]) == 5
            and probabilities == sorted(probabilities, reverse=True)
            and sum(probabilities) <= 1.001
        )
        assert all(t["class"] == str(t["index"]) for t in row["top"])
    assert sum(row["top"][0]["index"] == label for row, label in zip(got, labels)) >= 3


def test_files_as_a_table(run, digits, capsys):
    folder, _ = digits
    assert main(["predict", str(run), str(folder / "1.png"), str(folder / "2.png"), "--top", "2"]) == 0
    output = capsys.readouterr().out
    assert "1.png" in output and "2.png" in output and output.count("%") == 4


def test_names_are_shown_as_they_are(run, digits, tmp_path, capsys):
    names = ["photo[copy].png", "x[bold].png", ":key:.png", "[red].png"]
    for name in names:
        shutil.copy(digits[0] / "1.png", tmp_path / name)
    (tmp_path / "x[").mkdir()
    shutil.copy(digits[0] / "1.png", tmp_path / "x[" / "b].png")
    assert main(["predict", str(run), *(str(tmp_path / name) for name in [*names, "x[/b].png"]), "--top", "1"]) == 0
    output = capsys.readouterr().out
    assert all(name in output for name in [*names, "x[/b].png"])


def test_names_may_be_any_bytes(run, digits, tmp_path, capsys):
    shutil.copy(digits[0] / "1.png", os.fsencode(tmp_path) + b"/caf\xe9.png")
    assert main(["predict", str(run), str(tmp_path)]) == 0 and "caf\\udce9.png" in capsys.readouterr().out
    assert main(["predict", str(run), str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["image"].endswith("caf\udce9.png")


def test_bad_images_are_named_and_the_others_predicted(run, digits, tmp_path, capsys):
    folder, _ = digits
    (tmp_path / "notes.png").write_text("no image")
    np.save(tmp_path / "cube.npy", np.zeros((3, 3, 3, 3), np.uint8))
    names = [folder / "0.png", tmp_path / "notes.png", tmp_path / "cube.npy", tmp_path / "absent.png", folder / "1.png"]
    assert main(["predict", str(run), *map(str, names), "--json"]) == 1
    captured = capsys.readouterr()
    assert [json.loads(line)["image"] for line in captured.out.splitlines()] == [str(names[0]), str(names[-1])]
    for name in ("notes.png", "cube.npy", "absent.png"):
        assert name in captured.err
    assert "3 of 5 images could not be predicted" in captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--top", "0"], "--top must be positive; got 0"),
        (["--batch-size", "0"], "--batch-size must be positive; got 0"),
    ],
)
def test_mistakes_name_the_flag(run, digits, arguments, message, capsys):
    assert main(["predict", str(run), str(digits[0]), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_an_empty_name_is_not_the_folder_that_one_is_in(run, digits, monkeypatch, capsys):
    monkeypatch.chdir(digits[0])
    assert main(["predict", str(run), ""]) == 2
    assert "got an empty name" in capsys.readouterr().err


def test_an_image_without_rights_is_named_and_the_others_predicted(run, digits, tmp_path, monkeypatch, capsys):
    there = Path.stat

    def stat(self, **options):
        if self.name == "secret.png":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return there(self, **options)

    monkeypatch.setattr(Path, "stat", stat)
    assert main(["predict", str(run), str(tmp_path / "secret.png"), str(digits[0] / "0.png"), "--json"]) == 1
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 1 and "1 of 2 images could not be predicted" in captured.err


def test_images_are_read_as_they_are_needed(run, digits, monkeypatch, capsys):
    """Of a large folder no more than a batch is kept, and the first lines come at once."""
    events, printed, read = [], print, classifier.read_image
    monkeypatch.setattr(classifier, "read_image", lambda *a, **k: events.append("read") or read(*a, **k))
    monkeypatch.setattr("builtins.print", lambda *a, **k: events.append("print") or printed(*a, **k))
    assert main(["predict", str(run), str(digits[0]), "--json", "--batch-size", "2"]) == 0
    assert events == ["read", "read", "print", "print"] * 3


def test_nothing_is_cut_off_on_a_narrow_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "44")
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    predict._show([{"image": "pictures/holiday.jpg", "top": [{"class": "beagle", "probability": 0.2}] * 5}])
    assert "…" not in out.getvalue()


@pytest.mark.parametrize("arguments", [["--json", "--batch-size", "1"], ["--help"]])
def test_what_closes_the_output_early_gets_no_complaint(run, digits, arguments, monkeypatch, capsys):
    """As `| head -1` does; nor does Python complain at its end, when it writes what is left."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as out:
        monkeypatch.setattr("sys.stdout", out)
        assert main(["predict", str(run), str(digits[0]), *arguments]) == 141
    assert capsys.readouterr().err == ""


def test_pillow_does_not_talk_about_notes_in_photographs(run, tmp_path, capsys):
    notes = Image.Exif()
    notes[0x0112] = 1
    Image.new("L", (24, 24)).save(tmp_path / "a.jpg", exif=notes.tobytes()[:-8])
    assert main(["predict", str(run), str(tmp_path / "a.jpg")]) == 0
    assert capsys.readouterr().err == ""


def test_a_call_without_images(run, capsys):
    try:
        code = main(["predict", str(run)])
    except SystemExit as stop:
        code = stop.code
    assert code == 2 and "images" in capsys.readouterr().err.lower()


def test_what_is_no_run_is_refused(tmp_path, capsys):
    assert main(["predict", str(tmp_path / "absent"), str(tmp_path)]) == 2
    assert "there is no such directory. Expected" in capsys.readouterr().err


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_weights(create_model("test_resnet", key=3), path)
    return path


def test_a_published_network(weights, digits, capsys):
    folder, _ = digits
    assert main(["predict", "test_resnet.r160_in1k", str(folder), "--weights", str(weights), "--json"]) == 0
    model = create_model("test_resnet", pretrained=weights, key=None)
    info = model_info("test_resnet.r160_in1k")
    resized = round(info.input_size[0] / info.crop_pct)
    for row in rows(capsys):
        image = Image.open(row["image"]).convert("RGB").resize((resized, resized), Image.Resampling.BILINEAR)
        side, edge = info.input_size[0], round((resized - info.input_size[0]) / 2)
        x = np.asarray(image.crop((edge, edge, edge + side, edge + side)), np.float32) / 255
        probabilities = np.asarray(
            jax.nn.softmax(model(jnp.asarray((x[None] - np.float32(info.mean)) / np.float32(info.std))))
        )[0]
        best = row["top"][0]
        assert best["index"] == probabilities.argmax() and best["class"] == imagenet_classes()[best["index"]]
        np.testing.assert_allclose(best["probability"], probabilities.max(), rtol=1e-4)


def test_a_published_network_at_another_size(weights, digits, capsys):
    arguments = ["predict", "test_resnet", str(digits[0] / "0.png"), "--weights", str(weights), "--json"]
    assert main(arguments) == 0 and main([*arguments, "--size", "64"]) == 0
    first, second = rows(capsys)
    assert first["top"][0]["probability"] != second["top"][0]["probability"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resnet5"], "resnet5 is neither a run directory nor a network. .* closest names: resnet50"),
        (["resnet50.a7_in1k"], "resnet50 has no checkpoint 'a7_in1k'"),
        (["test_resnet", "--size", "0"], "--size must be positive; got 0"),
        (["vgg11", "--weights", "absent.safetensors"], "absent.safetensors"),
    ],
)
def test_mistakes_about_networks(digits, arguments, message, capsys):
    assert main(["predict", arguments[0], str(digits[0]), *arguments[1:]]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_what_is_not_installed_is_one_line(digits, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert main(["predict", "resnet50.a1_in1k", str(digits[0] / "0.png")]) == 2
    error = capsys.readouterr().err
    assert "pip install 'jaxconv[pretrained]'" in error and error.count("\n") == 1


def test_a_run_has_its_own_weights(run, digits, capsys):
    assert main(["predict", str(run), str(digits[0]), "--size", "64"]) == 2
    assert "belong to a network's name" in capsys.readouterr().err
