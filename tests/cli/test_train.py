"""`jaxconv train` from its command line."""

import json
import re
import signal
import subprocess
import sys
import time
from typing import get_args, get_type_hints

import pytest
from cli.conftest import ARGUMENTS

from jaxconv.cli import main
from jaxconv.cli.knobs import AUGMENTATIONS, LOSSES, Knobs
from jaxconv.cli.users import named_as_flag
from jaxconv.train import OPTIMIZERS, SCHEDULES


def test_trains_and_says_where(run, capsys):
    assert main(["train", *ARGUMENTS, "--out", str(run)]) == 0
    output = capsys.readouterr().out
    assert "nielsen_conv1 on digits: 1,437 training images, 360 test images" in output
    assert "this run had been finished before" in output and str(run) in output
    assert json.loads((run / "result.json").read_text())["images"] == 360


def test_prints_progress_and_a_table(tmp_path, capsys):
    assert main(["train", *ARGUMENTS, "--epochs", "1", "--out", str(tmp_path / "run")]) == 0
    output = capsys.readouterr().out
    assert re.search(r"epoch 1/1  test loss \d\.\d{4}  test accuracy \d+\.\d\d% \(\d+/360\)  [\d,]+ images/s", output)
    assert re.search(r"test accuracy +│ \d+\.\d\d%  \(\d+ of 360 images\)", output)
    assert re.search(r"time +│ \d+\.\d s, of which \d+\.\d s until the first step", output)


def test_a_run_of_one_step_had_not_been_finished_before(tmp_path, capsys):
    assert main(["train", *ARGUMENTS, "--epochs", "1", "--batch-size", "1437", "--out", str(tmp_path / "run")]) == 0
    output = capsys.readouterr().out
    assert re.search(r"time +│ \d+\.\d s, of which", output) and "finished before" not in output


def test_another_configuration_is_refused(run, capsys):
    assert main(["train", *ARGUMENTS, "--seed", "5", "--out", str(run)]) == 2
    assert "another configuration (seed: 0 there, 5 now)" in capsys.readouterr().err


def test_places_may_change(run):
    assert main(["train", *ARGUMENTS[:-1], "2", "--data-dir", str(run), "--out", str(run), "--quiet"]) == 0


@pytest.mark.slow
def test_batch_norm_in_half_precision_with_flips_and_the_hinge_loss(tmp_path):
    arguments = [
        "--model",
        "conv_pyramid",
        "--epochs",
        "1",
        "--batch-size",
        "256",
        "--dtype",
        "bfloat16",
        "--quiet",
        "--devices",
        "1",
    ]
    options = ["--loss", "hinge", "--augment", "shift+flip", "--optimizer", "lamb", "--schedule", "steps"]
    assert main(["train", *arguments, *options, "--out", str(tmp_path / "run")]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "--epochs must be positive; got 0"),
        (["--batch-size", "-3"], "--batch-size must be positive; got -3"),
        (["--batch-size", "9999"], "--batch-size must not exceed the number of training images; got 9999 for 1437"),
        (["--batch-size", "60"], "--batch-size must be a multiple of the number of devices; got batch_size 60 on 8"),
        (["--learning-rate", "-0.1"], "--learning-rate must be positive; got -0.1"),
        (["--learning-rate", "nan"], "--learning-rate must be positive; got nan"),
        (["--weight-decay", "-1"], "--weight-decay must be zero or positive; got -1"),
        (["--seed", "-1"], "--seed must lie between 0 and"),
        (["--devices", "99"], "--devices must lie between 1 and the number of devices here; got 99 of 8"),
        (["--model", "lenet6"], "lenet5"),
        (["--data", "digitz"], "digits"),
        (["--optimizer", "adan"], "--optimizer"),
        (["--epochs", "many"], "--epochs"),
        (["--epoch", "3"], "--epoch"),
    ],
)
def test_mistakes_name_the_flag(arguments, message, tmp_path, capsys):
    try:
        code = main(["train", *arguments, "--out", str(tmp_path / "run")])
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    text = re.sub(r"[│\s]+", " ", captured.err + captured.out)
    assert code == 2 and message in text
    assert not (tmp_path / "run").exists()


def test_help_shows_every_knob(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", "--help"])
    output = capsys.readouterr().out
    assert stop.value.code == 0
    for name in Knobs.__dataclass_fields__:
        assert "--" + name.replace("_", "-") in output


def test_choices_equal_the_tables():
    hints = get_type_hints(Knobs)
    for knob, table in (
        ("optimizer", OPTIMIZERS),
        ("schedule", SCHEDULES),
        ("loss", LOSSES),
        ("augment", AUGMENTATIONS),
    ):
        assert get_args(hints[knob]) == tuple(table)


def test_only_a_setting_at_the_start_becomes_a_flag():
    assert named_as_flag("batch_size must be positive") == "--batch-size must be positive"
    assert named_as_flag("seed must lie") == "--seed must lie"
    assert named_as_flag("data_dir names a folder; x is none") == "--data-dir names a folder; x is none"
    assert named_as_flag("the loss must stay finite") == "the loss must stay finite"
    assert named_as_flag("no network matches") == "no network matches"
    assert named_as_flag("test_resnet takes images") == "test_resnet takes images"


@pytest.mark.slow
def test_an_interrupt_saves_and_the_same_command_continues(tmp_path):
    """SIGTERM is for `tests/faults/test_signals.py`."""
    command = [sys.executable, "-m", "jaxconv", "train", "--epochs", "8", "--out", str(tmp_path / "run")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not _lines(tmp_path / "run" / "metrics.jsonl") and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130 and "saved at step" in error
    whole = [*command[:-1], str(tmp_path / "whole")]
    for arguments in (command, whole):
        subprocess.run(arguments, check=True, capture_output=True, timeout=120)
    assert _lines(tmp_path / "run" / "metrics.jsonl") == _lines(tmp_path / "whole" / "metrics.jsonl")


def _lines(path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
