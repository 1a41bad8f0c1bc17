"""What is asked of the cluster, as frozen values, and the manifests they become. No logic and no client calls."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from drainproof.api import Object

KEEP_POD_ADDRESS = "kubevirt.io/allow-pod-bridge-network-live-migration"
REQUESTED_ADDRESSES = "network.kubevirt.io/addresses"
SCRAPE = "prometheus.io/scrape"
SHARED = "ReadWriteMany"
"""The access mode of a disk that every node can open."""
FILE_SYSTEM, BLOCK = "Filesystem", "Block"
HOSTNAME = "kubernetes.io/hostname"


@dataclass(frozen=True, slots=True)
class VmSpec:
    """One virtual machine: an ephemeral root from a containerDisk, a data disk on a claim, cloud-init user data."""

    name: str
    labels: Mapping[str, str]
    image: str
    claim: str
    user_data_secret: str
    address: str = ""
    """The address to ask of the pod network; empty: any."""
    memory: str = "512Mi"
    cores: int = 1
    eviction_strategy: str = "LiveMigrate"
    apart_from: Mapping[str, str] = field(default_factory=dict)
    """Labels of the machines with which it must never share a node; empty: no anti-affinity."""
    nodes: tuple[str, ...] = ()
    """The nodes that it may run on; empty: any."""
    grace_seconds: int = 15
    """How long its guest may take to shut down in order; 0: stopping it is like taking its power away."""
    ready_path: str = ""
    """HTTP path on port 80 that answers 200 once the guest serves."""

    def manifest(self) -> Object:
        """The VirtualMachine object."""
        template = {"metadata": {"labels": dict(self.labels), "annotations": self._annotations()}, "spec": self._spec()}
        return {
            "metadata": {"name": self.name, "labels": dict(self.labels)},
            "spec": {"runStrategy": "Always", "template": template},
        }

    def _annotations(self) -> dict[str, str]:
        annotations = {KEEP_POD_ADDRESS: "true"}
        if self.address:
            annotations[REQUESTED_ADDRESSES] = json.dumps({"default": [self.address]})
        return annotations

    def _spec(self) -> Object:
        spec: Object = {
            "evictionStrategy": self.eviction_strategy,
            "terminationGracePeriodSeconds": self.grace_seconds,
            "domain": self._domain(),
            "networks": [{"name": "default", "pod": {}}],
            "volumes": [
                {"name": "root", "containerDisk": {"image": self.image}},
                {"name": "data", "persistentVolumeClaim": {"claimName": self.claim}},
                {"name": "cidata", "cloudInitNoCloud": {"secretRef": {"name": self.user_data_secret}}},
            ],
        }
        if affinity := self._affinity():
            spec["affinity"] = affinity
        if self.ready_path:
            spec["readinessProbe"] = {
                "httpGet": {"port": 80, "path": self.ready_path},
                "periodSeconds": 2, "timeoutSeconds": 2, "failureThreshold": 3, "successThreshold": 1,
            }
        return spec

    def _affinity(self) -> Object:
        affinity: Object = {}
        if self.apart_from:
            affinity["podAntiAffinity"] = _never_together(self.apart_from)
        if self.nodes:
            affinity["nodeAffinity"] = _only_on(self.nodes)
        return affinity

    def _domain(self) -> Object:
        boot = {"image": self.image, "kernelPath": "/boot/vmlinuz", "initrdPath": "/boot/initrd.img"}
        disks = [{"name": name, "serial": name, "disk": {"bus": "virtio"}} for name in ("root", "data", "cidata")]
        return {
            "cpu": {"cores": self.cores},
            "memory": {"guest": self.memory},
            "firmware": {"kernelBoot": {"container": boot}},
            "devices": {"disks": disks, "interfaces": [{"name": "default", "bridge": {}}], "rng": {}},
        }


def _never_together(labels: Mapping[str, str]) -> Object:
    term = {"labelSelector": {"matchLabels": dict(labels)}, "topologyKey": HOSTNAME}
    return {"requiredDuringSchedulingIgnoredDuringExecution": [term]}


def _only_on(nodes: Sequence[str]) -> Object:
    expression = {"key": HOSTNAME, "operator": "In", "values": list(nodes)}
    return {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [expression]}],
    }}


def claim(
    name: str, storage_class: str, size: str, access_mode: str = SHARED, volume_mode: str = FILE_SYSTEM
) -> Object:
    """A PersistentVolumeClaim: for a file that is the disk (Filesystem), or for the disk itself (Block)."""
    return {
        "metadata": {"name": name},
        "spec": {
            "storageClassName": storage_class, "accessModes": [access_mode], "volumeMode": volume_mode,
            "resources": {"requests": {"storage": size}},
        },
    }


def machine_snapshot(name: str, machine: str) -> Object:
    """A VirtualMachineSnapshot of a machine, running or not."""
    return {"metadata": {"name": name}, "spec": {"source": _machine(machine)}}


def machine_restore(name: str, machine: str, snapshot: str) -> Object:
    """A VirtualMachineRestore, which puts a stopped machine back to what a snapshot holds."""
    return {"metadata": {"name": name}, "spec": {"target": _machine(machine), "virtualMachineSnapshotName": snapshot}}


def machine_clone(name: str, machine: str, target: str) -> Object:
    """A VirtualMachineClone of a machine under another name; an address that was asked for stays with the original."""
    kept = {"annotationFilters": ["*", f"!{REQUESTED_ADDRESSES}"]}
    return {
        "metadata": {"name": name},
        "spec": {"source": _machine(machine), "target": _machine(target), "template": kept},
    }


def _machine(name: str) -> Object:
    return {"apiGroup": "kubevirt.io", "kind": "VirtualMachine", "name": name}


def secret(name: str, content: Mapping[str, str]) -> Object:
    """A Secret of plain strings."""
    return {"metadata": {"name": name}, "stringData": dict(content)}


def load_balancer(name: str, selector: Mapping[str, str], port: int) -> Object:
    """A Service of type LoadBalancer for one TCP port."""
    ports = [{"name": "http", "port": port, "targetPort": port, "protocol": "TCP"}]
    return {"metadata": {"name": name}, "spec": {"type": "LoadBalancer", "selector": dict(selector), "ports": ports}}


def scraped_service(name: str, selector: Mapping[str, str] | None, ports: Mapping[str, int]) -> Object:
    """A headless Service whose endpoints Prometheus scrapes; without a selector its endpoints are made by hand."""
    spec: Object = {
        "clusterIP": "None",
        "ports": [{"name": key, "port": port, "targetPort": port} for key, port in ports.items()],
    }
    if selector:
        spec["selector"] = dict(selector)
    return {"metadata": {"name": name, "annotations": {SCRAPE: "true"}, "labels": {"app": name}}, "spec": spec}


def scraped_endpoints(service: str, address: str, ports: Mapping[str, int]) -> Object:
    """The EndpointSlice of a Service without selector: one address."""
    return {
        "metadata": {
            "name": f"{service}-static", "annotations": {SCRAPE: "true"},
            "labels": {"kubernetes.io/service-name": service, "app": service},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": key, "port": port, "protocol": "TCP"} for key, port in ports.items()],
    }
