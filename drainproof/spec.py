"""What is asked of the cluster, as frozen values, and the manifests they become. No logic and no client calls."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from drainproof.api import Object
from drainproof.entry import POD_NETWORK, NetworkFacts

KEEP_POD_ADDRESS = "kubevirt.io/allow-pod-bridge-network-live-migration"
REQUESTED_ADDRESSES = "network.kubevirt.io/addresses"
SCRAPE = "prometheus.io/scrape"
SHARED = "ReadWriteMany"
"""The access mode of a disk that every node can open."""
FILE_SYSTEM, BLOCK = "Filesystem", "Block"
HOSTNAME = "kubernetes.io/hostname"
MACHINE_LABEL = "drainproof.io/machine"
"""On the template of a machine: its name, for a Service that stands before it alone."""


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
    network: NetworkFacts = POD_NETWORK
    kernel_boot: bool = True
    """Whether kernel and initial RAM disk lie in the image too; a cloud image boots by itself."""

    def manifest(self) -> Object:
        """The VirtualMachine object."""
        labels = {**self.labels, MACHINE_LABEL: self.name}
        template = {"metadata": {"labels": labels, "annotations": self._annotations()}, "spec": self._spec()}
        return {
            "metadata": {"name": self.name, "labels": dict(self.labels)},
            "spec": {"runStrategy": "Always", "template": template},
        }

    def _annotations(self) -> dict[str, str]:
        annotations = {KEEP_POD_ADDRESS: "true"} if self.network.kind == "bridge" else {}
        if self.address and self.network.kind in ("bridge", "l2bridge"):
            annotations[REQUESTED_ADDRESSES] = json.dumps({"default": [self.address]})
        return annotations

    def _spec(self) -> Object:
        spec: Object = {
            "evictionStrategy": self.eviction_strategy,
            "terminationGracePeriodSeconds": self.grace_seconds,
            "domain": self._domain(),
            "networks": [{"name": "default", **self._network()}],
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

    def _network(self) -> Object:
        return {"multus": {"networkName": self.network.name}} if self.network.kind == "multus" else {"pod": {}}

    def _interface(self) -> Object:
        """A machine on a network of Multus is bound to it by a bridge, as to a pod network that keeps addresses."""
        bindings: dict[str, Object] = {"masquerade": {"masquerade": {}}, "l2bridge": {"binding": {"name": "l2bridge"}}}
        return {"name": "default", **bindings.get(self.network.kind, {"bridge": {}})}

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
            **({"firmware": {"kernelBoot": {"container": boot}}} if self.kernel_boot else {}),
            "devices": {"disks": disks, "interfaces": [self._interface()], "rng": {}},
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


def node_port(name: str, selector: Mapping[str, str], port: int) -> Object:
    """A Service of type NodePort for one TCP port; the cluster chooses the nodes' port."""
    ports = [{"name": "http", "port": port, "targetPort": port, "protocol": "TCP"}]
    return {"metadata": {"name": name}, "spec": {"type": "NodePort", "selector": dict(selector), "ports": ports}}


def cluster_service(name: str, selector: Mapping[str, str], port: int) -> Object:
    """A Service inside the cluster for one TCP port, such as a Route needs behind it."""
    ports = [{"name": "http", "port": port, "targetPort": port, "protocol": "TCP"}]
    return {"metadata": {"name": name}, "spec": {"selector": dict(selector), "ports": ports}}


def route(name: str, service: str, host: str = "") -> Object:
    """An OpenShift Route to a Service's port `http`, without TLS; an empty host lets the cluster choose one."""
    content: Object = {"to": {"kind": "Service", "name": service}, "port": {"targetPort": "http"}}
    return {"metadata": {"name": name}, "spec": {**content, "host": host} if host else content}


def machine_service(name: str, machine: str, ports: Sequence[tuple[int, str]]) -> Object:
    """A Service of type LoadBalancer in front of one machine, ready or not: its address outlives the machine's moves.

    `ports` are numbers with their protocols, TCP or UDP. A member has to be reached by the others before it is ready.
    """
    named = [
        {"name": f"{protocol.lower()}-{port}", "port": port, "targetPort": port, "protocol": protocol}
        for port, protocol in ports
    ]
    spec = {
        "type": "LoadBalancer", "selector": {MACHINE_LABEL: machine}, "ports": named, "publishNotReadyAddresses": True,
    }
    return {"metadata": {"name": name}, "spec": spec}


def scraped_service(name: str, selector: Mapping[str, str] | None, ports: Mapping[str, int]) -> Object:
    """A headless Service whose endpoints Prometheus scrapes; without a selector its endpoints are made by hand."""
    spec: Object = {
        "clusterIP": "None",
        "ports": [{"name": key, "port": port, "targetPort": port} for key, port in ports.items()],
    }
    if selector:
        spec["selector"] = dict(selector)
    return {"metadata": {"name": name, "annotations": {SCRAPE: "true"}, "labels": {"app": name}}, "spec": spec}


def scraped_endpoints(service: str, addresses: Sequence[str], ports: Mapping[str, int]) -> Object:
    """The EndpointSlice of a Service without selector, for these addresses."""
    return {
        "metadata": {
            "name": f"{service}-static", "annotations": {SCRAPE: "true"},
            "labels": {"kubernetes.io/service-name": service, "app": service},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
        "ports": [{"name": key, "port": port, "protocol": "TCP"} for key, port in ports.items()],
    }
