"""How a process learns that it is one of several, and what it refuses."""

import pytest

from jaxconv.train.processes import agreed, connect, is_first, launcher

SLURM = {"SLURM_NTASKS": "4", "SLURM_STEP_NODELIST": "n[1-4]", "SLURM_PROCID": "2", "SLURM_JOB_ID": "7"}


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, None),
        ({"JAX_COORDINATOR_ADDRESS": "n1:1234"}, "JAX_COORDINATOR_ADDRESS"),
        (SLURM, "Slurm"),
        ({**SLURM, "SLURM_NTASKS": "1"}, None),
        ({"SLURM_NTASKS": "4"}, None),
        ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"}, "Open MPI"),
        ({"OMPI_COMM_WORLD_SIZE": "1"}, None),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0"}, "Kubernetes"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, None),
    ],
)
def test_launchers(environ, name):
    assert launcher({"JAX_PLATFORMS": "cpu", **environ}) == name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("localhost:1", None, None),
            "process_id and process_count go together; got localhost:1, None and None",
        ),
        ((None, 0, 2), "go together; got None, 0 and 2"),
        (("localhost", 0, 2), "coordinator must be HOST:PORT; got localhost"),
        (("localhost:0", 0, 2), "coordinator must be HOST:PORT; got localhost:0"),
        (("localhost:99999", 0, 2), "coordinator must be HOST:PORT; got localhost:99999"),
        (("localhost:1", 2, 2), "process_id must lie between 0 and process_count - 1 = 1; got 2"),
        (("localhost:1", -1, 2), "process_id must lie between 0 and process_count - 1 = 1; got -1"),
        ((None, None, 0), "process_count must be positive; got 0"),
    ],
)
def test_mistakes(arguments, message):
    with pytest.raises(ValueError, match=message):
        connect(*arguments)


def test_a_process_may_stay_alone_under_any_launcher(monkeypatch):
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    connect(process_count=1)
    assert is_first() and agreed(lambda: 7) == 7
