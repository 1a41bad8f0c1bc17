"""The objects that a cluster has before anybody creates one."""

from __future__ import annotations

from lab.api import faults, rbac_defaults
from lab.api.caller import Caller
from lab.api.discovery import KUBEVIRT_VERSION
from lab.api.errors import Object
from lab.api.resources import Place, Resources, now
from lab.config import FABRIC_ADDRESS
from lab.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, KUBEVIRT, NAMESPACE, POD, SERVICE

NAMESPACES = ("default", "kube-system", "kube-node-lease", "kube-public", "kubevirt", "monitoring")
MIGRATION_DEFAULTS: Object = {
    "allowAutoConverge": False, "allowPostCopy": False, "bandwidthPerMigration": "0", "completionTimeoutPerGiB": 150,
    "nodeDrainTaintKey": "kubevirt.io/drain", "parallelMigrationsPerCluster": 5,
    "parallelOutboundMigrationsPerNode": 2, "progressTimeout": 150, "unsafeMigrationOverride": False,
}
"""spec.configuration.migrations of KubeVirt v1.9 as it takes effect when nothing is set."""
_SYSTEM = Caller("system:apiserver", allowed=True, component=True)


def populate(resources: Resources) -> None:
    """Create the default roles, the namespaces, the kubernetes Service, the server's own pod, a deployed KubeVirt."""
    for role in rbac_defaults.roles():
        resources.create(Place(CLUSTER_ROLE, ""), role, _SYSTEM)
    for binding in rbac_defaults.bindings():
        resources.create(Place(CLUSTER_ROLE_BINDING, ""), binding, _SYSTEM)
    for name in NAMESPACES:
        resources.create(Place(NAMESPACE, ""), {"metadata": {"name": name}}, _SYSTEM)
    resources.create(Place(SERVICE, "default"), {
        "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {
            "clusterIP": "10.96.0.1",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
        },
    }, _SYSTEM)
    _show_server(resources)
    place = Place(KUBEVIRT, "kubevirt")
    resources.create(place, {
        "metadata": {"name": "kubevirt"},
        "spec": {
            "certificateRotateStrategy": {}, "configuration": {"migrations": dict(MIGRATION_DEFAULTS)},
            "customizeComponents": {}, "imagePullPolicy": "IfNotPresent", "workloadUpdateStrategy": {},
        },
    }, _SYSTEM)
    resources.update(Place(KUBEVIRT, "kubevirt", "kubevirt", "status"), _deployed, _SYSTEM)


def _show_server(resources: Resources) -> None:
    resources.create(Place(POD, faults.NAMESPACE), faults.mirror_pod(), _SYSTEM)
    place = Place(POD, faults.NAMESPACE, faults.POD_NAME, "status")
    resources.update(place, lambda body: faults.mirror_status(body, FABRIC_ADDRESS, now()), _SYSTEM)


def _deployed(body: Object) -> Object:
    version = KUBEVIRT_VERSION["gitVersion"]
    states = (
        ("Available", "True", "AllComponentsReady", "All components are ready."),
        ("Progressing", "False", "AllComponentsReady", "All components are ready."),
        ("Degraded", "False", "AllComponentsReady", "All components are ready."),
        ("Created", "True", "AllResourcesCreated", "All resources were created."),
    )
    stamp = now()
    conditions = [
        {
            "type": kind, "status": status, "reason": reason, "message": message, "lastProbeTime": stamp,
            "lastTransitionTime": stamp,
        }
        for kind, status, reason, message in states
    ]
    return {**body, "status": {
        "phase": "Deployed", "conditions": conditions, "defaultArchitecture": "amd64", "observedGeneration": 1,
        "observedKubeVirtVersion": version, "operatorVersion": version, "targetKubeVirtVersion": version,
        "outdatedVirtualMachineInstanceWorkloads": 0,
    }}
