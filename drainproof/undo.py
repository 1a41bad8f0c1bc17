"""Undoes what a run has left on a cluster, by its journal: each step is said before it is done, and may be repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from drainproof.api import MANAGER, NAMESPACES, NODE_HEALTH_CHECKS, NODES, Cluster
from drainproof.errors import ConflictError, NotFoundError
from drainproof.journal import Journal
from drainproof.journal.entries import Entry
from drainproof.leases import holder_of
from drainproof.namespaces import delete_namespace
from drainproof.node import Node
from drainproof.ownership import run_of
from drainproof.remedies import NotHealedError, Remedies
from drainproof.resources import Object
from drainproof.retained import removed
from drainproof.run_cluster import LAB_PAUSE
from drainproof.wait import Deadline

TRIES = 5
"""So often is a list of taints changed that its controllers change at the same time."""
NAMESPACE_SECONDS = 180.0
CORDON = "f:unschedulable"
"""The field that a cordon sets, as managedFields name it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to be undone."""

    will: str
    """What will be done, as a command says it."""
    do: Callable[[], str]
    """Does it, writes down that it is done, and returns what was done; raises DrainproofError when it is not."""


@dataclass(frozen=True)
class Undo:
    """How what one run has left is undone. Every step may be taken again: what is undone already is only written down.
    """

    journal: Journal
    cluster: Cluster
    remedies: Remedies
    claimed_by: Callable[[str], str]
    """Who disturbs a node now, if that is another run that lives: its cordons are its own."""
    seconds: float = NAMESPACE_SECONDS

    def steps(self) -> Iterator[Step]:
        """What is to be done, in order; reads the journal's file and its copy."""
        ways: dict[str, tuple[str, Callable[[str, Entry], str]]] = {
            "storage-pause": ("have the server of storage class {} go on", self._resume),
            "power-off": ("power node {} on", self._power_on), "cordon": ("uncordon node {}", self._uncordon),
            "taint": ("remove the taint of node {}", self._untaint),
            "unpause": ("pause NodeHealthCheck {} again", self._pause), "create": ("delete {}", self._remove),
            "namespace": ("delete namespace {} with all that is in it", self._delete),
        }
        for kind, items in self.journal.left_anywhere.by_kind.items():
            will, do = ways[kind]
            for name, entry in items.items():
                yield Step(will.format(name), partial(self._take, kind, name, partial(do, name, entry)))

    def _take(self, kind: str, name: str, do: Callable[[], str]) -> str:
        done = do()
        self.journal.ended(kind, name)
        return done

    def _resume(self, storage_class: str, _: Entry) -> str:
        self.remedies.resume(storage_class)
        return f"the server of storage class {storage_class} goes on"

    def _power_on(self, node: str, _: Entry) -> str:
        if other := self.claimed_by(node):
            return f"node {node} is claimed by {other} now and left to it"
        if self.journal.path is None and not self._is_known(node):
            raise NotHealedError(f"node {node} is not the cluster's: see whether it is to be powered on")
        self.remedies.power_on(node)
        return f"node {node} powered on"

    def _is_known(self, node: str) -> bool:
        """Others than the run may write to what the cluster keeps; a name goes into the URL of a power controller."""
        return node in {item["metadata"]["name"] for item in self.cluster.items(NODES)}

    def _uncordon(self, node: str, entry: Entry) -> str:
        if other := self.claimed_by(node):
            return f"node {node} is claimed by {other} now and left to it"
        found = self.cluster.find(NODES, node)
        if found is None:
            return f"node {node} is gone"
        # What a version without ids has cordoned bears another name than this one's.
        if cordoned_by := somebody_elses_cordon(found) if "id" in entry else "":
            return f"node {node} was cordoned by {cordoned_by} since and is left alone"
        with suppress(NotFoundError):
            Node(self.cluster, node).uncordon()
        return f"node {node} uncordoned"

    def _untaint(self, name: str, _: Entry) -> str:
        node, key = name.split(" ", 1)
        if self.cluster.find(NODES, node) is None:
            return f"node {node} is gone"
        if other := self.claimed_by(node):
            return f"node {node} is claimed by {other} now and left to it"
        for left in range(TRIES - 1, -1, -1):
            try:
                Node(self.cluster, node).untaint(key)
                break
            except ConflictError:
                if not left:
                    raise
        return f"node {node} freed of taint {key}"

    def _pause(self, name: str, entry: Entry) -> str:
        """Only one that nobody has paused since: another's requests are not to be overwritten."""
        found = self.cluster.find(NODE_HEALTH_CHECKS, name)
        if found is None or found["spec"].get("pauseRequests"):
            return f"NodeHealthCheck {name} is {'gone' if found is None else 'paused'} already"
        requests = [one for one in entry.get("requests") or [] if one == LAB_PAUSE]
        self.cluster.patch(NODE_HEALTH_CHECKS, name, {"spec": {"pauseRequests": requests}})
        return f"NodeHealthCheck {name} paused again"

    def _remove(self, path: str, entry: Entry) -> str:
        found = self.cluster.at(path)
        if found is None:
            return f"{path} is gone already"
        if not self._is_mine(found, entry):
            return f"{path} is not the run's and left alone"
        self.cluster.remove(path)
        return f"{path} deleted"

    def _delete(self, name: str, entry: Entry) -> str:
        found = self.cluster.find(NAMESPACES, name)
        if found is None:
            with removed(self.cluster, name):  # a cleanup may have died after it: what was retained is left
                return f"namespace {name} is gone already"
        if not self._is_mine(found, entry):
            return f"namespace {name} is not the run's and left alone"
        with removed(self.cluster, name):
            delete_namespace(self.cluster, name, Deadline(self.seconds))
        return f"namespace {name} deleted"

    def _is_mine(self, found: Object, entry: Entry) -> bool:
        """Whether the run has made it: a stale claim of a node is taken over under the same name.

        What a version without labels has made, whose entries have no id, is known by its name alone. That version kept
        no copy in the cluster: what stands there so was written by somebody else.
        """
        if holder := holder_of(found):
            return holder.startswith(f"{self.journal.run_id}/")
        nameless = "id" not in entry and self.journal.copy is None
        return run_of(found) == self.journal.run_id or (nameless and not run_of(found))


def somebody_elses_cordon(node: Object) -> str:
    """Who has cordoned a node, if the API server has kept that it was somebody else, as `kubectl-cordon`; else empty.

    The manager of a field is who has changed it last; setting it to what it is already changes nothing.
    """
    fields = node["metadata"].get("managedFields") or []
    managers = [entry.get("manager", "") for entry in fields if CORDON in entry.get("fieldsV1", {}).get("f:spec", {})]
    return "" if MANAGER in managers else ", ".join(sorted(managers))
