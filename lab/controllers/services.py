"""Services get their addresses: a recorded ClusterIP, ports of the nodes, and a virtual IP for type LoadBalancer."""

from __future__ import annotations

import copy
import ipaddress

from lab.client import Object
from lab.controllers.runtime import Controller, itself
from lab.kinds import SERVICE
from lab.machinery.cluster import Cluster
from lab.machinery.objects import deleting, dig, key

CLUSTER_NETWORK = ipaddress.IPv4Network("10.96.0.0/16")
CLUSTER_FIRST = 10
VIRTUAL_NETWORK = ipaddress.IPv4Network("10.77.200.0/24")
VIRTUAL_FIRST = 10
NODE_PORTS = range(30000, 32768)
"""The API server's --service-node-port-range by default."""


async def reconcile(cluster: Cluster, where: str) -> float | None:
    """Allocate what the Service lacks; take a virtual IP back when its type is no longer LoadBalancer."""
    service = cluster.get(SERVICE, where)
    if service is None or deleting(service):
        return None
    others = [other for other in cluster.list(SERVICE) if key(other) != where]
    wished = copy.deepcopy(service)
    _cluster_address(wished, others)
    _node_ports(wished, others)
    _virtual_address(cluster, wished, others)
    await cluster.update(SERVICE, service, wished)
    return None


def virtual_address(service: Object) -> str:
    """The Service's virtual IP; empty when it has none."""
    return str(dig(service, "status", "loadBalancer", "ingress", 0, "ip", default=""))


def _cluster_address(service: Object, others: list[Object]) -> None:
    spec = service["spec"]
    if spec.get("clusterIP") or spec.get("type") == "ExternalName":
        return
    taken = {dig(other, "spec", "clusterIP") for other in others}
    address = _free(CLUSTER_NETWORK, CLUSTER_FIRST, taken)
    spec.update(clusterIP=address, clusterIPs=[address])


def _node_ports(service: Object, others: list[Object]) -> None:
    """A port of every node for each port of a Service of type NodePort, from Kubernetes' default range."""
    if service["spec"].get("type") != "NodePort":
        return
    taken = {port.get("nodePort") for one in (*others, service) for port in dig(one, "spec", "ports", default=[])}
    free = (number for number in NODE_PORTS if number not in taken)
    for port in dig(service, "spec", "ports", default=[]):
        if not port.get("nodePort"):
            port["nodePort"] = next(free)


def _virtual_address(cluster: Cluster, service: Object, others: list[Object]) -> None:
    status = service.setdefault("status", {})
    if service["spec"].get("type") != "LoadBalancer":
        if virtual_address(service):
            status["loadBalancer"] = {}
        return
    taken = {virtual_address(other) for other in others}
    wanted = service["spec"].get("loadBalancerIP")
    present = virtual_address(service)
    if present and wanted in (None, "", present):
        return
    problem = _refusal(wanted, taken) if wanted else ""
    if problem:
        cluster.event(SERVICE, service, "Warning", "AllocationFailed", problem, "service-controller")
        return
    address = wanted or _free(VIRTUAL_NETWORK, VIRTUAL_FIRST, taken)
    status["loadBalancer"] = {"ingress": [{"ip": address, "ipMode": "VIP"}]}
    cluster.event(SERVICE, service, "Normal", "IPAllocated", f'Assigned IP ["{address}"]', "service-controller")


def _refusal(wanted: str, taken: set[str]) -> str:
    try:
        inside = ipaddress.IPv4Address(wanted) in VIRTUAL_NETWORK
    except ValueError:
        inside = False
    if not inside:
        return f"loadBalancerIP {wanted} is not in {VIRTUAL_NETWORK}, the lab's range of virtual addresses"
    return f"loadBalancerIP {wanted} belongs to another Service" if wanted in taken else ""


def _free(network: ipaddress.IPv4Network, first: int, taken: set[str]) -> str:
    candidates = (str(network[number]) for number in range(first, network.num_addresses - 1))
    return next(address for address in candidates if address not in taken)


CONTROLLER = Controller("services", reconcile, ((SERVICE, itself),))
