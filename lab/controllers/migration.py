"""The migration controller: takes a migration object through its phases and hands the work to the two nodes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from lab.client import ApiError, Object
from lab.controllers import indexes, kubevirt, migration_cleanup, migration_limits, migration_policy
from lab.controllers.addresses import IP_ANNOTATION, MAC_ANNOTATION
from lab.controllers.instances import current_pod, launcher_pods, pod_down, pod_started
from lab.controllers.launcher import OVERHEAD_BYTES, launcher_pod
from lab.controllers.migration_attempt import Attempt
from lab.controllers.runtime import Controller
from lab.kinds import KUBEVIRT, MIGRATION, MIGRATION_POLICY, NAMESPACE, POD, VIRTUAL_MACHINE_INSTANCE
from lab.machinery.cluster import Cluster
from lab.machinery.objects import (
    add_finalizer,
    annotations_of,
    clone,
    deleting,
    final,
    key,
    labels,
    name,
    namespace,
    node_name,
    phase,
    set_phase,
    uid,
)


async def reconcile(cluster: Cluster, where: str) -> float | None:
    """Take one migration one step further; seconds to look again while it waits for its turn or a deadline."""
    migration = cluster.peek(MIGRATION, where)
    if migration is None:
        return None
    if final(migration):
        await migration_cleanup.clean_up(cluster, migration)
        return None
    wished = clone(migration)
    wished["metadata"].setdefault("labels", {})[kubevirt.VMI_NAME_LABEL] = wished["spec"]["vmiName"]
    if not deleting(wished):
        add_finalizer(wished, kubevirt.MIGRATION_FINALIZER)
    vmi = cluster.peek(VIRTUAL_MACHINE_INSTANCE, f"{namespace(wished)}/{wished['spec']['vmiName']}")
    again = None
    if vmi is None or final(vmi):
        set_phase(wished, "Failed")
        message = "Migration failed because the VMI does not exist or has ended"
        cluster.event(MIGRATION, wished, "Warning", "FailedMigration", message)
    else:
        again = await _step(_attempt(cluster, wished, vmi))
    await cluster.update(MIGRATION, migration, wished)
    return again


def _attempt(cluster: Cluster, wished: Object, vmi: Object) -> Attempt:
    pods = launcher_pods(cluster, vmi)
    target = next((pod for pod in pods if labels(pod).get(kubevirt.MIGRATION_UID_LABEL) == uid(wished)), None)
    source = current_pod(vmi, [pod for pod in pods if target is None or uid(pod) != uid(target)])
    return Attempt(cluster, wished, vmi, source, target, pods)


async def _step(attempt: Attempt) -> float | None:
    if attempt.state.get("completed"):
        _finish(attempt)
        return None
    if deleting(attempt.wished):
        await migration_cleanup.abort(attempt)
        return None
    if attempt.state and pod_down(attempt.target):
        await migration_cleanup.target_lost(attempt)
        return None
    step = _STEPS.get(phase(attempt.wished))
    return await step(attempt) if step else None


def _finish(attempt: Attempt) -> None:
    state = attempt.state
    attempt.wished.setdefault("status", {})["migrationState"] = clone(state)
    if state.get("failed"):
        set_phase(attempt.wished, "Failed")
        attempt.tell("Warning", "FailedMigration", "source node reported migration failed")
    else:
        set_phase(attempt.wished, "Succeeded")
        attempt.tell("Normal", "SuccessfulMigration", "Source node reported migration succeeded")


async def _unset(attempt: Attempt) -> float | None:
    set_phase(attempt.wished, "Pending")
    if attempt.source is not None:
        attempt.wished["status"]["migrationState"] = {"sourcePod": name(attempt.source)}
    return None


async def _pending(attempt: Attempt) -> float | None:
    if attempt.target is None:
        wait = migration_limits.turn(attempt.cluster, attempt.wished, attempt.vmi, attempt.pods)
        if wait is not None:
            return wait
        if attempt.source is None:
            return migration_limits.RETRY_SECONDS
        attempt.target = await _create_target(attempt, attempt.source)
        if attempt.target is None:
            return migration_limits.RETRY_SECONDS
    set_phase(attempt.wished, "Scheduling")
    return migration_cleanup.pending_deadline(attempt.wished, attempt.target)


async def _create_target(attempt: Attempt, source: Object) -> Object | None:
    given = annotations_of(source)
    body = launcher_pod(
        attempt.vmi, given.get(IP_ANNOTATION, ""), given.get(MAC_ANNOTATION, ""), migration=attempt.wished,
        toleration_seconds=attempt.cluster.config.toleration_seconds,
    )
    try:
        pod = await attempt.cluster.create(POD, body)
    except ApiError as error:
        attempt.tell("Warning", "FailedCreate", f"Error creating pod: {error}")
        return None
    attempt.tell("Normal", "SuccessfulCreate", f"Created migration target pod {name(pod)}")
    return pod


async def _scheduling(attempt: Attempt) -> float | None:
    target = attempt.target
    if target is None or pod_down(target):
        set_phase(attempt.wished, "Failed")
        attempt.tell("Warning", "FailedMigration", "Migration failed because target pod shutdown during migration")
        return None
    if pod_started(target):
        set_phase(attempt.wished, "Scheduled")
        return None
    return await migration_cleanup.wait_for_node(attempt, target)


async def _scheduled(attempt: Attempt) -> float | None:
    if attempt.state:
        set_phase(attempt.wished, "PreparingTarget")
        return None
    if attempt.target is None or pod_down(attempt.target):
        return await _scheduling(attempt)
    if attempt.source is None:
        return migration_limits.RETRY_SECONDS
    await _hand_over(attempt, attempt.source, attempt.target)
    attempt.tell("Normal", "SuccessfulHandOver", "Migration target pod is ready for preparation by virt-handler.")
    set_phase(attempt.wished, "PreparingTarget")
    return None


async def _hand_over(attempt: Attempt, source: Object, target: Object) -> None:
    """Write the new migrationState into the VMI: from then on its two nodes act."""
    cluster, vmi = attempt.cluster, attempt.vmi
    home = cluster.get(NAMESPACE, namespace(vmi))
    policy = migration_policy.select(cluster.list(MIGRATION_POLICY), labels(vmi), labels(home) if home else {})
    state: Object = {
        "migrationUid": uid(attempt.wished), "sourceNode": vmi["status"]["nodeName"], "sourcePod": name(source),
        "targetNode": node_name(target), "targetPod": name(target),
        "targetMemoryOverhead": f"{OVERHEAD_BYTES // 2**20}Mi",
        "migrationConfiguration": migration_policy.effective(kubevirt.migration_configuration(cluster), policy),
    }
    if policy:
        state["migrationPolicyName"] = name(policy)
    wished = clone(vmi)
    wished["status"]["migrationState"] = state
    wished["metadata"].setdefault("labels", {})[kubevirt.TARGET_NODE_LABEL] = node_name(target)
    attempt.vmi = await cluster.update(VIRTUAL_MACHINE_INSTANCE, vmi, wished)


async def _preparing(attempt: Attempt) -> float | None:
    if attempt.state.get("targetNodeAddress"):
        set_phase(attempt.wished, "TargetReady")
    return None


async def _target_ready(attempt: Attempt) -> float | None:
    if attempt.state.get("startTimestamp"):
        set_phase(attempt.wished, "Running")
    return None


_STEPS: dict[str, Callable[[Attempt], Awaitable[float | None]]] = {
    "": _unset, "Pending": _pending, "Scheduling": _scheduling, "Scheduled": _scheduled,
    "PreparingTarget": _preparing, "TargetReady": _target_ready,
}


def _of_vmi(cluster: Cluster, vmi: Object) -> Iterable[str]:
    return [key(migration) for migration in cluster.among(indexes.MIGRATION_BY_INSTANCE, key(vmi))]


def _of_pod(cluster: Cluster, pod: Object) -> Iterable[str]:
    if labels(pod).get("kubevirt.io") != "virt-launcher":
        return []
    owner = labels(pod).get("vm.kubevirt.io/name")
    return [key(found) for found in cluster.among(indexes.MIGRATION_BY_INSTANCE, f"{namespace(pod)}/{owner}")]


def _itself_and_waiting(cluster: Cluster, migration: Object) -> Iterable[str]:
    """A migration that ends makes room for those that wait."""
    return [key(migration), *(_waiting(cluster, migration) if final(migration) else [])]


def _waiting(cluster: Cluster, _: Object) -> Iterable[str]:
    return [key(other) for other in cluster.among(indexes.MIGRATION_BY_PHASE, "Pending")]


CONTROLLER = Controller(
    "migration", reconcile,
    ((MIGRATION, _itself_and_waiting), (VIRTUAL_MACHINE_INSTANCE, _of_vmi), (POD, _of_pod), (KUBEVIRT, _waiting)),
)
