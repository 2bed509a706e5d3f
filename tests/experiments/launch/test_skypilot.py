"""`skypilot.yaml`: its fields, and the process that it starts on each machine."""

import subprocess
from pathlib import Path

import pytest
import yaml

LAUNCH = Path(__file__).parents[3] / "experiments" / "launch"


def sky() -> dict:
    return yaml.safe_load((LAUNCH / "skypilot.yaml").read_text())


def test_skypilot_has_its_fields():
    body = sky()
    assert set(body) == {"name", "envs", "num_nodes", "resources", "file_mounts", "setup", "run"}
    assert (
        set(body["resources"]) == {"accelerators", "use_spot", "job_recovery"} and body["resources"]["use_spot"] is True
    )
    recovery = body["resources"]["job_recovery"]
    assert recovery == {
        **{"strategy": "EAGER_NEXT_REGION", "max_restarts_on_errors": 0, "recover_on_exit_codes": [42]},
    }
    assert all(isinstance(value, str) for value in body["envs"].values())
    assert body["file_mounts"]["/runs"]["mode"] == "MOUNT"


@pytest.mark.parametrize("code", [0, 1, 2, 42, 134])
@pytest.mark.parametrize("nodes", [1, 2])
def test_skypilot_runs_one_process_a_node_and_keeps_its_exit_code(bench, code, nodes):
    bench.stub("jaxconv", f"exit {code}")
    given = {"SKYPILOT_NUM_NODES": str(nodes), "SKYPILOT_NODE_RANK": str(nodes - 1)}
    envs = sky()["envs"] | {"FLAGS": "--model lenet5 --epochs 2"}
    environment = bench.environment(**envs, **given, SKYPILOT_NODE_IPS="10.0.0.7\n10.0.0.8")
    assert subprocess.run(["bash", "-c", sky()["run"]], env=environment).returncode == code
    place = ["--coordinator", "10.0.0.7:8476", "--process-id", "1", "--process-count", "2"] if nodes == 2 else []
    flags = ["--model", "lenet5", "--epochs", "2", "--out", "/runs/r50", "--max-restarts", "3"]
    assert bench.calls() == [["jaxconv", "train", *flags, *place]]


def test_skypilot_shell_syntax():
    for block in ("setup", "run"):
        subprocess.run(["bash", "-n"], input=sky()[block], text=True, check=True)
