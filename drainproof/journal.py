"""What a run has changed on a cluster, written before each change, so that a killed run can be undone later."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from drainproof.api import NAMESPACES, Cluster
from drainproof.errors import NotFoundError
from drainproof.node import Node
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
    def unfinished(self) -> bool:
        """Whether the run did not come to its end, or left something behind when it did."""
        entries = self.entries()
        closed = any(entry["do"] == "close" for entry in entries)
        return bool(entries) and (not closed or bool(self.cordoned or self.namespaces))

    def undo(self, cluster: Cluster, deadline: Deadline) -> list[str]:
        """Uncordon and delete what the run left behind; returns what was done, in sentences."""
        done = []
        for name in self.cordoned:
            try:
                Node(cluster, name).uncordon()
                done.append(f"node {name} uncordoned")
            except NotFoundError:
                done.append(f"node {name} is gone")
            self.uncordoned(name)
        for name in self.namespaces:
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
        self.closed()

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
