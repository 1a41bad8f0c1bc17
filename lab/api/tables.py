"""The Table form of objects and lists, and their PartialObjectMetadata form."""

from __future__ import annotations

from collections.abc import Sequence

from lab.api import cells, rbac_columns, snapshot_columns
from lab.api.columns import AGE, CUSTOM_AGE, NAME, NONE, UNSET, Column, condition, path
from lab.api.errors import Object
from lab.api.stored import Stored
from lab.kinds import Kind

COLUMNS: dict[str, tuple[Column, ...]] = {
    "Pod": (
        NAME, Column("Ready", cells.pod_ready), Column("Status", cells.pod_status),
        Column("Restarts", cells.pod_restarts), AGE,
        Column("IP", path("status.podIP", NONE), wide=True), Column("Node", path("spec.nodeName", NONE), wide=True),
        Column("Nominated Node", path("status.nominatedNodeName", NONE), wide=True),
        Column("Readiness Gates", cells.pod_gates, wide=True),
    ),
    "Node": (
        NAME, Column("Status", cells.node_status), Column("Roles", cells.node_roles), AGE,
        Column("Version", path("status.nodeInfo.kubeletVersion")),
        Column("Internal-IP", cells.node_address("InternalIP"), wide=True),
        Column("External-IP", cells.node_address("ExternalIP"), wide=True),
        Column("OS-Image", path("status.nodeInfo.osImage", "<unknown>"), wide=True),
        Column("Kernel-Version", path("status.nodeInfo.kernelVersion", "<unknown>"), wide=True),
        Column("Container-Runtime", path("status.nodeInfo.containerRuntimeVersion", "<unknown>"), wide=True),
    ),
    "Namespace": (NAME, Column("Status", path("status.phase")), AGE),
    "Service": (
        NAME, Column("Type", path("spec.type")), Column("Cluster-IP", path("spec.clusterIP", NONE)),
        Column("External-IP", cells.service_external), Column("Port(s)", cells.service_ports), AGE,
        Column("Selector", cells.service_selector, wide=True),
    ),
    "Secret": (NAME, Column("Type", path("type")), Column("Data", cells.data_count, "integer"), AGE),
    "ConfigMap": (NAME, Column("Data", cells.data_count), AGE),
    "Event": (
        Column("Last Seen", cells.event_last), Column("Type", path("type")), Column("Reason", path("reason")),
        Column("Object", cells.event_object), Column("Subobject", path("involvedObject.fieldPath"), wide=True),
        Column("Source", path("source.component"), wide=True), Column("Message", cells.event_message),
        Column("First Seen", cells.event_first, wide=True), Column("Count", path("count", 1), wide=True),
        Column("Name", path("metadata.name"), wide=True),
    ),
    "PersistentVolume": (
        NAME, Column("Capacity", path("spec.capacity.storage")), Column("Access Modes", cells.modes("spec")),
        Column("Reclaim Policy", path("spec.persistentVolumeReclaimPolicy")), Column("Status", cells.phase),
        Column("Claim", cells.volume_claim), Column("StorageClass", path("spec.storageClassName")),
        Column("VolumeAttributesClass", path("spec.volumeAttributesClassName", UNSET)),
        Column("Reason", path("status.reason")), AGE,
        Column("VolumeMode", path("spec.volumeMode", UNSET), wide=True),
    ),
    "PersistentVolumeClaim": (
        NAME, Column("Status", cells.phase), Column("Volume", path("spec.volumeName")),
        Column("Capacity", path("status.capacity.storage")), Column("Access Modes", cells.modes("status")),
        Column("StorageClass", path("spec.storageClassName")),
        Column("VolumeAttributesClass", path("spec.volumeAttributesClassName", UNSET)), AGE,
        Column("VolumeMode", path("spec.volumeMode", UNSET), wide=True),
    ),
    "Job": (NAME, Column("Active", path("status.active", 0)), Column("Succeeded", path("status.succeeded", 0)), AGE),
    "Lease": (NAME, Column("Holder", path("spec.holderIdentity")), AGE),
    "StorageClass": (
        NAME, Column("Provisioner", path("provisioner")), Column("ReclaimPolicy", path("reclaimPolicy")),
        Column("VolumeBindingMode", path("volumeBindingMode")),
        Column("AllowVolumeExpansion", path("allowVolumeExpansion", False)), AGE,
    ),
    "EndpointSlice": (
        NAME, Column("AddressType", path("addressType")), Column("Ports", cells.slice_ports),
        Column("Endpoints", cells.slice_endpoints), AGE,
    ),
    "PodDisruptionBudget": (
        NAME, Column("Min Available", path("spec.minAvailable", "N/A")),
        Column("Max Unavailable", path("spec.maxUnavailable", "N/A")),
        Column("Allowed Disruptions", path("status.disruptionsAllowed", 0), "integer"), AGE,
    ),
    "VirtualMachine": (
        NAME, CUSTOM_AGE, Column("Status", path("status.printableStatus", None)),
        Column("Ready", condition("Ready")),
    ),
    "VirtualMachineInstance": (
        NAME, CUSTOM_AGE, Column("Phase", path("status.phase", None)),
        Column("IP", path("status.interfaces.0.ipAddress", None)), Column("NodeName", path("status.nodeName", None)),
        Column("Ready", condition("Ready")), Column("Live-Migratable", condition("LiveMigratable"), wide=True),
        Column("Paused", condition("Paused"), wide=True),
    ),
    "VirtualMachineInstanceMigration": (
        NAME, Column("Phase", path("status.phase", None)), Column("VMI", path("spec.vmiName", None)),
    ),
    "KubeVirt": (NAME, CUSTOM_AGE, Column("Phase", path("status.phase", None))),
    "MigrationPolicy": (NAME, CUSTOM_AGE),
    "NodeHealthCheck": (NAME, CUSTOM_AGE),
    "FenceAgentsRemediation": (NAME, CUSTOM_AGE),
    "FenceAgentsRemediationTemplate": (NAME, CUSTOM_AGE),
    "StorageProfile": (NAME, CUSTOM_AGE),
    "NetworkChaos": (
        NAME, Column("Action", path("spec.action", None)), Column("Duration", path("spec.duration", None)),
    ),
    "HTTPChaos": (NAME, Column("Duration", path("spec.duration", None))),
} | rbac_columns.COLUMNS | snapshot_columns.COLUMNS


def table(
    kind: Kind, items: Sequence[Stored], meta: Object, version: str, include: str = "", *, header: bool = True
) -> Object:
    """The items as a Table; `include` is the request's includeObject: Metadata (the default), Object or None."""
    columns = COLUMNS[kind.name]
    rows = []
    for item in items:
        body = item.body
        row: Object = {"cells": [column.cell(body) for column in columns]}
        if include != "None":
            row["object"] = item.body if include == "Object" else partial(item, version)
        rows.append(row)
    definitions = [column.definition() for column in columns] if header else None
    return {
        "kind": "Table", "apiVersion": f"meta.k8s.io/{version}", "metadata": meta, "columnDefinitions": definitions,
        "rows": rows,
    }




def partial(item: Stored, version: str = "v1") -> Object:
    """The object's metadata alone."""
    return {
        "kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{version}", "metadata": item.body["metadata"],
    }
