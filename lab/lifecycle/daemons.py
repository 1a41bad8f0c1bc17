"""The lab's long-running processes: how each is started, and how it shows that it works."""

from __future__ import annotations

import asyncio
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import aiohttp

import lab
from lab import processes
from lab.agent.network import DHCP_PID_FILE
from lab.client import ApiError, Client
from lab.config import PROMETHEUS_PORT, LabConfig
from lab.kinds import NODE
from lab.lifecycle import checks, power, storage_servers
from lab.lifecycle.errors import LifecycleError
from lab.machinery.objects import condition_true
from lab.monitoring import prometheus
from lab.net.topology import BRIDGE

READY_SECONDS = 30.0
POLL_SECONDS = 0.02
PROMETHEUS_PATH = f"/api/v1/namespaces/monitoring/services/prometheus:{PROMETHEUS_PORT}/proxy/-/ready"


def start(
    config: LabConfig, name: str, argv: Sequence[str], role: str | None = None, marks: Mapping[str, str] | None = None
) -> int:
    """Start one process, in the namespace of a role if one is given; returns its pid."""
    extra = {"PYTHONPATH": str(Path(lab.__file__).parent.parent), "PATH": checks.search_path(), **(marks or {})}
    netns = config.node_namespace(role) if role else None
    return processes.spawn(argv, config.name, config.logs(name), netns=netns, extra=extra).pid


def start_dhcp(config: LabConfig) -> int:
    """The guests' DHCP server: only hosts with a file get an address, for good, at once and with no router."""
    hosts = config.state / "dhcp"
    hosts.mkdir(parents=True, exist_ok=True)
    argv = [
        "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", f"--interface={BRIDGE}",
        "--bind-interfaces", "--except-interface=lo", "--dhcp-range=10.77.0.0,static,255.255.0.0,infinite",
        f"--dhcp-hostsdir={hosts}", f"--dhcp-leasefile={config.state / 'dnsmasq.leases'}", "--dhcp-authoritative",
        "--no-ping", "--dhcp-option=option:router", "--dhcp-option=option:dns-server", "--log-facility=-",
        f"--pid-file={config.run / DHCP_PID_FILE}", "--user=root", "--no-hosts", "--no-resolv",
    ]
    return start(config, "dnsmasq", argv, "fabric")


def start_api(config: LabConfig) -> int:
    return start(config, "api", _module("lab.api", config))


def start_controllers(config: LabConfig) -> int:
    return start(config, "controllers", _module("lab.controllers", config))


def start_prometheus(config: LabConfig) -> int:
    prometheus.write(config)
    return start(config, "prometheus", prometheus.argv(config), "monitor")


def start_agent(config: LabConfig, node: str) -> int:
    argv = [*_module("lab.agent", config), "--node", node]
    return start(config, f"agent-{node}", argv, node, {processes.NODE_MARK: node})


def start_redfish(config: LabConfig) -> int:
    return start(config, "redfish", _module("lab.redfish", config))


def missing(config: LabConfig) -> list[str]:
    """The lab's long-running processes that are not there, by name; guests, and nodes without power, do not count."""
    expected = {
        "API server": "lab.api", "controllers": "lab.controllers", "dnsmasq": "dnsmasq", "Prometheus": "prometheus",
        "Redfish service": "lab.redfish",
        **{f"agent of {node}": f"--node {node}" for node in config.every_node if power.is_on(config, node)},
    }
    commands = [f"{text} " for pid in processes.marked(config.name) if (text := _command(pid))]
    absent = [name for name, mark in expected.items() if not any(f"{mark} " in command for command in commands)]
    return absent + storage_servers.missing(config)


async def wait_for(
    what: str, done: Callable[[], Awaitable[bool]], pids: Sequence[int], log: Path, seconds: float = READY_SECONDS
) -> None:
    """Wait until `done`; raises LifecycleError when a process ends before, or the time is over."""
    deadline = time.monotonic() + seconds
    last = "no answer"
    while True:
        try:
            if await done():
                return
            last = "not ready"
        except (aiohttp.ClientError, ApiError, OSError) as error:
            last = str(error) or type(error).__name__
        gone = [pid for pid in pids if not Path(f"/proc/{pid}").exists() or _is_zombie(pid)]
        if gone:
            raise LifecycleError(f"{what}: its process ended at once; {_last_line(log)} (log: {log})")
        if time.monotonic() > deadline:
            raise LifecycleError(f"{what} was not ready within {seconds:.0f} s, last: {last} (log: {log})")
        await asyncio.sleep(POLL_SECONDS)


async def api_healthy(config: LabConfig) -> bool:
    """Whether the API server answers its health check with the lab's own certificate."""
    return await _answers_200(config, "/healthz")


async def prometheus_ready(config: LabConfig) -> bool:
    """Whether Prometheus answers, through the API server's service proxy as clients reach it."""
    return await _answers_200(config, PROMETHEUS_PATH)


async def redfish_ready(config: LabConfig) -> bool:
    """Whether the nodes' management controller answers at its root, which needs no session."""
    return await _answers_200(config, "/redfish/v1/", config.redfish_url)


async def ready_nodes(client: Client) -> list[str]:
    """The names of the nodes that report Ready."""
    nodes, _ = await client.list(NODE)
    return sorted(node["metadata"]["name"] for node in nodes if condition_true(node, "Ready"))


async def _answers_200(config: LabConfig, path: str, server: str = "") -> bool:
    context = ssl.create_default_context(cafile=str(config.ca_file))
    headers = {"Authorization": f"Bearer {config.token_file.read_text().strip()}"}
    timeout = aiohttp.ClientTimeout(total=2)
    async with (
        aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
        session.get((server or config.server_url) + path, ssl=context) as answer,
    ):
        return answer.status == 200


def _module(name: str, config: LabConfig) -> list[str]:
    return [sys.executable, "-m", name, "--config", str(config.config_file)]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return f"it said: {lines[-1]}" if lines else "it said nothing"
