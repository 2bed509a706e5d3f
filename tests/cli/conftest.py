"""One trained run for every test of a command that needs one."""

from pathlib import Path

import pytest

from jaxconv.cli import main

ARGUMENTS = ["--model", "nielsen_conv1", "--epochs", "2", "--batch-size", "64", "--devices", "1"]


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", *ARGUMENTS, "--out", str(out), "--quiet"]) == 0
    return out
