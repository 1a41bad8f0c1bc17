"""What a node remembers from its boot until it loses its power: who it is this time, and which pods it has started."""

from __future__ import annotations

import uuid
from pathlib import Path

from lab.agent.context import Node

_PODS = "pods"
"""No domain's directory has that name: theirs hold an underscore."""


def identity(node: Node) -> str:
    """The boot's identity: made at the agent's first start after power came, kept while power lasts."""
    path = node.directory / "boot-id"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(uuid.uuid4()))
    return path.read_text()


def remember(node: Node, pod_uid: str) -> None:
    """The pod's containers are started in this boot."""
    path = _note(node, pod_uid)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def remembers(node: Node, pod_uid: str) -> bool:
    """Whether the pod's containers were started in this boot; those of an earlier one have died with it."""
    return _note(node, pod_uid).exists()


def forget(node: Node, pod_uid: str) -> None:
    """The pod is over."""
    _note(node, pod_uid).unlink(missing_ok=True)


def _note(node: Node, pod_uid: str) -> Path:
    return node.directory / _PODS / pod_uid
