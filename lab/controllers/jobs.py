"""Jobs: pods are run to completion, as many at a time as are asked for, until enough have succeeded or too many failed.

Of batch/v1 that much is here: completions, parallelism, backoffLimit, Indexed completion mode. A pod that is deleted
while it runs is replaced and counts for nothing, because the lab's pods bear no job-tracking finalizer.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass

from lab.client import Object
from lab.controllers.runtime import Controller, itself
from lab.kinds import JOB, POD
from lab.machinery.cluster import Cluster
from lab.machinery.objects import (
    annotations_of,
    condition_true,
    controlled_by,
    deleting,
    dig,
    labels,
    name,
    namespace,
    owner_reference,
    phase,
    set_condition,
    stamp,
    uid,
)

INDEX = "batch.kubernetes.io/job-completion-index"
BACKOFF_LIMIT = 6
COMPONENT = "job-controller"


@dataclass(frozen=True, slots=True)
class Tally:
    """A Job's pods as they are: by index what runs and what has succeeded, and how many have failed."""

    active: dict[int, Object]
    succeeded: frozenset[int]
    failed: int


async def reconcile(cluster: Cluster, where: str) -> float | None:
    """Create the pods that are missing, and tell how far the Job is."""
    job = cluster.get(JOB, where)
    if job is None or deleting(job) or condition_true(job, "Complete") or condition_true(job, "Failed"):
        return None
    own = [pod for pod in cluster.list(POD, namespace(job)) if controlled_by(pod, job)]
    tally = tally_of(own)
    completions = int(dig(job, "spec", "completions", default=1))
    over = tally.failed > int(dig(job, "spec", "backoffLimit", default=BACKOFF_LIMIT))
    if not over:
        for index in missing(job, tally):
            created = await cluster.create(POD, pod_of(job, index))
            tally.active[index] = created
            told = f"Created pod: {name(created)}"
            cluster.event(JOB, job, "Normal", "SuccessfulCreate", told, COMPONENT)
    await cluster.update(JOB, job, told_of(job, tally, over=over, done=len(tally.succeeded) >= completions))
    for pod in tally.active.values() if over else ():
        await cluster.delete(POD, pod)
    return None


def tally_of(pods: Iterable[Object]) -> Tally:
    """Count a Job's pods by their phases."""
    active: dict[int, Object] = {}
    succeeded, failed = set(), 0
    for pod in pods:
        index = int(annotations_of(pod).get(INDEX, 0))
        if phase(pod) == "Succeeded":
            succeeded.add(index)
        elif phase(pod) == "Failed":
            failed += 1
        elif not deleting(pod):
            active[index] = pod
    return Tally(active, frozenset(succeeded), failed)


def missing(job: Object, tally: Tally) -> list[int]:
    """The indexes for which a pod is to be created now, lowest first."""
    completions = int(dig(job, "spec", "completions", default=1))
    room = int(dig(job, "spec", "parallelism", default=1)) - len(tally.active)
    wanted = [index for index in range(completions) if index not in tally.succeeded and index not in tally.active]
    return wanted[: max(0, room)]


def pod_of(job: Object, index: int) -> Object:
    """The pod of one index, with the labels and the variable by which it knows itself."""
    template = copy.deepcopy(job["spec"]["template"])
    meta = template.get("metadata") or {}
    tags = {
        **(meta.get("labels") or {}), "job-name": name(job), "batch.kubernetes.io/job-name": name(job),
        "controller-uid": uid(job), "batch.kubernetes.io/controller-uid": uid(job), INDEX: str(index),
    }
    spec = template["spec"]
    spec.setdefault("hostname", f"{name(job)}-{index}")
    for container in spec.get("containers") or []:
        container.setdefault("env", []).append({"name": "JOB_COMPLETION_INDEX", "value": str(index)})
    return {
        "metadata": {
            "generateName": f"{name(job)}-{index}-", "namespace": namespace(job), "labels": tags,
            "annotations": {**(meta.get("annotations") or {}), INDEX: str(index)},
            "ownerReferences": [owner_reference(job, JOB)],
        },
        "spec": spec,
    }


def told_of(job: Object, tally: Tally, *, over: bool, done: bool) -> Object:
    """The Job with the status that follows from its pods; its times are set once."""
    wished = copy.deepcopy(job)
    status = wished.setdefault("status", {})
    status.setdefault("startTime", stamp())
    ready = sum(condition_true(pod, "Ready") for pod in tally.active.values())
    status |= {
        "active": 0 if over else len(tally.active), "ready": 0 if over else ready, "failed": tally.failed,
        "succeeded": len(tally.succeeded),
    }
    if dig(job, "spec", "completionMode") == "Indexed":
        status["completedIndexes"] = ",".join(map(str, sorted(tally.succeeded)))
    if over:
        reason, message = "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        set_condition(wished, "Failed", "True", reason, message)
    elif done:
        status.setdefault("completionTime", stamp())
        set_condition(wished, "Complete", "True", "CompletionsReached", "Reached expected number of succeeded pods")
    return wished


def _job_of(_: Cluster, pod: Object) -> Iterable[str]:
    job = labels(pod).get("batch.kubernetes.io/job-name")
    return [f"{namespace(pod)}/{job}"] if job else []


CONTROLLER = Controller("jobs", reconcile, ((JOB, itself), (POD, _job_of)))
