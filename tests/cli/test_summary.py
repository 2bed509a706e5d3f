"""`jaxconv summary`, `jaxconv list` and `jaxconv --version`."""

import json

import jax
import pytest

import jaxconv
from jaxconv.cli import main


def test_lenet5_layer_by_layer(capsys):
    assert main(["summary", "lenet5"]) == 0
    output = capsys.readouterr().out
    assert "61,706" in output and "c1" in output


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith(f"jaxconv {jaxconv.__version__}, jax {jax.__version__}, ")


def test_size_and_channels(capsys):
    assert main(["summary", "googlenet", "--size", "96", "64", "--in-chans", "1", "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["rows"] and main(["summary", "googlenet"]) == 0
    assert "6,624,904" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["googlenett"], "googlenet"),
        (["lenet5", "--size", "0", "32"], "--size must be positive; got (0, 32)"),
        (["lenet5", "--size", "64", "64"], "--size must be (32, 32) for lenet5"),
        (["lenet5", "--in-chans", "0"], "--in-chans must be positive"),
    ],
)
def test_mistakes_are_named(arguments, message, capsys):
    assert main(["summary", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_list_and_pattern(capsys):
    assert main(["list"]) == 0
    everything = capsys.readouterr().out
    assert "lenet5" in everything and "googlenet" in everything
    assert main(["list", "nielsen*"]) == 0
    output = capsys.readouterr().out
    assert "nielsen_conv2" in output and "googlenet" not in output
    assert main(["list", "lenet9"]) == 2
    assert "lenet5" in capsys.readouterr().err
