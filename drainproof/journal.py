"""What a run has changed on a cluster, written before each change, so that a killed run can be undone later."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from drainproof.api import NAMESPACES, Cluster, Object
from drainproof.errors import NotFoundError
from drainproof.node import Node
from drainproof.retained import removed
from drainproof.wait import Deadline, wait

JOURNAL = "journal.jsonl"


@dataclass(frozen=True)
class Journal:
    """The journal of one run."""

    path: Path

    @classmethod
    def of(cls, run_directory: Path) -> Journal:
        return cls(run_directory / JOURNAL)

    def opened(self, kubeconfig: str, context: str, *, lab: bool) -> None:
        """The first entry: which cluster the run is on, and this process, which runs it."""
        process = psutil.Process()
        self._add({
            "do": "open", "kubeconfig": kubeconfig, "context": context, "lab": lab,
            "pid": process.pid, "born": process.create_time(),
        })

    @property
    def opening(self) -> dict[str, Any]:
        """The first entry of a journal that has one."""
        return self.entries()[0]

    def namespace(self, name: str) -> None:
        """A namespace is about to be created."""
        self._add({"do": "namespace", "name": name})

    def deleted(self, name: str) -> None:
        """The namespace is gone, with all that was in it."""
        self._add({"do": "deleted", "name": name})

    def cordon(self, node: str) -> None:
        """A node is about to be cordoned."""
        self._add({"do": "cordon", "name": node})

    def uncordoned(self, node: str) -> None:
        self._add({"do": "uncordoned", "name": node})

    def taint(self, node: str, key: str) -> None:
        """A node is about to get a taint."""
        self._add({"do": "taint", "name": f"{node} {key}"})

    def untainted(self, node: str, key: str) -> None:
        self._add({"do": "untainted", "name": f"{node} {key}"})

    def power_off(self, node: str) -> None:
        """A node is about to lose its power."""
        self._add({"do": "power-off", "name": node})

    def powered_on(self, node: str) -> None:
        self._add({"do": "powered-on", "name": node})

    def storage_pause(self, storage_class: str) -> None:
        """The server of a storage class is about to be paused."""
        self._add({"do": "storage-pause", "name": storage_class})

    def storage_resumed(self, storage_class: str) -> None:
        self._add({"do": "storage-resumed", "name": storage_class})

    def creating(self, path: str) -> None:
        """An object outside the run's namespaces is about to be created; `path` is its URL path."""
        self._add({"do": "create", "name": path})

    def removed(self, path: str) -> None:
        self._add({"do": "removed", "name": path})

    def closed(self) -> None:
        """The run is over; what it has not undone by now stays to be undone."""
        self._add({"do": "close"})

    def entries(self) -> list[dict[str, Any]]:
        """The entries so far; an unfinished last line is left out."""
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").split("\n")[:-1]]

    @property
    def cordoned(self) -> list[str]:
        """The nodes that the run has cordoned and not uncordoned."""
        return self._open("cordon", "uncordoned")

    @property
    def namespaces(self) -> list[str]:
        """The namespaces that the run has created and not deleted."""
        return self._open("namespace", "deleted")

    @property
    def tainted(self) -> list[tuple[str, str]]:
        """The nodes that the run has tainted and not freed, each with the taint's key."""
        return [(node, key) for node, _, key in (name.partition(" ") for name in self._open("taint", "untainted"))]

    @property
    def without_power(self) -> list[str]:
        """The nodes that the run has powered off and not on again."""
        return self._open("power-off", "powered-on")

    @property
    def paused_storage(self) -> list[str]:
        """The storage classes whose server the run has paused and not resumed."""
        return self._open("storage-pause", "storage-resumed")

    @property
    def created(self) -> list[str]:
        """The URL paths of objects outside the run's namespaces that it has created and not removed."""
        return self._open("create", "removed")

    @property
    def unfinished(self) -> bool:
        """Whether the run did not come to its end, or left something behind when it did."""
        entries = self.entries()
        closed = any(entry["do"] == "close" for entry in entries)
        left = (
            self.cordoned, self.namespaces, self.tainted, self.without_power, self.created, self.paused_storage
        )
        return bool(entries) and (not closed or any(left))

    def undo(self, cluster: Cluster, deadline: Deadline) -> list[str]:
        """Undo what Kubernetes can undo of what the run left behind; returns what was done, in sentences.

        A node without power needs its controller's password, which no journal holds: it is named, and stays named.
        So does the server of a storage class, whose pause outlives neither its run nor the limit that was set to it.
        """
        done = [f"node {name} was powered off and not on again; power it on" for name in self.without_power]
        done += [f"the server of storage class {name} was paused; see that it runs" for name in self.paused_storage]
        for name in self.cordoned:
            done.append(_on_node(name, Node(cluster, name).uncordon, "uncordoned"))
            self.uncordoned(name)
        for name, key in self.tainted:
            done.append(_on_node(name, partial(Node(cluster, name).untaint, key), f"freed of taint {key}"))
            self.untainted(name, key)
        for path in self.created:
            if self._is_mine(cluster.at(path)):
                cluster.remove(path)
                done.append(f"{path} deleted")
            self.removed(path)
        for name in self.namespaces:
            with removed(cluster, name):
                delete_namespace(cluster, name, deadline)
            self.deleted(name)
            done.append(f"namespace {name} deleted")
        self.closed()
        return done

    def abandon(self) -> None:
        """Give up what is left: the cluster itself is taken down."""
        for name in self.cordoned:
            self.uncordoned(name)
        for name in self.namespaces:
            self.deleted(name)
        for name, key in self.tainted:
            self.untainted(name, key)
        for name in self.without_power:
            self.powered_on(name)
        for path in self.created:
            self.removed(path)
        for name in self.paused_storage:
            self.storage_resumed(name)
        self.closed()

    def _is_mine(self, found: Object | None) -> bool:
        """Whether an object is there and no other run's: a stale claim is taken over under the same name."""
        if found is None:
            return False
        holder = (found.get("spec") or {}).get("holderIdentity")
        return holder is None or str(holder).startswith(f"{self.path.parent.name}/")

    def _open(self, begun: str, ended: str) -> list[str]:
        left: dict[str, None] = {}
        for entry in self.entries():
            if entry["do"] == begun:
                left[entry["name"]] = None
            elif entry["do"] == ended:
                left.pop(entry["name"], None)
        return sorted(left)

    def _add(self, entry: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def _on_node(name: str, undo: Callable[[], None], done: str) -> str:
    try:
        undo()
    except NotFoundError:
        return f"node {name} is gone"
    return f"node {name} {done}"


def delete_namespace(cluster: Cluster, name: str, deadline: Deadline) -> None:
    """Delete a namespace and wait until it is gone with all that was in it."""
    cluster.delete(NAMESPACES, name)
    wait(
        f"namespace {name} is gone",
        lambda: cluster.find(NAMESPACES, name),
        until=lambda namespace: namespace is None,
        deadline=deadline,
        describe=lambda namespace: namespace and namespace.get("status", {}).get("conditions", "terminating"),
    )
