"""The table of every resource kind the lab serves: names, versions and scope, as a real cluster publishes them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource kind: enough to build its URL and to answer discovery."""

    group: str
    version: str
    plural: str
    name: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    status: bool = False
    custom: bool = False
    """A custom resource: merge and JSON patches only, generation counted, strict PUT."""
    categories: tuple[str, ...] = ()
    older: tuple[str, ...] = ()
    """Versions that are served besides, with the same fields."""

    @property
    def versions(self) -> tuple[str, ...]:
        return (self.version, *self.older)

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular(self) -> str:
        return self.name.lower()

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
        """The URL path of the collection, of one object or of its subresource."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/".join(parts)


NODE = Kind("", "v1", "nodes", "Node", namespaced=False, short_names=("no",), status=True)
NAMESPACE = Kind("", "v1", "namespaces", "Namespace", namespaced=False, short_names=("ns",), status=True)
POD = Kind("", "v1", "pods", "Pod", short_names=("po",), status=True, categories=("all",))
SERVICE = Kind("", "v1", "services", "Service", short_names=("svc",), status=True, categories=("all",))
SECRET = Kind("", "v1", "secrets", "Secret")
CONFIG_MAP = Kind("", "v1", "configmaps", "ConfigMap", short_names=("cm",))
EVENT = Kind("", "v1", "events", "Event", short_names=("ev",))
PERSISTENT_VOLUME = Kind(
    "", "v1", "persistentvolumes", "PersistentVolume", namespaced=False, short_names=("pv",), status=True
)
PERSISTENT_VOLUME_CLAIM = Kind(
    "", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", short_names=("pvc",), status=True
)
LEASE = Kind("coordination.k8s.io", "v1", "leases", "Lease")
STORAGE_CLASS = Kind("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False, short_names=("sc",))
ENDPOINT_SLICE = Kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
POD_DISRUPTION_BUDGET = Kind(
    "policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", short_names=("pdb",), status=True
)

SERVICE_ACCOUNT = Kind("", "v1", "serviceaccounts", "ServiceAccount", short_names=("sa",))

_RBAC_GROUP = "rbac.authorization.k8s.io"

ROLE = Kind(_RBAC_GROUP, "v1", "roles", "Role")
ROLE_BINDING = Kind(_RBAC_GROUP, "v1", "rolebindings", "RoleBinding")
CLUSTER_ROLE = Kind(_RBAC_GROUP, "v1", "clusterroles", "ClusterRole", namespaced=False)
CLUSTER_ROLE_BINDING = Kind(_RBAC_GROUP, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False)

JOB = Kind("batch", "v1", "jobs", "Job", status=True, categories=("all",))

_KUBEVIRT_GROUP = "kubevirt.io"

VIRTUAL_MACHINE = Kind(
    _KUBEVIRT_GROUP, "v1", "virtualmachines", "VirtualMachine",
    short_names=("vm", "vms"), status=True, custom=True, categories=("all",),
)
VIRTUAL_MACHINE_INSTANCE = Kind(
    _KUBEVIRT_GROUP, "v1", "virtualmachineinstances", "VirtualMachineInstance",
    short_names=("vmi", "vmis"), custom=True, categories=("all",),
)
MIGRATION = Kind(
    _KUBEVIRT_GROUP, "v1", "virtualmachineinstancemigrations", "VirtualMachineInstanceMigration",
    short_names=("vmim", "vmims"), status=True, custom=True, categories=("all",),
)
KUBEVIRT = Kind(
    _KUBEVIRT_GROUP, "v1", "kubevirts", "KubeVirt",
    short_names=("kv", "kvs"), status=True, custom=True, categories=("all",),
)
MIGRATION_POLICY = Kind(
    "migrations.kubevirt.io", "v1alpha1", "migrationpolicies", "MigrationPolicy",
    namespaced=False, status=True, custom=True,
)

_CHAOS_GROUP = "chaos-mesh.org"

NETWORK_CHAOS = Kind(_CHAOS_GROUP, "v1alpha1", "networkchaos", "NetworkChaos", custom=True)
HTTP_CHAOS = Kind(_CHAOS_GROUP, "v1alpha1", "httpchaos", "HTTPChaos", custom=True)

NODE_HEALTH_CHECK = Kind(
    "remediation.medik8s.io", "v1alpha1", "nodehealthchecks", "NodeHealthCheck",
    namespaced=False, short_names=("nhc",), status=True, custom=True,
)
_FENCING_GROUP = "fence-agents-remediation.medik8s.io"

FENCE_AGENTS_REMEDIATION = Kind(
    _FENCING_GROUP, "v1alpha1", "fenceagentsremediations", "FenceAgentsRemediation",
    short_names=("far",), status=True, custom=True,
)
FENCE_AGENTS_REMEDIATION_TEMPLATE = Kind(
    _FENCING_GROUP, "v1alpha1", "fenceagentsremediationtemplates", "FenceAgentsRemediationTemplate",
    short_names=("fartemplate",), status=True, custom=True,
)

STORAGE_PROFILE = Kind("cdi.kubevirt.io", "v1beta1", "storageprofiles", "StorageProfile", namespaced=False, custom=True)

_VOLUME_SNAPSHOT_GROUP = "snapshot.storage.k8s.io"

VOLUME_SNAPSHOT_CLASS = Kind(
    _VOLUME_SNAPSHOT_GROUP, "v1", "volumesnapshotclasses", "VolumeSnapshotClass",
    namespaced=False, short_names=("vsclass", "vsclasses"), custom=True,
)
VOLUME_SNAPSHOT = Kind(
    _VOLUME_SNAPSHOT_GROUP, "v1", "volumesnapshots", "VolumeSnapshot", short_names=("vs",), status=True, custom=True,
)
VOLUME_SNAPSHOT_CONTENT = Kind(
    _VOLUME_SNAPSHOT_GROUP, "v1", "volumesnapshotcontents", "VolumeSnapshotContent",
    namespaced=False, short_names=("vsc", "vscs"), status=True, custom=True,
)

_VM_SNAPSHOT_GROUP = "snapshot.kubevirt.io"

VM_SNAPSHOT = Kind(
    _VM_SNAPSHOT_GROUP, "v1beta1", "virtualmachinesnapshots", "VirtualMachineSnapshot",
    short_names=("vmsnapshot", "vmsnapshots"), status=True, custom=True, categories=("all",), older=("v1alpha1",),
)
VM_SNAPSHOT_CONTENT = Kind(
    _VM_SNAPSHOT_GROUP, "v1beta1", "virtualmachinesnapshotcontents", "VirtualMachineSnapshotContent",
    short_names=("vmsnapshotcontent", "vmsnapshotcontents"), status=True, custom=True, categories=("all",),
    older=("v1alpha1",),
)
VM_RESTORE = Kind(
    _VM_SNAPSHOT_GROUP, "v1beta1", "virtualmachinerestores", "VirtualMachineRestore",
    short_names=("vmrestore", "vmrestores"), status=True, custom=True, categories=("all",), older=("v1alpha1",),
)
VM_CLONE = Kind(
    "clone.kubevirt.io", "v1beta1", "virtualmachineclones", "VirtualMachineClone",
    short_names=("vmclone", "vmclones"), status=True, custom=True, categories=("all",), older=("v1alpha1",),
)

KINDS: tuple[Kind, ...] = (
    NODE, NAMESPACE, POD, SERVICE, SECRET, CONFIG_MAP, EVENT, PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, LEASE,
    STORAGE_CLASS, ENDPOINT_SLICE, POD_DISRUPTION_BUDGET, JOB, SERVICE_ACCOUNT, ROLE, ROLE_BINDING, CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING, VIRTUAL_MACHINE, VIRTUAL_MACHINE_INSTANCE, MIGRATION, KUBEVIRT, MIGRATION_POLICY,
    NETWORK_CHAOS, HTTP_CHAOS, NODE_HEALTH_CHECK, FENCE_AGENTS_REMEDIATION, FENCE_AGENTS_REMEDIATION_TEMPLATE,
    VOLUME_SNAPSHOT_CLASS, VOLUME_SNAPSHOT, VOLUME_SNAPSHOT_CONTENT, VM_SNAPSHOT, VM_SNAPSHOT_CONTENT, VM_RESTORE,
    VM_CLONE, STORAGE_PROFILE,
)
