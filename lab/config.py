"""What one lab is: its name, nodes, addresses and directories, written once and read by each of its processes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

FABRIC_ADDRESS = "10.77.0.1"
CLIENT_ADDRESS = "10.77.0.2"
MONITOR_ADDRESS = "10.77.0.3"
BALANCER_ADDRESS = "10.77.0.4"
STORAGE_ADDRESS = "10.77.0.5"
NETWORK = "10.77.0.0/16"
FIRST_OF_PODS = 100
"""10.77.100.0/24 and so on are for pods other than launchers, a net for each node; no guest gets an address there."""
PREFIX_LENGTH = 16
FABRIC_API_PORT = 6443
CONTROLLER_METRICS_PORT = 8443
AGENT_PORT = 10250
PROMETHEUS_PORT = 9090
LAST_PORT = 65535
REDFISH_OFFSET = 1000
REDFISH_USER = "lab"
CLIENTS_NODE = "clients"
"""The node for pods of clients, where there is one: it lies where the clients are, and takes no virtual machines."""


@dataclass(frozen=True, slots=True)
class LabConfig:
    """The settings of one lab; every path is absolute."""

    name: str = "lab"
    nodes: tuple[str, ...] = ("node-a", "node-b", "node-c", "node-d")
    api_port: int = 16443
    state_dir: str = "/var/lib/drainproof/lab"
    cache_dir: str = "/var/cache/drainproof"
    accelerator: str = "tcg"
    node_cpu: str = "4"
    """What each node offers to the scheduler; not a limit on this machine's cores."""
    node_memory: str = "4Gi"
    run_dir: str = "/run/drainproof/lab"
    node_grace_seconds: float = 50.0
    """node-monitor-grace-period: how long a node may be silent before it is Unknown (Kubernetes 1.32 and later)."""
    toleration_seconds: float = 300.0
    """How long pods that say nothing tolerate a lost node (DefaultTolerationSeconds)."""
    unhealthy_seconds: float = 300.0
    """How long the lab's NodeHealthCheck sees a node unready before it remediates."""
    owner: str = ""
    """The process for which the lab is up, as `pid:start time`; empty: it stays up until somebody stops it."""

    storage: tuple[str, ...] = ()
    """The storage servers that are started with the lab, in order of their names: ceph, iscsi, nfs."""
    clients: str = ""
    """The directory in which pods of clients run; empty: the lab runs none, and has no node for them."""

    @property
    def state(self) -> Path:
        return Path(self.state_dir)

    @property
    def run(self) -> Path:
        """Sockets and pid files: short paths, because a Unix socket's path has 107 bytes at most."""
        return Path(self.run_dir)

    @property
    def cache(self) -> Path:
        return Path(self.cache_dir)

    @property
    def config_file(self) -> Path:
        return self.state / "lab.json"

    @property
    def ca_file(self) -> Path:
        return self.state / "pki" / "ca.crt"

    @property
    def server_cert(self) -> Path:
        return self.state / "pki" / "server.crt"

    @property
    def server_key(self) -> Path:
        return self.state / "pki" / "server.key"

    @property
    def token_file(self) -> Path:
        """The administrator's bearer token; every process of the lab uses it too."""
        return self.state / "pki" / "admin.token"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def server_url(self) -> str:
        return f"https://127.0.0.1:{self.api_port}"

    @property
    def fabric_server_url(self) -> str:
        return f"https://{FABRIC_ADDRESS}:{FABRIC_API_PORT}"

    @property
    def lease_period_seconds(self) -> float:
        """How often a node renews its lease: every 10 s as the kubelet, and at least five times in the grace."""
        return min(10.0, self.node_grace_seconds / 5)

    @property
    def redfish_port(self) -> int:
        """The port of the nodes' Redfish service on the loopback: far enough from the API's for labs side by side."""
        return self.api_port + (REDFISH_OFFSET if self.api_port + REDFISH_OFFSET <= LAST_PORT else -REDFISH_OFFSET)

    @property
    def redfish_url(self) -> str:
        return f"https://127.0.0.1:{self.redfish_port}"

    @property
    def redfish_password_file(self) -> Path:
        return self.state / "pki" / "redfish.password"

    def logs(self, process: str) -> Path:
        return self.state / "logs" / f"{process}.log"

    def namespace(self, role: str) -> str:
        """The network namespace of a role: fabric, client, monitor, lb, storage, node-a ..."""
        return f"dp-{self.name}-{role}"

    @property
    def every_node(self) -> tuple[str, ...]:
        """All that have an agent: the worker nodes, then the clients' own."""
        return (*self.nodes, CLIENTS_NODE) if self.clients else self.nodes

    def node_namespace(self, node: str) -> str:
        """The network namespace that a node lives in."""
        return self.namespace("client" if node == CLIENTS_NODE else node)

    def node_address(self, node: str) -> str:
        return CLIENT_ADDRESS if node == CLIENTS_NODE else f"10.77.0.{11 + self.nodes.index(node)}"

    def container_addresses(self, node: str) -> tuple[str, ...]:
        """The addresses for pods other than launchers on a node."""
        third = FIRST_OF_PODS + self.every_node[::-1].index(node)
        return tuple(f"10.77.{third}.{host}" for host in range(10, 250))

    def save(self) -> None:
        self.config_file.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.config_file.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(self), indent=1))
        temporary.replace(self.config_file)

    @classmethod
    def load(cls, path: Path) -> LabConfig:
        data = json.loads(path.read_text())
        data["nodes"] = tuple(data["nodes"])
        data["storage"] = tuple(data["storage"])
        return cls(**data)
