"""A guest's link on its node, and its address at the DHCP server."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import signal
import socket
import struct
from collections.abc import Collection, Iterable
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from lab.config import FABRIC_ADDRESS, LabConfig
from lab.net.topology import BRIDGE, INTERFACE, MTU

TAP_PREFIX = "tap"
DHCP_SERVER_PORT = 67
DHCP_RELEASE = 7
DHCP_PID_FILE = "dnsmasq.pid"
DHCP_MAGIC = b"\x63\x82\x53\x63"


def tap_name(key: str) -> str:
    """The tap's name for the VMI `namespace/name`: stable, and within the kernel's 15 characters."""
    return TAP_PREFIX + hashlib.sha256(key.encode()).hexdigest()[:12]


def create_tap(name: str) -> None:
    """A tap on the node's bridge, up before QEMU opens it; one left over by a killed QEMU is replaced."""
    remove_tap(name)
    with IPRoute() as ip:
        ip.link("add", ifname=name, kind="tuntap", mode="tap")
        index = ip.link_lookup(ifname=name)[0]
        bridge = ip.link_lookup(ifname=BRIDGE)[0]
        ip.link("set", index=index, mtu=MTU, master=bridge, state="up")


def remove_tap(name: str) -> None:
    """Remove the tap; an absent one is not an error."""
    with IPRoute() as ip, contextlib.suppress(NetlinkError):
        for index in ip.link_lookup(ifname=name):
            ip.link("del", index=index)


def remove_taps(keep: Collection[str]) -> None:
    """Remove every tap of this node but those to keep."""
    with IPRoute() as ip:
        names = {str(link.get_attr("IFLA_IFNAME")) for link in ip.get_links()}
    for name in sorted(names):
        if name.startswith(TAP_PREFIX) and name not in keep:
            remove_tap(name)


def add_address(candidates: Iterable[str]) -> str:
    """Give this namespace the first of the addresses that it can have, beside its own, and return it.

    A pod that an earlier agent of the node had left has still its address: it is passed over. Raises OSError when none
    is left.
    """
    with IPRoute() as ip:
        index = (ip.link_lookup(ifname=BRIDGE) or ip.link_lookup(ifname=INTERFACE))[0]
        for address in candidates:
            with contextlib.suppress(NetlinkError):
                ip.addr("add", index=index, address=address, prefixlen=32)
                return address
    raise OSError("no address is left for another pod on this node")


def remove_address(address: str) -> None:
    """Take a pod's address away; an absent one is not an error."""
    with IPRoute() as ip, contextlib.suppress(NetlinkError):
        index = (ip.link_lookup(ifname=BRIDGE) or ip.link_lookup(ifname=INTERFACE))[0]
        ip.addr("del", index=index, address=address, prefixlen=32)


def host_file(config: LabConfig, mac: str) -> Path:
    """The guest's entry in the DHCP server's directory of hosts."""
    return config.state / "dhcp" / mac.replace(":", "-")


def offer_address(config: LabConfig, mac: str, ip: str, hostname: str) -> None:
    """Tell the DHCP server the guest's fixed address; it notices a new file by itself."""
    path = host_file(config, mac)
    line = f"{mac},{ip},{hostname}\n"
    known = path.read_text() if path.exists() else ""
    if known == line:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    _withdraw_others(config, path, ip)
    # The server reads a file as soon as it has its name, so it gets the name complete; dotted names are not read.
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(line)
    temporary.replace(path)
    if known:
        _reload_server(config)


def _withdraw_others(config: LabConfig, path: Path, ip: str) -> None:
    """A guest whose node has died nobody has withdrawn: the server would keep its address for it for good."""
    for other in path.parent.iterdir():
        with contextlib.suppress(FileNotFoundError):  # withdrawn by its own node just now
            if other != path and not other.name.startswith(".") and other.read_text().split(",")[1:2] == [ip]:
                withdraw_address(config, other.name.replace("-", ":"), ip)


def withdraw_address(config: LabConfig, mac: str, ip: str) -> None:
    """Forget the guest's address and end its lease, so that another guest may have the address at once."""
    path = host_file(config, mac)
    if not path.exists():
        return
    path.unlink(missing_ok=True)
    _reload_server(config)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, contextlib.suppress(OSError):
        sender.sendto(release_message(mac, ip), (FABRIC_ADDRESS, DHCP_SERVER_PORT))


def _reload_server(config: LabConfig) -> None:
    """dnsmasq forgets a removed host file only on SIGHUP; a server that is not there has nothing to forget."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((config.run / DHCP_PID_FILE).read_text())
        if "dnsmasq" in Path(f"/proc/{pid}/comm").read_text():
            os.kill(pid, signal.SIGHUP)


def release_message(mac: str, ip: str) -> bytes:
    """A DHCPRELEASE (RFC 2131, table 1 and section 4.4.6) on behalf of a guest that can no longer send one."""
    hardware = bytes.fromhex(mac.replace(":", ""))
    head = struct.pack("!BBBB4sHH", 1, 1, 6, 0, secrets.token_bytes(4), 0, 0)
    addresses = socket.inet_aton(ip) + bytes(12)
    options = bytes([53, 1, DHCP_RELEASE, 54, 4]) + socket.inet_aton(FABRIC_ADDRESS) + b"\xff"
    return head + addresses + hardware.ljust(16, b"\0") + bytes(192) + DHCP_MAGIC + options
