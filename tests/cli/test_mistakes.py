"""What a clumsy or malicious user types: exit code 2, one message with the rule and the values, nothing left behind.

The cases that belong to one command's own tests stand there; here are the odd ones, a line each.
"""

import os
import re
import shlex
import shutil
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxconv.cli import main
from jaxconv.models import create_model, save_weights

TRAIN = {
    "--data ./nowhere": r"--data ./nowhere: a data set is digits, a TFDS name or a folder .*; nowhere is not a folder",
    "--data ./file": r"--data ./file: .* file is not a folder",
    "--data ''": r"--data : a data set is digits, a TFDS name or a folder of images; got ''",
    "--data ./empty": r"--data ./empty: a data set in a folder has one folder a class; empty has none",
    "--data ./notes": r"one folder a class; notes has none",
    "--data ./hollow": r"--data ./hollow: hollow/a holds no image; looked for names in",
    "--data ./broken --batch-size 8 --max-bad-images 0": r"--max-bad-images must not be .*: broken/a/3.png: not",
    "--data ./few": r"few has too few images to hold out a fifth",
    "--data ./alone --batch-size 4": r"a classifier is trained on two classes or more; alone has 1",
    "--data ./strange": r"strange/val has the classes of strange/train only; got also \['c'\]",
    "--data ./halved": r"beside train there is one of val, validation, valid, test; halved has none of them",
    "--data cifar11": r"--data cifar11: .* 'cifar11' is none of them. The closest: .*cifar10",
    "--data DIGITS": r"--data DIGITS: .* 'DIGITS' is none of them. The closest:",
    "--data mnist:9.9.9": r"mnist is made here in version \S+ and no configuration; got 'mnist:9.9.9'",
    "--data mnist/large": r"mnist is made here in version \S+ and no configuration; got 'mnist/large'",
    "--data mnist --data-dir absent": r"--data-dir names a folder; absent is none",
    "--data mnist --data-dir file": r"--data-dir names a folder; file is none",
    "--model LeNet5": r"--model: There is no network 'LeNet5'. The closest names: lenet5",
    "--model RESNET50": r"--model: There is no network 'RESNET50'. The closest names: resnet50",
    "--model ''": r"--model: There is no network ''",
    "--model resnet50.nope": r"--model: resnet50 has no checkpoint 'nope': it has a1_in1k",
    "--model lenet5.x": r"--model: No published weights are known for lenet5",
    "--model vgg11 --image-size 8": r"--image-size: vgg11 takes images that leave each layer .* of 8x8 pixels: An",
    "--model inception_v3": r"--image-size: inception_v3 takes .* of 8x8 pixels: An output would be empty",
    "--image-size 0": r"--image-size must be positive; got 0",
    "--image-size 7.5": r"--image-size",
    "--drop-rate 1": r"--drop-rate must be a probability in \[0, 1\); got 1.0",
    "--drop-rate nan": r"--drop-rate must be a probability in \[0, 1\); got nan",
    "--drop-rate half": r"--drop-rate",
    "--drop-rate 0.1 --model lenet5": r"--drop-rate must be a setting .*; lenet5 takes none of these flags",
    "--drop-path-rate -0.1": r"--drop-path-rate must be a probability in \[0, 1\); got -0.1",
    "--drop-path-rate 0.1": r"--drop-path-rate must be a setting of the network; nielsen_conv1 takes --drop-rate\.",
    "--aux-logits --model resnet18": r"--aux-logits .*; resnet18 takes --drop-rate, --drop-path-rate\.",
    "--aux-logits --drop-path-rate 0 --model googlenet": r"--drop-path-rate .*; googlenet takes --drop-rate, --aux-log",
    "--aux-logits --model inception_v3 --image-size 128": r"--image-size: inception_v3 takes .* of 128x128 pixels: An",
    "--aux-logits --model googlenet_paper --image-size 64": r"--image-size: googlenet_paper takes .* of 64x64 pixels",
    "--aux-logits=yes": r"Unrecognized options: yes",
    "--epochs 1.5": r"--epochs: invalid literal for int\(\) with base 10: '1.5'",
    "--epochs 1e3": r"--epochs: invalid literal",
    "--epochs nan": r"--epochs: invalid literal",
    "--epochs 99999999999": r"--epochs must stay below 2147483647 steps in all, .* got 99999999999 epochs",
    "--batch-size 0": r"--batch-size must be positive; got 0",
    "--batch-size 1438": r"--batch-size must not exceed the number of training images; got 1438 for 1437",
    "--devices 0": r"--devices must be positive; got 0",
    "--devices -1": r"--devices must be positive; got -1",
    "--devices 1.5": r"--devices",
    "--learning-rate 0": r"--learning-rate must be positive; got 0",
    "--learning-rate inf": r"--learning-rate must be positive; got inf",
    "--learning-rate 1e300": r"--learning-rate must be positive and at most 3.4e\+38; got 1e\+300",
    "--learning-rate fast": r"--learning-rate",
    "--weight-decay nan": r"--weight-decay must be zero or positive; got nan",
    "--weight-decay inf": r"--weight-decay must be zero or positive; got inf",
    "--seed 4294967296": r"--seed must lie between 0 and 2\*\*32 - 1; got 4294967296",
    "--seed 0.5": r"--seed: invalid literal",
    "--dtype float16": r"invalid choice 'float16' for argument '--dtype'. Expected one of \('float32', 'bfloat16'\)",
    "--loss mse": r"invalid choice 'mse' for argument '--loss'",
    "--schedule cos": r"invalid choice 'cos' for argument '--schedule'",
    "--augment rotate": r"invalid choice 'rotate' for argument '--augment'",
    "--keep 0": r"--keep must be positive; got 0",
    "--keep-best f1": r"invalid choice 'f1' for argument '--keep-best'",
    "--save-every 0": r"--save-every must be steps such as 500 or seconds such as 60s; got 0",
    "--save-every 5m": r"--save-every must be .* got 5m",
    "--on-save-error ignore": r"invalid choice 'ignore' for argument '--on-save-error'",
    "--quiet=3": r"Unrecognized options: 3",
    "surplus": r"Unrecognized options: surplus",
}
"""Behind `jaxconv train --devices 1 --model nielsen_conv1 --out out`, whose values they replace."""

