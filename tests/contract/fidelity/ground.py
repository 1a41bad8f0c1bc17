"""The lab on which recorded requests are sent again: its API server and controllers, with nodes that are simulated."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lab.config import LabConfig
from lab.simulated import site
from tests.contract.fidelity import wire
from tests.contract.fidelity.shapes import Reply
from tests.contract.server import free_port

NODES = ("w1", "w2")
"""The names of the two nodes of the recorded cluster."""
HOME = "demo"
"""The namespace in which machines were recorded, and the account without rights lives."""
_WRONG = "bad bearer token"


@dataclass(frozen=True)
class _Plan(site.Plan):
    """A site whose nodes are called as those of the recordings."""

    grace_seconds: float = 300.0

    @property
    def config(self) -> LabConfig:
        own = site.Plan(self.directory, self.nodes, self.machines, self.api_port, self.scale).config
        return replace(own, nodes=NODES, node_grace_seconds=self.grace_seconds)


@dataclass(frozen=True)
class Ground:
    """A running lab and the accounts whose requests were recorded."""

    config: LabConfig
    tokens: dict[str, str]
    nodes: subprocess.Popen[bytes]

    def silence_nodes(self) -> None:
        """End all nodes at once, as a loss of power does."""
        self.nodes.kill()
        self.nodes.wait()

    def send(self, caller: str, method: str, path: str, headers: dict[str, str], body: Any = None) -> Reply:
        return wire.send(self.config, method, path, headers, body, self.tokens.get(caller))

    def call(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Reply:
        """A request of the administrator's that prepares or tidies."""
        headers = {"Accept": "application/json", "Content-Type": content_type}
        return self.send("admin", method, path, headers, body)

    def caller(self, exchange_caller: str, case: str) -> str:
        return _WRONG if case == _WRONG else exchange_caller


@contextmanager
def running(folder: Path, scale: float = 0.1, grace_seconds: float = 300.0) -> Iterator[Ground]:
    """The lab for the length of a block; what a node does lasts `scale` of what was recorded."""
    plan = _Plan(folder / "site", len(NODES), 0, free_port(), scale, grace_seconds=grace_seconds)
    with site.running(plan) as there:
        tokens = {_WRONG: "nonsense", "admin": there.config.token_file.read_text().strip()}
        ground = Ground(there.config, tokens, there.children["nodes"])
        ground.call("POST", "/api/v1/namespaces", {"metadata": {"name": HOME}})
        accounts = f"/api/v1/namespaces/{HOME}/serviceaccounts"
        ground.call("POST", accounts, {"metadata": {"name": "nobody"}})
        ground.tokens["nobody"] = ground.call("POST", f"{accounts}/nobody/token", {}).body["status"]["token"]
        yield ground
