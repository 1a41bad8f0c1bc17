"""What a machine needs to run a lab, checked before anything is made."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from lab import processes
from lab.agent.argv import QEMU
from lab.config import LabConfig
from lab.lifecycle import storage_servers

PYTHON = (3, 11)
FREE_BYTES = 3 * 1024**3
"""For the guest image, its build, and the disks that guests really fill."""
LONGEST_RUN_DIRECTORY = 40
"""Characters; a Unix socket's path has 107 bytes, and node, domain and file names follow."""
TOOLS: Mapping[str, str] = {
    QEMU: "qemu-system-x86", "dnsmasq": "dnsmasq-base", "prometheus": "prometheus", "nft": "nftables",
    "nsenter": "util-linux", "genisoimage": "genisoimage",
}
"""Programs the lab starts, and the Debian package that holds each."""
UNPACKED = "/var/cache/drainproof/tools/usr/bin"
"""Where the setup puts programs whose packages would start services if they were installed."""
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def problems(config: LabConfig) -> list[str]:
    """Everything that is in the way of this lab on this machine, a sentence with a remedy each."""
    found = [_root(), _python(), _tools(), _tun(), *_ports(config), _run_directory(config)]
    found += [storage_servers.problem(config)]
    found += [_space(path) for path in {existing_parent(config.state), existing_parent(config.cache)}]
    return [text for text in found if text]


def search_path() -> str:
    """PATH with the unpacked programs and the system directories that a plain user's or cron's PATH lacks."""
    known = [UNPACKED, *os.environ.get("PATH", "").split(":")]
    return ":".join([*known, *(entry for entry in SYSTEM_PATH.split(":") if entry not in known)])


def existing_parent(path: Path) -> Path:
    """The path itself, or the nearest directory above it that exists."""
    return next(entry for entry in (path, *path.parents) if entry.is_dir())


def _root() -> str:
    if os.geteuid() == 0:
        return ""
    return "The lab needs root, because it makes network namespaces and bridges: run it with sudo."


def _python() -> str:
    if sys.version_info[:2] == PYTHON:
        return ""
    return f"The lab needs Python {PYTHON[0]}.{PYTHON[1]}, this is {sys.version.split()[0]}: run it with python3.11."


def _tools() -> str:
    missing = [tool for tool in TOOLS if shutil.which(tool, path=search_path()) is None]
    if not missing:
        return ""
    packages = " ".join(sorted({TOOLS[tool] for tool in missing}))
    return f"Missing on this machine: {', '.join(missing)}. Install with: apt-get install {packages}"


def _tun() -> str:
    if Path("/dev/net/tun").exists():
        return ""
    return "/dev/net/tun is missing, so guests get no network: load the kernel module tun."


def _ports(config: LabConfig) -> list[str]:
    """A port held by a lab of the same name is no problem: that lab is healthy, or it is cleaned up."""
    if processes.marked(config.name):
        return []
    return [_port(config.api_port), _port(config.redfish_port)]


def _port(port: int) -> str:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            reason = error.strerror
            return f"Port {port} of 127.0.0.1 cannot be used ({reason}): choose another with --api-port."
    return ""


def _run_directory(config: LabConfig) -> str:
    if len(config.run_dir) <= LONGEST_RUN_DIRECTORY:
        return ""
    return f"The lab's name {config.name} makes socket paths too long: choose a shorter one."


def _space(path: Path) -> str:
    free = shutil.disk_usage(path).free
    if free >= FREE_BYTES:
        return ""
    has = f"{free / 2**30:.1f} GiB"
    return f"{path} has {has} free, the lab needs {FREE_BYTES >> 30} GiB: free some space, or choose another directory."
