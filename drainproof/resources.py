"""The kinds of objects that the harness speaks of, as the URLs of the Kubernetes API name them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
"""A Kubernetes object as plain JSON."""
Objects = list[Object]


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object, as URLs name it."""

    group_version: str
    plural: str
    kind: str
    namespaced: bool = True

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        root = f"/apis/{self.group_version}" if "/" in self.group_version else f"/api/{self.group_version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        tail = "".join(f"/{part}" for part in (name, subresource) if part)
        return f"{root}{scope}/{self.plural}{tail}"


NODES = Resource("v1", "nodes", "Node", namespaced=False)
NAMESPACES = Resource("v1", "namespaces", "Namespace", namespaced=False)
PODS = Resource("v1", "pods", "Pod")
SECRETS = Resource("v1", "secrets", "Secret")
CONFIG_MAPS = Resource("v1", "configmaps", "ConfigMap")
SERVICES = Resource("v1", "services", "Service")
CLAIMS = Resource("v1", "persistentvolumeclaims", "PersistentVolumeClaim")
VOLUMES = Resource("v1", "persistentvolumes", "PersistentVolume", namespaced=False)
STORAGE_CLASSES = Resource("storage.k8s.io/v1", "storageclasses", "StorageClass", namespaced=False)
STORAGE_PROFILES = Resource("cdi.kubevirt.io/v1beta1", "storageprofiles", "StorageProfile", namespaced=False)
ROUTES = Resource("route.openshift.io/v1", "routes", "Route")
ENDPOINT_SLICES = Resource("discovery.k8s.io/v1", "endpointslices", "EndpointSlice")
MACHINES = Resource("kubevirt.io/v1", "virtualmachines", "VirtualMachine")
INSTANCES = Resource("kubevirt.io/v1", "virtualmachineinstances", "VirtualMachineInstance")
MIGRATIONS = Resource("kubevirt.io/v1", "virtualmachineinstancemigrations", "VirtualMachineInstanceMigration")
KUBEVIRTS = Resource("kubevirt.io/v1", "kubevirts", "KubeVirt")
LEASES = Resource("coordination.k8s.io/v1", "leases", "Lease")
JOBS = Resource("batch/v1", "jobs", "Job")
MIGRATION_POLICIES = Resource(
    "migrations.kubevirt.io/v1alpha1", "migrationpolicies", "MigrationPolicy", namespaced=False
)
NODE_HEALTH_CHECKS = Resource(
    "remediation.medik8s.io/v1alpha1", "nodehealthchecks", "NodeHealthCheck", namespaced=False
)
NETWORK_CHAOS = Resource("chaos-mesh.org/v1alpha1", "networkchaos", "NetworkChaos")
HTTP_CHAOS = Resource("chaos-mesh.org/v1alpha1", "httpchaos", "HTTPChaos")
VOLUME_SNAPSHOT_CLASSES = Resource(
    "snapshot.storage.k8s.io/v1", "volumesnapshotclasses", "VolumeSnapshotClass", namespaced=False
)
VOLUME_SNAPSHOT_CONTENTS = Resource(
    "snapshot.storage.k8s.io/v1", "volumesnapshotcontents", "VolumeSnapshotContent", namespaced=False
)
MACHINE_SNAPSHOTS = Resource("snapshot.kubevirt.io/v1beta1", "virtualmachinesnapshots", "VirtualMachineSnapshot")
MACHINE_RESTORES = Resource("snapshot.kubevirt.io/v1beta1", "virtualmachinerestores", "VirtualMachineRestore")
MACHINE_CLONES = Resource("clone.kubevirt.io/v1beta1", "virtualmachineclones", "VirtualMachineClone")
SUBRESOURCES = "subresources.kubevirt.io/v1"
