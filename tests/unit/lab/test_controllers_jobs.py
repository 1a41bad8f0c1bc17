"""Jobs: how many pods there are at a time, by which index, and when a Job is over."""

from __future__ import annotations

from typing import Any

from lab.client import Object
from lab.controllers import jobs
from lab.kinds import JOB, POD
from lab.machinery.objects import condition_true
from tests.unit.lab.controllers_fake import FakeApi, reconcile


def job(**spec: Any) -> Object:
    container = {"name": "c", "image": "i"}
    template = {"metadata": {"labels": {"mine": "yes"}}, "spec": {"containers": [container], "restartPolicy": "Never"}}
    return {"metadata": {"name": "j"}, "spec": {"template": template, **spec}}


def indexes(api: FakeApi) -> list[str]:
    return sorted(pod["metadata"]["annotations"][jobs.INDEX] for pod in api.all(POD))


def tell(api: FakeApi, index: int, phase: str) -> None:
    for pod in api.all(POD):
        if pod["metadata"]["annotations"][jobs.INDEX] == str(index):
            pod["status"] = {"phase": phase}


def test_as_many_pods_as_may_run_at_a_time_and_the_next_when_one_has_succeeded() -> None:
    api = FakeApi()
    api.given(JOB, job(completions=3, parallelism=2, completionMode="Indexed"))
    reconcile(api, jobs.reconcile, "demo/j", times=2)
    assert indexes(api) == ["0", "1"]
    pod = api.all(POD)[0]
    assert pod["metadata"]["labels"]["mine"] == "yes"
    assert pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "j"
    assert {"name": "JOB_COMPLETION_INDEX", "value": "0"} in pod["spec"]["containers"][0]["env"]
    tell(api, 0, "Succeeded")
    reconcile(api, jobs.reconcile, "demo/j", times=2)
    assert indexes(api) == ["0", "1", "2"]
    status = api.there(JOB, "demo/j")["status"]
    assert (status["active"], status["succeeded"], status["failed"]) == (2, 1, 0)
    assert status["completedIndexes"] == "0"


def test_a_job_is_complete_once_every_index_has_succeeded_and_stays_so() -> None:
    api = FakeApi()
    api.given(JOB, job(completions=2, parallelism=2))
    reconcile(api, jobs.reconcile, "demo/j")
    for index in range(2):
        tell(api, index, "Succeeded")
    reconcile(api, jobs.reconcile, "demo/j", times=2)
    done = api.there(JOB, "demo/j")
    assert condition_true(done, "Complete")
    assert done["status"]["completionTime"]
    for pod in api.all(POD):
        del api.objects["Pod", f"demo/{pod['metadata']['name']}"]
    reconcile(api, jobs.reconcile, "demo/j")
    assert not api.all(POD)


def test_a_failed_pod_is_replaced_until_too_many_have_failed() -> None:
    api = FakeApi()
    api.given(JOB, job(backoffLimit=1))
    reconcile(api, jobs.reconcile, "demo/j")
    tell(api, 0, "Failed")
    reconcile(api, jobs.reconcile, "demo/j")
    assert indexes(api) == ["0", "0"]
    tell(api, 0, "Failed")
    reconcile(api, jobs.reconcile, "demo/j", times=2)
    over = api.there(JOB, "demo/j")
    assert condition_true(over, "Failed")
    assert indexes(api) == ["0", "0"]
    assert over["status"]["failed"] == 2


def test_a_job_that_may_not_fail_ends_its_other_pods_with_the_first_failure() -> None:
    api = FakeApi()
    api.given(JOB, job(backoffLimit=0, completions=2, parallelism=2))
    reconcile(api, jobs.reconcile, "demo/j")
    tell(api, 0, "Failed")
    reconcile(api, jobs.reconcile, "demo/j")
    assert condition_true(api.there(JOB, "demo/j"), "Failed")
    assert ("delete", "Pod") in {(verb, kind) for verb, kind, _ in api.calls}
