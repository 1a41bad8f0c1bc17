"""Whether a waiting migration may begin: parallel limits, back-off after failures, the VMI's readiness."""

from __future__ import annotations

from collections.abc import Sequence

from lab.client import Object
from lab.controllers import indexes, kubevirt
from lab.controllers.instances import current_pod
from lab.kinds import VIRTUAL_MACHINE_INSTANCE
from lab.machinery.cluster import Cluster
from lab.machinery.objects import (
    age,
    annotations_of,
    condition,
    deleting,
    dig,
    final,
    key,
    name,
    namespace,
    phase,
    uid,
)

RETRY_SECONDS = 2.0
BACKOFF_BASE_SECONDS = 20.0
QUEUE_SECONDS = {"system-critical": 1.0, "user-triggered": 3.0}
QUEUE_OTHER_SECONDS = 5.0
IGNORE_BACKOFF = "kubevirt.io/func-test-ignore-migration-backoff"


def turn(cluster: Cluster, migration: Object, vmi: Object, pods: Sequence[Object]) -> float | None:
    """None when the migration may begin, else the seconds after which to ask again."""
    if phase(vmi) != "Running" or deleting(vmi):
        return RETRY_SECONDS
    migratable = condition(vmi, "LiveMigratable")
    if migratable is None or migratable["status"] != "True":
        return RETRY_SECONDS
    current = current_pod(vmi, pods)
    if any(not final(pod) and (current is None or uid(pod) != uid(current)) for pod in pods):
        return RETRY_SECONDS
    left = backoff(cluster, migration)
    if left > 0:
        message = f"backoff migrating vmi {key(vmi)}"
        cluster.event(VIRTUAL_MACHINE_INSTANCE, vmi, "Warning", "MigrationBackoff", message)
        return left
    return None if _room(cluster, migration, vmi) else queue_seconds(migration)


def queue_seconds(migration: Object) -> float:
    """How long a migration over the limits waits, by its priority; a user's has none set."""
    priority = dig(migration, "spec", "priority", default="user-triggered")
    return QUEUE_SECONDS.get(priority, QUEUE_OTHER_SECONDS)


def _room(cluster: Cluster, migration: Object, vmi: Object) -> bool:
    settings = kubevirt.migration_configuration(cluster)
    running = [
        other for phase_ in indexes.HAVE_A_TARGET for other in cluster.among(indexes.MIGRATION_BY_PHASE, phase_)
        if uid(other) != uid(migration)
    ]
    if len(running) >= int(settings["parallelMigrationsPerCluster"]):
        return False
    node = dig(vmi, "status", "nodeName")
    outbound = [other for other in running if _source_node(cluster, other) == node]
    return len(outbound) < int(settings["parallelOutboundMigrationsPerNode"])


def _source_node(cluster: Cluster, migration: Object) -> str:
    vmi = cluster.peek(VIRTUAL_MACHINE_INSTANCE, f"{namespace(migration)}/{migration['spec']['vmiName']}")
    state = dig(vmi, "status", "migrationState", default={})
    if state.get("migrationUid") == uid(migration):
        return str(state.get("sourceNode", ""))
    return str(dig(vmi, "status", "nodeName", default=""))


def backoff(cluster: Cluster, migration: Object) -> float:
    """Seconds left of 20, 40, 80 ... after the failures in a row; only migrations made for an evacuation wait."""
    if kubevirt.EVACUATION_MIGRATION not in annotations_of(migration) or IGNORE_BACKOFF in annotations_of(migration):
        return 0.0
    where = f"{namespace(migration)}/{migration['spec']['vmiName']}"
    finished = [
        other for other in cluster.among(indexes.MIGRATION_BY_INSTANCE, where) if final(other)
    ]
    finished.sort(key=lambda other: (ended(other), name(other)), reverse=True)
    failures = 0
    for other in finished:
        if phase(other) != "Failed":
            break
        failures += 1
    if not failures:
        return 0.0
    return max(BACKOFF_BASE_SECONDS * 2.0 ** (failures - 1) - age(ended(finished[0])), 0.0)


def ended(migration: Object) -> str:
    """When a finished migration reached its last phase."""
    stamps = dig(migration, "status", "phaseTransitionTimestamps", default=[])
    return str(stamps[-1]["phaseTransitionTimestamp"]) if stamps else str(migration["metadata"]["creationTimestamp"])
