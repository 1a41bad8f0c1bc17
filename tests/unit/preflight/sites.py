"""Clusters made of a few objects each, for those who read them: a plain one, and one with OpenShift Virtualization.

The shapes are those that the projects publish: ClusterVersion (openshift/api), HyperConverged
(hyperconverged-cluster-operator, v1beta1), StorageProfile (containerized-data-importer), NodeHealthCheck (medik8s),
IPAddressPool (metallb), NetworkAttachmentDefinition (network-plumbing-wg).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from drainproof.api import Cluster
from drainproof.errors import ApiError, NotFoundError
from drainproof.prometheus import Prometheus
from drainproof.resources import Object, Objects, Resource

GIB = 2**30


def node(name: str, **spec: Any) -> Object:
    """A node of 8 cores and 16 GiB that takes machines and may be disturbed, like `w1` of the recordings."""
    return {
        "metadata": {"name": name, "labels": {
            "kubevirt.io/schedulable": "true", "drainproof.io/disruptable": "true",
            "topology.kubernetes.io/zone": "room-1",
        }},
        "spec": spec,
        "status": {
            "allocatable": {"cpu": "8", "memory": "16777216Ki", "pods": "40", "devices.kubevirt.io/kvm": "1k"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def pod(name: str, on: str, cpu: str, memory: str, **more: Any) -> Object:
    containers = [{"name": "main", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]
    labels = more.pop("labels", {})
    return {
        "metadata": {
            "name": name, "namespace": "other", "labels": labels,
            "ownerReferences": [{"kind": "ReplicaSet", "controller": True}],
        },
        "spec": {"nodeName": on, "containers": containers, **more}, "status": {"phase": "Running"},
    }


def launcher(name: str, on: str) -> Object:
    return pod(name, on, "200m", "532Mi", labels={"kubevirt.io": "virt-launcher"})


def storage_class(name: str, provisioner: str, **annotations: str) -> Object:
    meta = {"name": name, "annotations": {key.replace("__", "/"): value for key, value in annotations.items()}}
    return {"metadata": meta, "provisioner": provisioner, "reclaimPolicy": "Delete", "allowVolumeExpansion": True,
            "volumeBindingMode": "Immediate", "parameters": {"adminKey": "secret"}}


def storage_profile(name: str, *sets: tuple[str, str]) -> Object:
    found = [{"accessModes": modes.split("/"), "volumeMode": volume} for modes, volume in sets]
    return {"metadata": {"name": name}, "status": {
        "claimPropertySets": found, "cloneStrategy": "csi-clone", "snapshotClass": f"{name}-snap",
    }}


def service(namespace: str, name: str, *ports: tuple[str, int], **labels: str) -> Object:
    return {
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {"type": "ClusterIP", "ports": [{"name": key, "port": port} for key, port in ports]},
    }


def kubevirt(**configuration: Any) -> Object:
    """Like `objects/kubevirt-cr.json` of the recordings."""
    return {
        "metadata": {"name": "kubevirt", "namespace": "kubevirt"}, "spec": {"configuration": configuration},
        "status": {"observedKubeVirtVersion": "v1.9.0", "phase": "Deployed"},
    }


def plain() -> dict[str, Objects]:
    """Five nodes, a shared class with snapshots and a local one, MetalLB and a Prometheus of its operator."""
    return {
        "nodes": [node(f"node-{letter}") for letter in "abcde"],
        "pods": [pod("db", "node-a", "1500m", "4Gi"), launcher("virt-launcher-x", "node-b")],
        "kubevirts": [kubevirt()],
        "storageclasses": [
            storage_class("ceph", "rbd.csi.ceph.com", **{"storageclass.kubernetes.io__is-default-class": "true"}),
            storage_class("local", "rancher.io/local-path"),
        ],
        "storageprofiles": [
            storage_profile("ceph", ("ReadWriteMany", "Block"), ("ReadWriteOnce", "Filesystem")),
            storage_profile("local", ("ReadWriteOnce", "Filesystem")),
        ],
        "volumesnapshotclasses": [{"metadata": {"name": "ceph-snap"}, "driver": "rbd.csi.ceph.com"}],
        "ipaddresspools": [{"metadata": {"name": "floor-2", "namespace": "metallb-system"}}],
        "network-attachment-definitions": [{"metadata": {"name": "vlan-7", "namespace": "hospital"}}],
        "services": [
            service("monitoring", "prometheus-k8s", ("web", 9090), ("reloader-web", 8080)),
            service("default", "kubernetes", ("https", 443)),
        ],
        "nodehealthchecks": [{"metadata": {"name": "workers"}, "spec": {"pauseRequests": []}}],
        "namespaces": [{"metadata": {"name": "default", "labels": {
            "pod-security.kubernetes.io/enforce": "privileged", "kubernetes.io/metadata.name": "default",
        }}}],
    }


GROUPS = (
    "apps", "storage.k8s.io", "kubevirt.io", "migrations.kubevirt.io", "cdi.kubevirt.io", "snapshot.kubevirt.io",
    "clone.kubevirt.io", "snapshot.storage.k8s.io", "metallb.io", "k8s.cni.cncf.io", "remediation.medik8s.io",
)


def openshift() -> dict[str, Objects]:
    """The same with OpenShift's own objects; an update is under way."""
    history = [
        {"state": "Partial", "version": "4.22.4"}, {"state": "Completed", "version": "4.22.3"},
        {"state": "Completed", "version": "4.21.9"},
    ]
    limits = {
        "parallelMigrationsPerCluster": 5, "parallelOutboundMigrationsPerNode": 1, "completionTimeoutPerGiB": 150,
        "progressTimeout": 150, "allowAutoConverge": False, "allowPostCopy": False,
    }
    spec = {"liveMigrationConfig": limits, "evictionStrategy": "LiveMigrate", "infra": {}}
    versions = [{"name": "kubevirt-hyperconverged", "version": "9.9.9"}, {"name": "operator", "version": "4.22.1"}]
    monitoring = [
        service("openshift-monitoring", "thanos-querier", ("web", 9091), ("tenancy", 9092)),
        service("openshift-monitoring", "prometheus-k8s", ("web", 9091)),
        service("openshift-user-workload-monitoring", "prometheus-operated", ("web", 9090)),
    ]
    return {
        **plain(),
        "clusterversions": [{"metadata": {"name": "version"}, "status": {
            "desired": {"version": "4.22.4"}, "history": history,
        }}],
        "hyperconvergeds": [{
            "metadata": {"name": "kubevirt-hyperconverged", "namespace": "openshift-cnv"}, "spec": spec,
            "status": {"versions": versions},
        }],
        "kubevirts": [kubevirt(migrations=limits, evictionStrategy="LiveMigrate")],
        "securitycontextconstraints": [{"metadata": {"name": name}} for name in ("restricted-v2", "privileged")],
        "routes": [{
            "metadata": {"name": "thanos-querier", "namespace": "openshift-monitoring"},
            "spec": {"host": "thanos-querier-openshift-monitoring.apps.site.example"},
        }],
        "services": monitoring,
    }


