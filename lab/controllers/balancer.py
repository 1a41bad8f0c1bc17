"""The load balancer's data plane: virtual IPs and nftables rules in the balancer's network namespace."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.client import Object
from lab.controllers.endpoints import SERVICE_NAME
from lab.controllers.runtime import Controller
from lab.controllers.services import VIRTUAL_NETWORK, virtual_address
from lab.kinds import ENDPOINT_SLICE, SERVICE
from lab.machinery.cluster import Cluster
from lab.machinery.objects import deleting, dig, labels, name, namespace

log = logging.getLogger(__name__)

TABLE = "drainproof"
DEVICE = "eth0"
RETRY_SECONDS = 5.0
_QUEUE = ("balancer",)
_SETTINGS = "cd /proc/sys/net/ipv4 && echo 1 > ip_forward && echo 0 > conf/all/send_redirects"


@dataclass(frozen=True, slots=True)
class Front:
    """One balanced port: a virtual address and the ready endpoints behind it."""

    address: str
    protocol: str
    port: int
    backends: tuple[tuple[str, int], ...]


def fronts(services: Iterable[Object], slices: Iterable[Object]) -> tuple[Front, ...]:
    """The balanced ports of all Services of type LoadBalancer; an address that two pods share counts once."""
    by_service: dict[tuple[str, str], list[Object]] = {}
    for entry in slices:
        by_service.setdefault((namespace(entry), labels(entry).get(SERVICE_NAME, "")), []).append(entry)
    found = []
    for service in services:
        address = virtual_address(service)
        if not address or deleting(service) or service["spec"].get("type") != "LoadBalancer":
            continue
        mine = by_service.get((namespace(service), name(service)), [])
        for port in dig(service, "spec", "ports", default=[]):
            protocol = str(port.get("protocol", "TCP")).lower()
            found.append(Front(address, protocol, int(port["port"]), backends(mine, port.get("name", ""))))
    return tuple(sorted(found, key=lambda front: (ipaddress.IPv4Address(front.address), front.protocol, front.port)))


def backends(slices: Sequence[Object], port_name: str) -> tuple[tuple[str, int], ...]:
    """The ready endpoints of one port, by the slices of its Service."""
    ready = set()
    for entry in slices:
        numbers = [port["port"] for port in entry.get("ports") or [] if (port.get("name") or "") == (port_name or "")]
        for endpoint in entry.get("endpoints") or []:
            if dig(endpoint, "conditions", "ready", default=True):
                ready |= {(address, number) for address in endpoint["addresses"] for number in numbers}
    return tuple(sorted(ready))


def render(every: Iterable[Front]) -> str:
    """The nftables script that replaces the table's rules in one transaction.

    Connections go to the endpoints in turn. Established ones keep their endpoint: conntrack is not touched. A port
    without a ready endpoint has no rule, so the kernel answers it with a reset. Who has a virtual address of his own
    is known by it to those whom he calls: members of a cluster behind one balancer would all look like the balancer.
    """
    served = [front for front in every if front.backends]
    body = "".join(f"    {_rule(front)}\n" for front in served)
    return (
        f"add table ip {TABLE}\n"
        f"flush table ip {TABLE}\n"
        f"table ip {TABLE} {{\n"
        f"  chain prerouting {{\n    type nat hook prerouting priority dstnat; policy accept;\n{body}  }}\n"
        f"  chain postrouting {{\n    type nat hook postrouting priority srcnat; policy accept;\n"
        f"{_known_by(served)}    ct status dnat masquerade\n  }}\n"
        f"}}\n"
    )


def _known_by(served: Iterable[Front]) -> str:
    """The rule that gives callers their own virtual address; empty when nobody has one to himself."""
    own: dict[str, set[str]] = {}
    for front in served:
        if len(front.backends) == 1:
            own.setdefault(front.backends[0][0], set()).add(front.address)
    known = {address: min(fronts) for address, fronts in own.items() if len(fronts) == 1}
    entries = ", ".join(f"{address} : {front}" for address, front in sorted(known.items()))
    return f"    ct status dnat snat to ip saddr map {{ {entries} }}\n" if entries else ""


def _rule(front: Front) -> str:
    head = f"ip daddr {front.address} {front.protocol} dport {front.port}"
    count = len(front.backends)
    if count == 1:
        address, port = front.backends[0]
        return f"{head} dnat to {address}:{port}"
    entries = ", ".join(f"{at} : {address} . {port}" for at, (address, port) in enumerate(front.backends))
    return f"{head} dnat to numgen inc mod {count} map {{ {entries} }}"


class Balancer:
    """Applies the wanted state to the namespace, only when it differs from what was applied last."""

    def __init__(self, netns: str) -> None:
        self._netns = netns
        self._applied: tuple[Front, ...] | None = None
        self._waiting = False

    async def reconcile(self, cluster: Cluster, _: str) -> float | None:
        """Bring addresses and rules up to date; seconds to look again while the namespace is missing."""
        wanted = fronts(cluster.list(SERVICE), cluster.list(ENDPOINT_SLICE))
        if wanted == self._applied:
            return None
        if not (Path("/run/netns") / self._netns).exists():
            if not self._waiting:
                log.warning("no network namespace %s: the load balancer waits for it", self._netns)
            self._waiting = True
            return RETRY_SECONDS
        self._waiting = False
        if self._applied is None:
            await forwarding(self._netns)
        await self._addresses({front.address for front in wanted})
        await self._run(["nft", "-f", "-"], render(wanted))
        self._applied = wanted
        log.info("%d balanced ports: %s", len(wanted), summary(wanted))
        return None

    async def _addresses(self, wanted: set[str]) -> None:
        shown = json.loads(await self._run(["ip", "-json", "-4", "address", "show", "dev", DEVICE]) or "[]")
        infos: list[Mapping[str, str]] = [info for link in shown for info in link.get("addr_info", [])]
        present = {info["local"] for info in infos if ipaddress.IPv4Address(info["local"]) in VIRTUAL_NETWORK}
        for address in sorted(wanted - present):
            await self._run(["ip", "address", "add", f"{address}/32", "dev", DEVICE])
        for address in sorted(present - wanted):
            await self._run(["ip", "address", "delete", f"{address}/32", "dev", DEVICE])

    async def _run(self, argv: Sequence[str], text: str = "") -> str:
        return await run_inside(self._netns, argv, text)


async def forwarding(netns: str) -> None:
    """Have a namespace pass packets on that are not for itself."""
    await run_inside(netns, ["sh", "-c", _SETTINGS])


async def run_inside(netns: str, argv: Sequence[str], text: str = "") -> str:
    """Run a command inside a network namespace; raises OSError with its message when it fails."""
    process = await asyncio.create_subprocess_exec(
        "nsenter", f"--net=/run/netns/{netns}", "--", *argv, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate(text.encode())
    if process.returncode:
        raise OSError(f"{' '.join(argv)} in {netns} failed: {error.decode().strip()}")
    return out.decode()


def summary(every: Iterable[Front]) -> str:
    return "; ".join(f"{front.address}:{front.port} -> {len(front.backends)}" for front in every)


def _any(_: Cluster, __: Object) -> Iterable[str]:
    return _QUEUE


def controller(netns: str) -> Controller:
    """The data plane of the balancer in that network namespace."""
    watches = ((SERVICE, _any), (ENDPOINT_SLICE, _any))
    return Controller("balancer", Balancer(netns).reconcile, watches, initial_keys=_QUEUE)
