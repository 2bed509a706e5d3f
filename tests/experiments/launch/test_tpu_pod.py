"""`tpu_pod.sh`: 0 on all hosts is done, 42 starts again, 2 and 130 end, anything else is tried again, up to a limit."""

import subprocess
from pathlib import Path

import pytest

LAUNCH = Path(__file__).parents[3] / "experiments" / "launch"
PLACE = {
    "NAME": "r50",
    "ZONE": "z",
    "TYPE": "v6e-16",
    "VERSION": "v2-alpha-tpuv6e",
    "SETUP": "true",
    "OUT": "/runs/a b",
}


def pod(
    bench, states: list[str], hosts: list[list[int]], create: str = "exit 0", **more: str
) -> subprocess.CompletedProcess[str]:
    """Run the script; `states` are what `describe` says at each look, `hosts` the codes of all hosts at each start."""
    says = ["; ".join(f"echo jaxconv-exit {code}" for code in codes) or "true" for codes in hosts]
    describe = bench.answers("describe", [state or "none" for state in states])
    ssh = bench.answers("ssh", says)
    bench.stub(
        "gcloud",
        f'case "$*" in\n*describe*) {describe}; [ "$line" = none ] && exit 1; echo "$line" ;;\n'
        f'*"tpu-vm ssh"*) {ssh}; eval "$line"; exit 1 ;;\n*create*) {create} ;;\nesac',
    )
    command = ["bash", LAUNCH / "tpu_pod.sh", "--model", "x y"]
    environment = bench.environment(**PLACE, SECONDS_BETWEEN="0", **more)
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("states", "hosts", "code"),
    [
        (["ACTIVE"], [[0, 0]], 0),
        (["ACTIVE"], [[2, 2]], 2),
        (["ACTIVE"], [[2, 134]], 2),
        (["ACTIVE"], [[130, 130]], 130),
        (["ACTIVE", "ACTIVE"], [[42, 42], [0, 0]], 0),
        (["ACTIVE"] * 7, [[42], [42], [42], [42], [42], [42], [0]], 0),
        (["ACTIVE"] * 3, [[1, 134], [0, 0]], 0),
        (["ACTIVE"] * 3, [[0, 1], [0, 0]], 0),
        (["ACTIVE"] * 3, [[], [0, 0]], 0),
        (["ACTIVE"] * 8, [[1]] * 4, 1),
        (["ACTIVE", "SUSPENDING", "SUSPENDING", "SUSPENDED", "", "WAITING_FOR_RESOURCES", "ACTIVE"], [[], [0]], 0),
    ],
)
def test_tpu_pod_and_the_exit_codes(bench, states, hosts, code):
    done = pod(bench, states, hosts)
    assert done.returncode == code, done.stderr
    assert len([call for call in bench.calls("gcloud") if "ssh" in call]) == len(hosts)
    assert (bench.folder / "describe.lines").read_text() == ""


@pytest.mark.parametrize("gone", ["FAILED", "SUSPENDED"])
def test_tpu_pod_asks_again_for_a_slice_that_was_taken_away(bench, gone):
    done = pod(bench, ["", "PROVISIONING", "ACTIVE", gone, "", "ACTIVE"], [[42], [0]], CAPACITY="")
    verbs = [call[4] for call in bench.calls("gcloud")]
    looks = [verb for verb in verbs if verb != "describe"]
    assert done.returncode == 0 and looks == ["create", "ssh", "delete", "create", "ssh"]
    create = next(call for call in bench.calls("gcloud") if "create" in call)
    assert create[5:] == [
        "r50", "--node-id=r50", "--zone=z", "--accelerator-type=v6e-16", "--runtime-version=v2-alpha-tpuv6e",
    ]  # fmt: skip


def test_tpu_pod_outlives_a_moment_without_an_answer(bench):
    assert pod(bench, ["", "ACTIVE"], [[0]], create="exit 1").returncode == 0


def test_tpu_pod_gives_up_a_request_that_is_refused(bench):
    done = pod(bench, [""] * 9, [], create="exit 1")
    assert done.returncode == 1 and "failure 4: the request cannot be made" in done.stderr
    assert len([call for call in bench.calls("gcloud") if "create" in call]) == 4


def test_tpu_pod_runs_on_spot_unless_told_otherwise(bench):
    pod(bench, ["", "ACTIVE"], [[0]])
    assert "--spot" in next(call for call in bench.calls("gcloud") if "create" in call)


def test_tpu_pod_hands_every_word_to_the_hosts(bench):
    pod(bench, ["ACTIVE"], [[0]])
    (ssh,) = (call for call in bench.calls("gcloud") if "ssh" in call)
    assert "--worker=all" in ssh
    remote = next(word for word in ssh if word.startswith("--command=")).removeprefix("--command=")
    bench.stub("jaxconv", "exit 42")
    bench.stub("flock", 'shift; exec "$@"')
    done = subprocess.run(["bash", "-c", remote], env=bench.environment(), capture_output=True, text=True)
    assert bench.calls("jaxconv") == [["jaxconv", "train", "--model", "x y", "--out", "/runs/a b"]]
    assert done.stdout == "jaxconv-exit 42\n"