OTHERS = {
    "train --out": r"Missing value for argument '--out'",
    "train --devices 1 --out file": r"--out must be a new directory or that of a run; file is neither .*left as it is",
    "train --devices 1 --out broken": r"broken is neither empty nor a run directory; it is left as it is",
    "train --devices 1 --out file/run": r"--out must be a directory that can be written; file/run: Not a directory",
    "train --devices 1 --out /proc/run": r"--out must be a directory that can be written; /proc/run: No such file",
    "train --devices 1 --out torn": r"torn/run.json is damaged: .*Expected an object with settings and record",
    "train --devices 1 --model nielsen_conv1 --epochs 9 --out RUN": r"another configuration \(epochs: 2 there, 9 now\)",
    "eval": r"Missing from jaxconv eval: PATH",
    "eval absent": r"absent is no run directory: there is no such directory",
    "eval file": r"file is no run directory: it has no run.json",
    "eval torn": r"torn/run.json is damaged",
    "eval listed": r"listed/run.json is damaged",
    "eval blank": r"the record in run.json must hold model, preprocess and data, .*it lacks model, preprocess, data",
    "eval RUN --devices 0": r"--devices must lie between 1 and the number of devices here; got 0 of 8",
    "eval RUN --devices 9": r"--devices must lie between 1 and .* got 9 of 8",
    "eval RUN --data-dir absent": r"--data-dir names a folder; absent is none",
    "eval RUN --batch-size 1.5": r"--batch-size: invalid literal",
    "eval RUN surplus": r"Unrecognized options: surplus",
    "eval fresh": r"fresh has no checkpoint yet: the first one is saved after the first epoch",
    "predict": r"Missing from jaxconv predict: RUN\|NETWORK",
    "predict '' ok.png": r"an empty name is neither a run directory nor a network",
    "predict blank ok.png": r"it lacks model, preprocess, data",
    "predict RUN empty": r"empty holds no image; looked for names in",
    "predict RUN notes": r"notes holds no image",
    "predict LENET5 ok.png": r"LENET5 is neither a run directory nor a network. .* closest names: lenet5",
    "predict lenet5 ok.png": r"No published weights are known for lenet5",
    "predict RUN ok.png --weights w.npz": r"--weights and --size belong to a network's name",
    "predict test_resnet ok.png --weights absent.npz": r"--weights: .*No such file.*absent.npz",
    "predict test_resnet ok.png --weights empty": r"--weights: empty holds none of model.safetensors, ",
    "predict test_resnet ok.png --weights file": r"--weights: file is of no known format",
    "predict test_resnet ok.png --weights objects.npz": r"--weights: objects.npz: weights are arrays of numbers; a",
    "predict test_resnet ok.png --weights w.npz": r"--weights: The checkpoint .* does not fit test_resnet",
    "predict squeezenet1_1 ok.png --weights squeezenet.safetensors --size 8": r"--size: .* of 8x8 pixels: An output",
    "summary": r"Missing from jaxconv summary",
    "summary RESNET50": r"There is no network 'RESNET50'. The closest names: resnet50",
    "summary lenet5 --size 3": r"--size",
    "summary alexnet --size 16 16": r"--size: alexnet takes images that .* of 16x16 pixels: An output would be empty",
    "summary resnet50 --num-classes -1": r"--num-classes must be zero or positive; got -1",
    "list [": r"no network matches '\['; `jaxconv list` shows all \d+",
    "list a b": r"Unrecognized options: b",
    "convert": r"Missing from jaxconv convert",
    "convert absent.pth out.safetensors": r"what is converted is a file of weights; there is no file absent.pth",
    "convert empty out.safetensors": r"there is no file empty",
    "convert file out.safetensors": r"file is of no known format .*: weights are safetensors, PyTorch files",
    "convert objects.npz out.safetensors": r"objects.npz: weights are arrays of numbers; a cannot be read so",
    "convert w.npz ok.png": r"the file to write must end in .safetensors; got ok.png",
    "convert w.npz absent/out.safetensors": r"the folder of the file to write must exist; there is no folder absent",
    "convert w.npz file/out.safetensors": r"there is no folder file",
    "mend RUN": r"Unrecognized options: mend, RUN.*Available subcommands: train, eval, predict",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder of things that no command can use, and a few that it can."""
    place = tmp_path_factory.mktemp("place")
    (place / "file").write_text("x")
    for name in ("empty", "hollow/a", "hollow/b", "notes", "torn", "listed", "blank"):
        (place / name).mkdir(parents=True)
    (place / "notes" / "readme.txt").write_text("no image")
    for name, text in (("torn", "{"), ("listed", "[1]"), ("blank", '{"settings": {}, "record": {}}')):
        (place / name / "run.json").write_text(text)
    for name in ("broken/a", "broken/b", "few/a", "alone/a", "halved/train/a", "halved/train/b"):
        _images(place / name, 1 if name == "few/a" else 20)
    for name in ("train/a", "train/b", "val/a", "val/c"):
        _images(place / "strange" / name, 3)
    (place / "broken" / "a" / "3.png").write_text("junk")
    shutil.copy(place / "alone" / "a" / "0.png", place / "ok.png")
    np.savez(place / "w.npz", a=np.zeros(3))
    np.savez(place / "objects.npz", a=np.array([{}], dtype=object))
    save_weights(create_model("squeezenet1_1"), place / "squeezenet.safetensors")
    return place


def _images(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for i in range(count):
        Image.fromarray(np.full((8, 8), 10 * i, np.uint8)).save(folder / f"{i}.png")


@pytest.fixture
def call(place, run, tmp_path, monkeypatch, capsys):
    """Run a command line in the folder; returns code and message, and holds it to leave nothing there."""
    if not (place / "fresh").exists():
        shutil.copytree(run, place / "fresh", ignore=shutil.ignore_patterns("[0-9]*"))
    monkeypatch.chdir(place)
    monkeypatch.setenv("JAXCONV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))

    def call(line: str) -> tuple[int, str]:
        before = _everything(place), _everything(run)
        try:
            code = main([str(run) if word == "RUN" else word for word in shlex.split(line)])
        except SystemExit as stop:
            assert isinstance(stop.code, int)
            code = stop.code
        assert (_everything(place), _everything(run)) == before
        captured = capsys.readouterr()
        text = re.sub(r"[╭╮╰╯│─\s]+", " ", captured.err + captured.out)
        assert "Traceback" not in text
        return code, text.replace(str(run), "RUN")

    return call


def _everything(folder: Path) -> dict[str, tuple[int, int]]:
    found = [Path(root, name) for root, folders, files in os.walk(folder) for name in (*folders, *files)]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


@pytest.mark.parametrize("line", TRAIN)
def test_train(call, line):
    base = {"--devices": "1", "--model": "nielsen_conv1", "--out": "out"}
    given = " ".join(f"{flag} {value}" for flag, value in base.items() if flag not in line.split())
    code, text = call(f"train {given} {line}")
    assert code == 2 and re.search(TRAIN[line], text), text


@pytest.mark.parametrize("line", OTHERS)
def test_other_calls(call, line):
    code, text = call(line)
    assert code == 2 and re.search(OTHERS[line], text), text


def test_a_name_that_is_too_long(call):
    for line in (f"predict RUN {5000 * 'a'}", f"predict {5000 * 'a'} ok.png", f"eval {5000 * 'a'}"):
        code, text = call(line)
        assert code == 2 and text.count("jaxconv: error:") == 1, line


def test_the_variable_is_named_that_names_a_file(call, place, monkeypatch):
    monkeypatch.setenv("JAXCONV_CACHE", str(place / "file"))
    code, text = call("train --data ./alone --devices 1 --out out")
    assert code == 2 and "jaxconv: error: JAXCONV_CACHE must name a folder" in text


def test_what_may_go_well_another_time_has_another_code(call, place, monkeypatch):
    """Exit code 1: whoever started the run may start it again."""

    def cut_off(*_, **__):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", cut_off)
    archive = place / "notes" / "train-images-idx3-ubyte.gz"
    archive.write_bytes(b"a damaged archive")
    code, text = call("train --data mnist --data-dir notes --out out --devices 1")
    archive.unlink()
    assert code == 1 and re.search(r"could not be downloaded.*no network", text)
    assert re.search(r"notes/train-images-idx3-ubyte.gz has 17 bytes and SHA-256 .*; expected 9,912,422", text)


def test_a_full_memory_is_no_mistake_of_the_call(call, monkeypatch):
    monkeypatch.setattr("jaxconv.cli.knobs.load_dataset", _full)
    code, text = call("train --devices 1 --out out")
    assert code == 1 and "the memory is full. Unable to allocate 7 EiB" in text


def _full(*_, **__):
    raise MemoryError("Unable to allocate 7 EiB")
