"""The launch templates as files: shell syntax, flags that exist, each with a test of its own beside this one."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from jaxconv.cli import main

LAUNCH = Path(__file__).parents[3] / "experiments" / "launch"
SCRIPTS = ("slurm.sbatch", "tpu_pod.sh")


@pytest.mark.parametrize("name", SCRIPTS)
def test_shell_syntax(name):
    subprocess.run(["bash", "-n", LAUNCH / name], check=True)
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed; bash found no fault")
    subprocess.run(["shellcheck", "--shell=bash", LAUNCH / name], check=True)


def test_every_template_is_tested():
    tests = sorted(path.stem for path in Path(__file__).parent.glob("test_*.py"))
    assert tests == sorted(["test_files", *(f"test_{path.stem}" for path in LAUNCH.iterdir())])


@pytest.mark.parametrize("name", sorted(path.name for path in LAUNCH.iterdir()))
def test_the_flags_exist(name, capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    ours = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    for call in re.findall(r"(--model resnet50[^'\"\n]*)", (LAUNCH / name).read_text()):
        flags = set(re.findall(r"--[a-z-]+", call))
        assert len(flags) > 1 and flags <= ours
