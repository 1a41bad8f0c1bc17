"""The bench's network: a client, servers, and between the client and each server a wire's own namespace.

    client c0 -- w0c [wire 0] w0s -- eth0 server 0
           c1 -- w1c [wire 1] w1s -- eth0 server 1

A wire's namespace has no address and forwards nothing by itself: only what the wire process copies arrives.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyroute2 import IPRoute

from lab.net import namespaces
from lab.processes import identity

PREFIX = "dpb-"
CLIENT_SIDE, SERVER_SIDE = "to-client", "to-server"
SERVER_DEVICE = "eth0"
SIOCETHTOOL = 0x8946
OFFLOADS = {"checksums sent": 0x17, "segmentation": 0x1F, "generic segmentation": 0x24, "generic receive": 0x2C}
"""Commands of ethtool that switch an offload: a frame is copied as it is, so it must be complete when it is sent."""


@dataclass(frozen=True, slots=True)
class Line:
    """One server and the wire that leads to it."""

    number: int
    owner: str

    @property
    def server(self) -> str:
        """The server's namespace."""
        return f"{PREFIX}{self.owner}-server{self.number}"

    @property
    def wire(self) -> str:
        """The wire's namespace."""
        return f"{PREFIX}{self.owner}-wire{self.number}"

    @property
    def device(self) -> str:
        """The client's end."""
        return f"c{self.number}"

    @property
    def client_address(self) -> str:
        return f"10.77.{self.number}.1"

    @property
    def address(self) -> str:
        """The server's address."""
        return f"10.77.{self.number}.2"


@dataclass(frozen=True, slots=True)
class Ground:
    """The namespaces of one measurement."""

    owner: str
    lines: tuple[Line, ...]

    @property
    def client(self) -> str:
        """The client's namespace."""
        return f"{PREFIX}{self.owner}-client"


@contextmanager
def ground(wires: int) -> Iterator[Ground]:
    """Namespaces of this process for the length of a block."""
    owner = this_process()
    laid = Ground(owner, tuple(Line(number, owner) for number in range(wires)))
    try:
        namespaces.create(laid.client)
        namespaces.inside(laid.client, _quiet)
        for line in laid.lines:
            _lay(laid.client, line)
        yield laid
    finally:
        clear(owner)


def clear(owner: str) -> None:
    """Remove the namespaces of an owner."""
    for name in namespaces.named(f"{PREFIX}{owner}-"):
        namespaces.remove(name)


def clear_leftovers() -> list[str]:
    """Remove the namespaces of owners that live no more; returns their names."""
    left = ownerless(namespaces.named(PREFIX))
    for name in left:
        namespaces.remove(name)
    return left


def this_process() -> str:
    """This process as an owner: with its start time, so that no later process of the same pid is taken for it."""
    return identity(os.getpid()).replace(":", ".")


def ownerless(names: Iterable[str], prefix: str = PREFIX) -> list[str]:
    """Those of the names whose owner, which follows the prefix, has died."""
    return [name for name in names if not _lives(name.removeprefix(prefix).partition("-")[0])]


def _lives(owner: str) -> bool:
    pid, _, began = owner.partition(".")
    return pid.isdigit() and identity(int(pid)) == f"{pid}:{began}"


def _lay(client: str, line: Line) -> None:
    for name in (line.server, line.wire):
        namespaces.create(name)
        namespaces.inside(name, _quiet)
    namespaces.inside(line.wire, lambda: _make_ends(client, line))
    near = namespaces.inside(client, lambda: _make_host(line.device, line.client_address))
    far = namespaces.inside(line.server, lambda: _make_host(SERVER_DEVICE, line.address))
    namespaces.inside(client, lambda: _know(line.device, line.address, far))
    namespaces.inside(line.server, lambda: _know(SERVER_DEVICE, line.client_address, near))


def _make_ends(client: str, line: Line) -> None:
    with IPRoute() as ip:
        for device, peer, where in (
            (CLIENT_SIDE, line.device, client), (SERVER_SIDE, SERVER_DEVICE, line.server),
        ):
            ip.link("add", ifname=device, kind="veth", peer={"ifname": peer, "net_ns_fd": where})
            ip.link("set", index=ip.link_lookup(ifname=device)[0], state="up")
            _complete_frames(device)


def _make_host(device: str, address: str) -> str:
    """Address the interface; returns its MAC."""
    with IPRoute() as ip:
        index = ip.link_lookup(ifname=device)[0]
        ip.addr("add", index=index, address=address, prefixlen=24)
        ip.link("set", index=index, state="up")
        ip.link("set", index=ip.link_lookup(ifname="lo")[0], state="up")
        mac = str(ip.get_links(index)[0].get_attr("IFLA_ADDRESS"))
    _complete_frames(device)
    return mac


def _know(device: str, address: str, mac: str) -> None:
    """A neighbour for ever: a blackout must end for the client when the wire says so, not when ARP has come round."""
    with IPRoute() as ip:
        ip.neigh("replace", dst=address, lladdr=mac, ifindex=ip.link_lookup(ifname=device)[0], state="permanent")


def _quiet() -> None:
    """No IPv6: router solicitations and duplicate detection would be frames that nobody counts on."""
    for which in ("all", "default"):
        Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6").write_text("1")


def _complete_frames(device: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in OFFLOADS.values():
            value = ctypes.create_string_buffer(struct.pack("II", command, 0))
            request = struct.pack("16sP", device.encode(), ctypes.addressof(value)).ljust(40, b"\0")
            fcntl.ioctl(control, SIOCETHTOOL, request)
