"""The evacuation controller: makes a migration for each VMI that an eviction or the drain taint wants off its node."""

from __future__ import annotations

from collections.abc import Iterable

from lab.client import ApiError, Object
from lab.controllers import indexes, kubevirt, selectors
from lab.controllers.instances import launcher_pods
from lab.controllers.runtime import Controller, itself
from lab.kinds import MIGRATION, NODE, POD, VIRTUAL_MACHINE_INSTANCE
from lab.machinery.cluster import Cluster
from lab.machinery.objects import condition_true, deleting, dig, final, key, name, namespace, phase

RETRY_SECONDS = 5.0


async def reconcile(cluster: Cluster, node_key: str) -> float | None:
    """Make the missing evacuation migrations of one node."""
    node = cluster.get(NODE, node_key)
    again = None
    for known in cluster.among(indexes.INSTANCE_BY_NODE, node_key):
        # Since then others have been evacuated, which takes time enough for this one to have arrived elsewhere.
        vmi = cluster.peek(VIRTUAL_MACHINE_INSTANCE, key(known))
        if vmi is None or dig(vmi, "status", "nodeName") != node_key:
            continue
        if not _wanted_off(cluster, vmi, node, node_key):
            continue
        if _movable(cluster, vmi):
            await _evacuate(cluster, vmi, node_key)
        elif phase(vmi) == "Running":
            again = RETRY_SECONDS
    return again


def _wanted_off(cluster: Cluster, vmi: Object, node: Object | None, node_key: str) -> bool:
    if dig(vmi, "status", "evacuationNodeName") == node_key:
        return True
    taint = {"key": kubevirt.migration_configuration(cluster)["nodeDrainTaintKey"], "effect": "NoSchedule"}
    present = [entry for entry in dig(node, "spec", "taints", default=[])
               if (entry["key"], entry["effect"]) == (taint["key"], taint["effect"])]
    return any(not selectors.tolerated(entry, dig(vmi, "spec", "tolerations")) for entry in present)


def _movable(cluster: Cluster, vmi: Object) -> bool:
    if phase(vmi) != "Running" or deleting(vmi) or not condition_true(vmi, "LiveMigratable"):
        return False
    if kubevirt.eviction_strategy(cluster, vmi) not in kubevirt.MIGRATING_STRATEGIES:
        return False
    unfinished = [
        migration for migration in cluster.among(indexes.MIGRATION_BY_INSTANCE, key(vmi)) if not final(migration)
    ]
    living = [pod for pod in launcher_pods(cluster, vmi) if not final(pod)]
    return not unfinished and len(living) == 1


async def _evacuate(cluster: Cluster, vmi: Object, node_key: str) -> None:
    body = {
        "metadata": {
            "generateName": "kubevirt-evacuation-", "namespace": namespace(vmi),
            "annotations": {kubevirt.EVACUATION_MIGRATION: node_key},
            "labels": {kubevirt.VMI_NAME_LABEL: name(vmi)}, "finalizers": [kubevirt.MIGRATION_FINALIZER],
        },
        "spec": {"vmiName": name(vmi), "priority": "system-critical"},
    }
    try:
        created = await cluster.create(MIGRATION, body)
    except ApiError as error:
        message = f"Error creating a Migration: {error.message}"
        cluster.event(VIRTUAL_MACHINE_INSTANCE, vmi, "Warning", "FailedCreate", message, "disruptionbudget-controller")
        raise
    message = f"Created Migration {name(created)}"
    cluster.event(VIRTUAL_MACHINE_INSTANCE, vmi, "Normal", "SuccessfulCreate", message, "disruptionbudget-controller")


def _node_of_vmi(cluster: Cluster, vmi: Object) -> Iterable[str]:
    """The node that it is wanted off; its own concerns it only where a taint may want that."""
    marked, own = dig(vmi, "status", "evacuationNodeName"), dig(vmi, "status", "nodeName")
    tainted = own and dig(cluster.peek(NODE, own), "spec", "taints")
    return {str(node) for node in (marked, own if tainted else None) if node}


def _node_of_migration(cluster: Cluster, migration: Object) -> Iterable[str]:
    vmi = cluster.peek(VIRTUAL_MACHINE_INSTANCE, f"{namespace(migration)}/{migration['spec']['vmiName']}")
    return _node_of_vmi(cluster, vmi) if vmi is not None and final(migration) else []


def _node_of_pod(_: Cluster, pod: Object) -> Iterable[str]:
    node = dig(pod, "spec", "nodeName")
    return [node] if node and final(pod) else []


CONTROLLER = Controller(
    "evacuation", reconcile,
    ((VIRTUAL_MACHINE_INSTANCE, _node_of_vmi), (NODE, itself), (MIGRATION, _node_of_migration), (POD, _node_of_pod)),
)
