"""KubeVirt's names and its cluster-wide settings, as the KubeVirt object and its defaults give them."""

from __future__ import annotations

from typing import Any

from lab.client import Object
from lab.controllers.runtime import Controller, itself
from lab.kinds import KUBEVIRT
from lab.machinery.cluster import Cluster
from lab.machinery.objects import condition_true, deleting, dig, phase, set_condition

VERSION = "v1.9.0"
LAUNCHER_IMAGE = "drainproof/virt-launcher:v1.9.0"

CREATED_BY = "kubevirt.io/created-by"
NODE_LABEL = "kubevirt.io/nodeName"
TARGET_NODE_LABEL = "kubevirt.io/migrationTargetNodeName"
MIGRATION_UID_LABEL = "kubevirt.io/migrationJobUID"
MIGRATION_NAME = "kubevirt.io/migrationJobName"
VMI_NAME_LABEL = "kubevirt.io/vmi-name"
SCHEDULABLE = "kubevirt.io/schedulable"
HEARTBEAT = "kubevirt.io/heartbeat"
EVACUATION_MIGRATION = "kubevirt.io/evacuationMigration"
UNPAUSED = "kubevirt.io/virtual-machine-unpaused"
VM_FINALIZER = "kubevirt.io/virtualMachineControllerFinalize"
VMI_FINALIZER = "kubevirt.io/foregroundDeleteVirtualMachine"
MIGRATION_FINALIZER = "kubevirt.io/migrationJobFinalize"

MIGRATING_STRATEGIES = ("LiveMigrate", "LiveMigrateIfPossible")

MIGRATION_DEFAULTS: Object = {
    "allowAutoConverge": False, "allowPostCopy": False, "allowWorkloadDisruption": False, "bandwidthPerMigration": "0",
    "completionTimeoutPerGiB": 150, "maxDowntimeMs": 900, "nodeDrainTaintKey": "kubevirt.io/drain",
    "parallelMigrationsPerCluster": 5, "parallelOutboundMigrationsPerNode": 2, "progressTimeout": 150,
    "unsafeMigrationOverride": False, "utilityVolumesTimeout": 150,
}
"""The defaults of v1.9.0 (pkg/virt-config/virt-config.go)."""


def configuration(cluster: Cluster) -> Object:
    """spec.configuration of the cluster's KubeVirt object; {} when there is none."""
    found = cluster.list(KUBEVIRT)
    configured: Object = dig(found[0], "spec", "configuration", default={}) if found else {}
    return configured


def migration_configuration(cluster: Cluster) -> Object:
    """The cluster's migration settings over the defaults."""
    settings = {**MIGRATION_DEFAULTS, **configuration(cluster).get("migrations", {})}
    settings["bandwidthPerMigration"] = str(settings["bandwidthPerMigration"])
    return settings


def eviction_strategy(cluster: Cluster, vmi: Object) -> str:
    """The strategy that holds for the VMI: its own, else the cluster's, else None."""
    own: Any = dig(vmi, "spec", "evictionStrategy")
    return str(own or configuration(cluster).get("evictionStrategy") or "None")


async def reconcile(cluster: Cluster, where: str) -> float | None:
    """Report the KubeVirt object as deployed: in the lab all of its components are this process."""
    known = cluster.get(KUBEVIRT, where)
    if known is None or deleting(known) or (phase(known) == "Deployed" and condition_true(known, "Available")):
        return None
    wished = cluster.get(KUBEVIRT, where) or known
    for type_, status in (("Available", "True"), ("Progressing", "False"), ("Degraded", "False")):
        set_condition(wished, type_, status, "AllComponentsReady", "All components are ready.")
    set_condition(wished, "Created", "True", "AllResourcesCreated", "All resources were created.")
    wished["status"].update(
        phase="Deployed", observedKubeVirtVersion=VERSION, targetKubeVirtVersion=VERSION, operatorVersion=VERSION,
        defaultArchitecture="amd64", observedGeneration=known["metadata"].get("generation", 1),
    )
    await cluster.update(KUBEVIRT, known, wished)
    return None


CONTROLLER = Controller("kubevirt", reconcile, ((KUBEVIRT, itself),))
