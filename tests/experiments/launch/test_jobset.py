"""`jobset.yaml`: its fields, and what Kubernetes and JobSet make of each exit code by the rules in it."""

import re
import string
from pathlib import Path

import pytest
import yaml

LAUNCH = Path(__file__).parents[3] / "experiments" / "launch"
JOBSET = {
    **{"NAME": "r50", "IMAGE": "i", "CLAIM": "runs", "MAX_RESTARTS": "5", "HOSTS": "4", "CHIPS": "4"},
    **{"ACCELERATOR": "tpu-v6e-slice", "TOPOLOGY": "4x4", "FLAGS": "--model resnet50"},
}


def jobset() -> dict:
    return yaml.safe_load(string.Template((LAUNCH / "jobset.yaml").read_text()).substitute(JOBSET))


def test_jobset_has_no_variable_that_its_head_does_not_name():
    text = (LAUNCH / "jobset.yaml").read_text()
    head, body = text.split("apiVersion", 1)
    assert {*re.findall(r"\$\{(\w+)\}", body)} == set(JOBSET) == set(re.findall(r"(?:export |\s)([A-Z_]+)=", head))


FIELDS = {
    "apiVersion kind metadata spec": jobset,
    "failurePolicy replicatedJobs": lambda: jobset()["spec"],
    "maxRestarts rules": lambda: jobset()["spec"]["failurePolicy"],
    "name replicas template": lambda: jobset()["spec"]["replicatedJobs"][0],
    "completionMode parallelism completions backoffLimit podFailurePolicy template": lambda: job(),
    "restartPolicy terminationGracePeriodSeconds nodeSelector containers volumes": lambda: job()["template"]["spec"],
    "name image command resources volumeMounts": lambda: job()["template"]["spec"]["containers"][0],
}
"""Names from JobSet's api/jobset/v1alpha2/jobset_types.go and Kubernetes' batch/v1 and core/v1: an unknown field is an
error of `kubectl apply`, and a missing one of these a job that does something else."""


@pytest.mark.parametrize("names", FIELDS)
def test_jobset_has_its_fields(names):
    assert set(FIELDS[names]()) == set(names.split())


def job() -> dict:
    return jobset()["spec"]["replicatedJobs"][0]["template"]["spec"]


def test_jobset_types_and_rules_of_the_schema():
    body, spec = jobset(), job()
    assert (body["apiVersion"], body["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    assert body["spec"]["failurePolicy"]["maxRestarts"] == 5
    for rule in body["spec"]["failurePolicy"]["rules"]:
        assert re.fullmatch(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", rule["name"])
        assert rule["action"] in {"FailJobSet", "RestartJobSet", "RestartJobSetAndIgnoreMaxRestarts"}
    assert spec["parallelism"] == spec["completions"] == 4 and spec["completionMode"] == "Indexed"
    assert spec["template"]["spec"]["restartPolicy"] == "Never"  # demanded beside a podFailurePolicy
    assert all(isinstance(value, str) for value in spec["template"]["spec"]["nodeSelector"].values())
    (container,) = spec["template"]["spec"]["containers"]
    for rule in spec["podFailurePolicy"]["rules"]:
        (given,) = set(rule) - {"action"}
        if given == "onExitCodes":
            assert rule[given]["containerName"] == container["name"] and 0 not in rule[given]["values"]
        else:
            assert rule[given] == [{"type": "DisruptionTarget", "status": "True"}]
    assert container["command"][-1].startswith("exec ")


def job_failure(code: int | None) -> tuple[str, str]:
    """Reason and message of a Job one of whose pods ended so (None: evicted); kubernetes pod_failure_policy.go."""
    for index, rule in enumerate(job()["podFailurePolicy"]["rules"]):
        if code is not None and code in rule.get("onExitCodes", {}).get("values", []):
            return "PodFailurePolicy", (
                f"Container train for pod default/r50-slice-0-0-abc failed with exit code {code} "
                f"matching {rule['action']} rule at index {index}"
            )
        if code is None and "onPodConditions" in rule:
            return "PodFailurePolicy", (
                f"Pod default/r50-slice-0-0-abc has condition DisruptionTarget "
                f"matching {rule['action']} rule at index {index}"
            )
    assert job()["backoffLimit"] == 0
    return "BackoffLimitExceeded", "Job has reached the specified backoff limit"


@pytest.mark.parametrize(
    ("code", "action"),
    [
        (42, "RestartJobSetAndIgnoreMaxRestarts"),
        (None, "RestartJobSetAndIgnoreMaxRestarts"),
        (2, "FailJobSet"),
        (130, "FailJobSet"),
        (1, "RestartJobSet"),
        (134, "RestartJobSet"),
        (137, "RestartJobSet"),
    ],
)
def test_jobset_and_the_exit_codes(code, action):
    """The first rule that fits, as in JobSet's failure_policy.go; RestartJobSet, which counts, where none does."""
    reason, message = job_failure(code)
    taken = next(
        (
            rule["action"]
            for rule in jobset()["spec"]["failurePolicy"]["rules"]
            if reason in rule.get("onJobFailureReasons", [reason])
            and any(re.search(pattern, message) for pattern in rule.get("onJobFailureMessagePatterns", [""]))
        ),
        "RestartJobSet",
    )
    assert taken == action
