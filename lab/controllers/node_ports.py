"""NodePorts: every node answers at the ports that were given to Services, with nftables rules in its namespace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from lab.client import Object
from lab.config import LabConfig
from lab.controllers.balancer import RETRY_SECONDS, Front, backends, forwarding, render, run_inside
from lab.controllers.endpoints import SERVICE_NAME
from lab.controllers.runtime import Controller
from lab.kinds import ENDPOINT_SLICE, SERVICE
from lab.machinery.cluster import Cluster
from lab.machinery.objects import deleting, dig, labels, name, namespace

_QUEUE = ("node-ports",)


def fronts(address: str, services: Iterable[Object], slices: Iterable[Object]) -> tuple[Front, ...]:
    """The ports at one node's address, with what is behind each."""
    by_service: dict[tuple[str, str], list[Object]] = {}
    for entry in slices:
        by_service.setdefault((namespace(entry), labels(entry).get(SERVICE_NAME, "")), []).append(entry)
    found = []
    for service in services:
        if deleting(service) or service["spec"].get("type") != "NodePort":
            continue
        mine = by_service.get((namespace(service), name(service)), [])
        for port in dig(service, "spec", "ports", default=[]):
            if port.get("nodePort"):
                protocol = str(port.get("protocol", "TCP")).lower()
                found.append(Front(address, protocol, int(port["nodePort"]), backends(mine, port.get("name", ""))))
    return tuple(sorted(found, key=lambda front: (front.protocol, front.port)))


class NodePorts:
    """Applies the wanted rules to each node's namespace, only where they differ from what was applied last."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._addresses = addresses
        self._applied: dict[str, tuple[Front, ...]] = {}

    async def reconcile(self, cluster: Cluster, _: str) -> float | None:
        """Bring every node's rules up to date; seconds to look again while a namespace is missing."""
        services, slices = cluster.list(SERVICE), cluster.list(ENDPOINT_SLICE)
        missing = False
        for netns, address in self._addresses.items():
            wanted = fronts(address, services, slices)
            if wanted == self._applied.get(netns, ()):
                continue
            if not (Path("/run/netns") / netns).exists():
                missing = True
                continue
            await forwarding(netns)
            await run_inside(netns, ["nft", "-f", "-"], render(wanted))
            self._applied[netns] = wanted
        return RETRY_SECONDS if missing else None


def _any(_: Cluster, __: Object) -> Iterable[str]:
    return _QUEUE


def controller(config: LabConfig) -> Controller:
    """The NodePorts of a lab's nodes."""
    addresses = {config.namespace(node): config.node_address(node) for node in config.nodes}
    watches = ((SERVICE, _any), (ENDPOINT_SLICE, _any))
    return Controller("node-ports", NodePorts(addresses).reconcile, watches, initial_keys=_QUEUE)
