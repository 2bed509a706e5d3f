"""A recipe is a command: its keywords are flags, its mistakes one line."""

import subprocess
import sys
from pathlib import Path

import pytest

from jaxconv.cli.knobs import Knobs, build_experiment
from jaxconv.cli.recipe import run_recipe
from jaxconv.train import Experiment, Run

EXPERIMENTS = sorted((Path(__file__).parents[2] / "experiments").glob("*.py"))


def small(*, epochs: int = 1, batch_size: int = 64) -> Experiment:
    """Train a small network.

    Args:
        epochs: Passes.
        batch_size: Images a step.
    """
    knobs = Knobs(model="nielsen_conv1", epochs=epochs, batch_size=batch_size, devices=1)
    return build_experiment(knobs, model_options={"init": "he"})


def test_a_recipe_runs_where_it_is_told(tmp_path, capsys):
    assert run_recipe(small, ["--epochs", "1", "--out", str(tmp_path / "run")]) == 0
    assert str(tmp_path / "run") in capsys.readouterr().out
    run = Run.open(tmp_path / "run")
    assert run.settings["model_options"] == {"init": "he"} and run.record["model"]["options"]["init"] == "he"


def test_another_option_is_another_configuration(tmp_path, capsys):
    assert run_recipe(small, ["--batch-size", "0", "--out", str(tmp_path / "run")]) == 2
    assert "--batch-size must be positive; got 0" in capsys.readouterr().err


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda p: p.name)
def test_every_experiment_explains_itself(path):
    text = subprocess.run([sys.executable, path, "--help"], capture_output=True, text=True, check=True).stdout
    assert "--seed" in text and "--data-dir" in text and "--out" in text
    docstring = path.read_text().split('"""')[1]
    for word in ("Source:", "Command:", "Hardware:", "Time:", "Accuracy:"):
        assert word in docstring, f"{path.name} does not say its {word}"
