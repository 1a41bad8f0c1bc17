"""The lab's one flat layer-2 network: a fabric bridge, and a namespace on it for each node and each role."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from pyroute2 import IPRoute

from lab.config import (
    BALANCER_ADDRESS,
    CLIENT_ADDRESS,
    FABRIC_ADDRESS,
    MONITOR_ADDRESS,
    PREFIX_LENGTH,
    STORAGE_ADDRESS,
    LabConfig,
)
from lab.net import namespaces

MTU = 1500
BRIDGE = "br0"
UPLINK = "up0"
"""A node's link into the fabric, a port of the node's own bridge."""
INTERFACE = "eth0"
"""The one interface of a namespace that has no bridge."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A namespace that hangs on the fabric bridge by one veth pair."""

    role: str
    address: str
    bridged: bool = False
    """The address sits on a bridge of its own, whose other ports are the guests' taps."""
    forwards: bool = False

    @property
    def device(self) -> str:
        return UPLINK if self.bridged else INTERFACE

    @property
    def port(self) -> str:
        """The fabric's end of the pair; 15 characters at most, the kernel's limit for a name."""
        return f"to-{self.role}"


def prefix(lab: str) -> str:
    """What the name of every namespace of the lab begins with."""
    return f"dp-{lab}-"


def leaves(config: LabConfig) -> list[Leaf]:
    """Every namespace of the lab except the fabric itself."""
    nodes = [Leaf(node, config.node_address(node), bridged=True) for node in config.nodes]
    servers = [Leaf("storage", STORAGE_ADDRESS)] if config.storage else []
    return [
        Leaf("client", CLIENT_ADDRESS),
        Leaf("monitor", MONITOR_ADDRESS),
        Leaf("lb", BALANCER_ADDRESS, forwards=True),
        *servers,
        *nodes,
    ]


def create(config: LabConfig) -> None:
    """Make what is missing of the lab's namespaces, bridges and links; safe to call again after an interruption."""
    fabric = config.namespace("fabric")
    plan = leaves(config)
    for role in ["fabric", *(leaf.role for leaf in plan)]:
        namespaces.create(config.namespace(role))
    namespaces.inside(fabric, _make_fabric)
    for leaf in plan:
        name = config.namespace(leaf.role)
        namespaces.inside(fabric, lambda leaf=leaf, name=name: _make_link(leaf, name))  # type: ignore[misc]
        namespaces.inside(name, lambda leaf=leaf: _make_leaf(leaf))  # type: ignore[misc]


def destroy(lab: str) -> list[str]:
    """Remove every namespace of the lab, whoever made it; returns their names. End the lab's processes first."""
    names = leftovers(lab)
    for name in names:
        namespaces.remove(name)
    return names


def leftovers(lab: str) -> list[str]:
    """The namespaces that bear the lab's name."""
    return namespaces.named(prefix(lab))


def _make_fabric() -> None:
    _quiet()
    with IPRoute() as ip:
        _up(ip, "lo")
        _bridge(ip, FABRIC_ADDRESS)


def _make_link(leaf: Leaf, namespace: str) -> None:
    with IPRoute() as ip:
        if not ip.link_lookup(ifname=leaf.port):
            peer = {"ifname": leaf.device, "net_ns_fd": namespace, "mtu": MTU}
            ip.link("add", ifname=leaf.port, kind="veth", mtu=MTU, peer=peer)
        ip.link("set", index=_index(ip, leaf.port), master=_index(ip, BRIDGE), state="up")


def _make_leaf(leaf: Leaf) -> None:
    _quiet()
    if leaf.forwards:
        _sysctl("net/ipv4/ip_forward", "1")
    with IPRoute() as ip:
        _up(ip, "lo")
        if leaf.bridged:
            _bridge(ip, leaf.address)
            ip.link("set", index=_index(ip, UPLINK), master=_index(ip, BRIDGE), state="up")
        else:
            _address(ip, INTERFACE, leaf.address)
            _up(ip, INTERFACE)


def _bridge(ip: IPRoute, address: str) -> None:
    """A bridge that forwards at once: no spanning tree, no listening phase, no multicast bookkeeping.

    Its MAC is set, because a bridge otherwise takes the lowest of its ports': a guest's tap that comes or goes would
    change the node's own MAC, and its peers would send into nowhere until their neighbour entries expire.
    """
    if not ip.link_lookup(ifname=BRIDGE):
        mac = "02:6e:" + ":".join(f"{int(part):02x}" for part in address.split("."))
        ip.link(
            "add", ifname=BRIDGE, kind="bridge", address=mac, br_stp_state=0, br_forward_delay=0, br_mcast_snooping=0,
            mtu=MTU,
        )
    _address(ip, BRIDGE, address)
    _up(ip, BRIDGE)


def _address(ip: IPRoute, device: str, address: str) -> None:
    index = _index(ip, device)
    present = {entry.get_attr("IFA_ADDRESS") for entry in ip.get_addr(index=index)}
    if address not in present:
        ip.addr("add", index=index, address=address, prefixlen=PREFIX_LENGTH)


def _up(ip: IPRoute, device: str) -> None:
    ip.link("set", index=_index(ip, device), state="up")


def _index(ip: IPRoute, device: str) -> int:
    found = ip.link_lookup(ifname=device)
    if not found:
        raise RuntimeError(f"no interface {device} in the namespace; run `down`, then `up` again")
    return int(found[0])


def _quiet() -> None:
    """No IPv6 (router solicitations and duplicate detection are noise), no packet filter on bridged frames.

    Redirects are off, because a balancer on the same segment as its clients and servers would be bypassed by them;
    reverse-path filtering is off, because the balancer's answers come from the segment itself.
    """
    for scope in ("all", "default"):
        _sysctl(f"net/ipv6/conf/{scope}/disable_ipv6", "1")
        _sysctl(f"net/ipv4/conf/{scope}/rp_filter", "0")
        _sysctl(f"net/ipv4/conf/{scope}/send_redirects", "0")
        _sysctl(f"net/ipv4/conf/{scope}/accept_redirects", "0")
    for hook in ("iptables", "ip6tables", "arptables"):
        _sysctl(f"net/bridge/bridge-nf-call-{hook}", "0")


def _sysctl(key: str, value: str) -> None:
    # Kernels without the feature have no such file, and then nothing has to be turned off.
    with contextlib.suppress(FileNotFoundError):
        (Path("/proc/sys") / key).write_text(value)
