"""How a migration ends early, and what a finished one leaves to tidy."""

from __future__ import annotations

from lab.client import Object
from lab.controllers import indexes, kubevirt
from lab.controllers.migration_attempt import Attempt
from lab.kinds import MIGRATION, POD, VIRTUAL_MACHINE_INSTANCE
from lab.machinery.cluster import Cluster
from lab.machinery.objects import (
    age,
    annotations_of,
    clone,
    condition,
    deleting,
    dig,
    drop_finalizer,
    final,
    finalizers,
    key,
    labels,
    name,
    namespace,
    node_name,
    phase,
    set_condition,
    set_phase,
    stamp,
    uid,
)

KEPT_FINISHED = 5
"""Finished migrations kept per VMI (defaultFinalizedMigrationGarbageCollectionBuffer)."""

UNSCHEDULABLE_SECONDS = 300.0
PENDING_SECONDS = 900.0
UNSCHEDULABLE_ANNOTATION = "kubevirt.io/migrationUnschedulablePodTimeoutSeconds"
PENDING_ANNOTATION = "kubevirt.io/migrationPendingPodTimeoutSeconds"

async def abort(attempt: Attempt) -> None:
    """A deleted migration: undo it before the hand-over, afterwards ask the source node to cancel."""
    set_condition(attempt.wished, "migrationAbortRequested", "True")
    if attempt.state:
        if not attempt.state.get("abortRequested"):
            wished = clone(attempt.vmi)
            wished["status"]["migrationState"]["abortRequested"] = True
            await attempt.cluster.update(VIRTUAL_MACHINE_INSTANCE, attempt.vmi, wished)
            message = "Migration is ready to be canceled by virt-handler."
            attempt.tell("Normal", "SuccessfulAbortMigration", message)
        return
    target = attempt.target
    if target is not None and not deleting(target) and not final(target):
        await attempt.cluster.delete(POD, target)
        attempt.tell("Normal", "SuccessfulDelete", f"migration canceled and pod {key(target)} is deleted")
    set_phase(attempt.wished, "Failed")
    attempt.tell("Warning", "FailedMigration", "Migration failed due to being canceled")


async def target_lost(attempt: Attempt) -> None:
    """The target pod ended before the guest arrived: the migration failed, the guest goes on at the source."""
    wished = clone(attempt.vmi)
    state = wished["status"]["migrationState"]
    moment = stamp()
    state.setdefault("startTimestamp", moment)
    state.setdefault("endTimestamp", moment)
    state.update(completed=True, failed=True)
    state.setdefault("failureReason", "Target pod is down")
    attempt.vmi = await attempt.cluster.update(VIRTUAL_MACHINE_INSTANCE, attempt.vmi, wished)
    message = f"VirtualMachineInstance migration uid {uid(attempt.wished)} failed. reason: {state['failureReason']}"
    attempt.cluster.event(VIRTUAL_MACHINE_INSTANCE, attempt.vmi, "Warning", "FailedMigration", message)
    attempt.wished.setdefault("status", {})["migrationState"] = clone(state)
    set_phase(attempt.wished, "Failed")
    attempt.tell("Warning", "FailedMigration", "Migration failed because target pod shutdown during migration")


async def wait_for_node(attempt: Attempt, target: Object) -> float | None:
    """Tell that the target pod has no node, and give it up after its time; seconds left of it."""
    scheduled = condition(target, "PodScheduled")
    if not node_name(target) and scheduled and scheduled.get("reason") == "Unschedulable":
        message = f"Migration target pod for VMI [{key(attempt.vmi)}] is currently unschedulable."
        attempt.tell("Warning", "migrationTargetPodUnschedulable", message)
    left = pending_deadline(attempt.wished, target)
    if left > 0:
        return left
    await attempt.cluster.delete(POD, target)
    what = "pending" if node_name(target) else "unschedulable"
    attempt.tell("Normal", "SuccessfulDelete", f"{what} pod {key(target)} timeout period exceeded")
    set_phase(attempt.wished, "Failed")
    attempt.tell("Warning", "FailedMigration", "Migration failed because target pod shutdown during migration")
    return None


def pending_deadline(migration: Object, target: Object) -> float:
    """Seconds until a target pod that has not started is given up."""
    waited = age(target["metadata"].get("creationTimestamp"))
    given = annotations_of(migration)
    limit = float(given.get(PENDING_ANNOTATION, PENDING_SECONDS))
    if not node_name(target):
        limit = min(limit, float(given.get(UNSCHEDULABLE_ANNOTATION, UNSCHEDULABLE_SECONDS)))
    return limit - waited


async def clean_up(cluster: Cluster, migration: Object) -> None:
    """Let a finished migration go: its label on the VMI, its target pod, its finalizer, the oldest of its kind."""
    vmi = cluster.get(VIRTUAL_MACHINE_INSTANCE, f"{namespace(migration)}/{migration['spec']['vmiName']}")
    mine = dig(vmi, "status", "migrationState", "migrationUid") == uid(migration)
    if vmi is not None and mine and kubevirt.TARGET_NODE_LABEL in labels(vmi):
        wished = clone(vmi)
        del wished["metadata"]["labels"][kubevirt.TARGET_NODE_LABEL]
        await cluster.update(VIRTUAL_MACHINE_INSTANCE, vmi, wished)
    if kubevirt.MIGRATION_FINALIZER in finalizers(migration):
        await _end_target(cluster, migration, vmi)
        wished = clone(migration)
        drop_finalizer(wished, kubevirt.MIGRATION_FINALIZER)
        await cluster.update(MIGRATION, migration, wished)
    await _collect(cluster, migration)


async def _end_target(cluster: Cluster, migration: Object, vmi: Object | None) -> None:
    """End the target pod of a failed migration, unless the guest has arrived in it after all."""
    if phase(migration) != "Failed":
        return
    for pod in cluster.among(indexes.POD_BY_MIGRATION, uid(migration)):
        if final(pod) or deleting(pod):
            continue
        if not node_name(pod) or node_name(pod) != dig(vmi, "status", "nodeName"):
            await cluster.delete(POD, pod)


async def _collect(cluster: Cluster, migration: Object) -> None:
    where = f"{namespace(migration)}/{migration['spec']['vmiName']}"
    finished = [
        other for other in cluster.among(indexes.MIGRATION_BY_INSTANCE, where)
        if final(other) and not deleting(other)
    ]
    finished.sort(key=lambda other: (other["metadata"]["creationTimestamp"], name(other)))
    for other in finished[: max(len(finished) - KEPT_FINISHED, 0)]:
        await cluster.delete(MIGRATION, other)
