"""The power of a node: without it its agent and its guests are gone at once, and nobody is told."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab import processes
from lab.config import LabConfig
from lab.lifecycle.errors import LifecycleError


def is_on(config: LabConfig, node: str) -> bool:
    """Whether the node has power: what its controller says, not whether the node answers."""
    return not _mark(config, node).exists()


def without(config: LabConfig) -> list[str]:
    """The nodes that have no power."""
    return [node for node in config.nodes if not is_on(config, node)]


def cut(config: LabConfig, node: str) -> list[int]:
    """Kill the node's agent and guests and lose what it kept in memory; returns the pids that died.

    The node counts as off only when nothing of it runs; raises LifecycleError when something stays. Its links stay
    too, silent, because nobody is behind them.
    """
    killed = processes.kill_all(lambda: processes.of_node(config.name, node))
    left = processes.of_node(config.name, node)
    if left:
        raise LifecycleError(f"{node} still runs the processes {', '.join(map(str, left))}.")
    _forget(config, node)
    mark = _mark(config, node)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    return killed


def restore(config: LabConfig, node: str) -> None:
    """Let the node have power again; who calls this starts its agent then."""
    _forget(config, node)
    _mark(config, node).unlink(missing_ok=True)


def _forget(config: LabConfig, node: str) -> None:
    """A node's run directory is its memory: sockets, the boot's identity, which pods it has started."""
    shutil.rmtree(config.run / node, ignore_errors=True)


def _mark(config: LabConfig, node: str) -> Path:
    return config.state / "power-off" / node