@dataclass
class Site:
    """A cluster that answers with its objects, refuses what it was told to refuse, and can be changed by nobody."""

    objects: Mapping[str, Objects] = field(default_factory=plain)
    groups: tuple[str, ...] = GROUPS
    refused: Mapping[str, int] = field(default_factory=dict)
    """By plural, the HTTP status."""
    server: str = "https://site.example:6443"
    asked: list[str] = field(default_factory=list)

    @property
    def cluster(self) -> Cluster:
        return cast(Cluster, self)

    def version(self) -> str:
        return "v1.35.3"

    def at(self, path: str) -> Object:
        assert path == "/apis"
        self._answer("apis")
        return {"groups": [{"name": name, "versions": [{"version": "v1"}]} for name in self.groups]}

    def items(self, resource: Resource, namespace: str | None = None, **_selectors: str) -> Objects:
        self._answer(resource.plural)
        if resource.plural not in self.objects and resource.plural not in ("leases", "virtualmachineinstances"):
            raise NotFoundError("GET", 404, "NotFound", "the server could not find the requested resource")
        return list(self.objects.get(resource.plural, []))

    def find(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        self._answer(resource.plural)
        found = self.objects.get(resource.plural, [])
        return next((one for one in found if one["metadata"]["name"] == name), None)

    def _answer(self, plural: str) -> None:
        self.asked.append(plural)
        if code := self.refused.get(plural):
            raise ApiError(f"GET {plural}", code, "Forbidden", f"{plural} is forbidden")


class Answers:
    """A Prometheus that answers everything with nothing."""

    def now(self, query: str) -> list[dict[str, Any]]:
        return []

    @classmethod
    def of(cls, *_: object) -> Prometheus:
        return cast(Prometheus, cls())
