"""Watches write what changes, survive an API that does not answer, and keep quiet about what nobody asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from drainproof.api import MACHINES, NODES, PODS, Cluster, Object, Resource
from drainproof.errors import ApiError
from drainproof.following import PROOF_SECONDS
from drainproof.record import Event
from drainproof.record.events import EventLog, read_events
from drainproof.wait import Deadline, wait
from fixtures.watching import watching


@dataclass
class WatchedCluster:
    """Answers lists with what is there, and each watch with the changes that are due; may be away for a while."""

    listed: dict[Resource, list[Object]] = field(default_factory=dict)
    changes: dict[Resource, list[tuple[str, Object]]] = field(default_factory=dict)
    failures: int = 0
    namespaces: set[tuple[str, str | None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.lock = threading.Lock()

    def list(self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = "") -> Object:
        with self.lock:
            self.namespaces.add((resource.plural, namespace))
            if self.failures:
                self.failures -= 1
                raise ApiError("GET", 0, "Unreachable", "nobody there")
        return {"items": self.listed.get(resource, []), "metadata": {"resourceVersion": "1"}}

    def watch(
        self, resource: Resource, namespace: str | None, version: str, seconds: int, *, labels: str, fields: str,
        opened: Callable[[Callable[[], None]], None],
    ) -> Iterator[tuple[str, Object]]:
        over = threading.Event()
        opened(over.set)
        yield from self.changes.pop(resource, [])
        if seconds == PROOF_SECONDS:
            yield "BOOKMARK", {"metadata": {"resourceVersion": "9"}}
        over.wait(10)


def node(**status: Any) -> Object:
    return {
        "metadata": {"name": "node-a", "uid": "n", "resourceVersion": "2"}, "spec": status.get("spec", {}),
        "status": {
            "conditions": [{"type": "Ready", "status": status["ready"]}], "heartbeat": status.get("heartbeat", 0),
        },
    }


def watched(cluster: WatchedCluster, directory: Path, count: int) -> list[Event]:
    """The events of watches that ran until so many changes were written."""
    events = EventLog(directory / "events.jsonl")
    seen: list[str] = []
    with watching(cast(Cluster, cluster), "ns", events, lambda kind, facts: seen.append(kind)):
        wait("the changes are seen", lambda: len(seen), until=lambda n: n >= count, deadline=Deadline(10), every=0.01)
    events.close()
    return list(read_events(directory / "events.jsonl"))


def test_a_node_is_told_when_it_changes_and_not_when_it_only_lives(tmp_path: Path) -> None:
    """Of five updates three changed what is asked about; a node has no namespace, in the record as in the request."""
    taint = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": "now"}
    cluster = WatchedCluster({NODES: [node(ready="True")]}, {NODES: [
        ("MODIFIED", node(ready="True", heartbeat=1)), ("MODIFIED", node(ready="True", heartbeat=2)),
        ("MODIFIED", node(ready="Unknown")), ("MODIFIED", node(ready="Unknown", spec={"taints": [taint]})),
    ]})
    found = [event for event in watched(cluster, tmp_path, 3) if event.kind == "node"]
    assert [(event.object, event.data["ready"], len(event.data["taints"])) for event in found] == [
        ("node-a", "True", 0), ("node-a", "Unknown", 0), ("node-a", "Unknown", 1),
    ]
    assert found[-1].data["taints"] == [{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]
    assert ("nodes", None) in cluster.namespaces
    assert ("pods", "ns") in cluster.namespaces


def test_a_pod_that_is_asked_to_leave_is_told_as_such(tmp_path: Path) -> None:
    """Also who it is, and why it ended; and a machine's status in KubeVirt's words."""
    pod = {
        "metadata": {
            "name": "p", "namespace": "ns", "uid": "u", "resourceVersion": "2", "deletionTimestamp": "now",
            "labels": {"vm.kubevirt.io/name": "portal-0"},
        },
        "spec": {"nodeName": "node-a"}, "status": {"phase": "Failed", "reason": "NodeLost"},
    }
    machine = {
        "metadata": {"name": "portal-0", "namespace": "ns", "uid": "m", "resourceVersion": "2"},
        "spec": {"runStrategy": "Always"}, "status": {"printableStatus": "ErrorUnschedulable"},
    }
    events = watched(WatchedCluster({PODS: [pod], MACHINES: [machine]}), tmp_path, 2)
    told = {event.kind: event.data for event in events if event.kind in ("pod", "vm")}
    assert told["pod"] == {
        "event": "ADDED", "name": "p", "uid": "u", "vmi": "portal-0", "node": "node-a", "phase": "Failed",
        "ready": False, "deleting": True, "reason": "NodeLost",
    }
    assert (told["vm"]["status"], told["vm"]["run_strategy"]) == ("ErrorUnschedulable", "Always")


def test_an_api_that_is_away_is_written_down_and_asked_again(tmp_path: Path) -> None:
    """Every watch is taken up again, and each break is in the record with its reason."""
    cluster = WatchedCluster({NODES: [node(ready="True")]}, failures=5)
    events = watched(cluster, tmp_path, 1)
    lost = [event for event in events if event.kind == "lost"]
    assert len(lost) == 5
    assert all("nobody there" in event.data["reason"] for event in lost)
    assert [event.data["ready"] for event in events if event.kind == "node"] == ["True"]


def test_each_watch_proves_at_its_end_that_it_has_told_all(tmp_path: Path) -> None:
    """What was heard last of each is a proof; and each says when it starts that it tells in order."""
    events = watched(WatchedCluster({NODES: [node(ready="True")]}), tmp_path, 1)
    for kind in ("vm", "vmi", "vmim", "pod", "node"):
        own = [event for event in events if event.object == kind]
        assert [event.kind for event in own] == ["started", "synced", "stopped"]
        assert (own[0].data["proved"], own[0].data["unchanged"], own[1].data["by"]) == ("order", False, "bookmark")


def test_watches_prove_when_they_are_asked(tmp_path: Path) -> None:
    """Before an API is taken away, so that what it tells later is told against what was known then."""
    events = EventLog(tmp_path / "events.jsonl")
    with watching(cast(Cluster, WatchedCluster()), "ns", events, lambda kind, facts: None) as watches:
        assert all(one.await_current(10) for one in watches.followings)
        watches.prove()
        found = read_events(tmp_path / "events.jsonl")
    assert sorted(event.object for event in found if event.kind == "synced") == ["node", "pod", "vm", "vmi", "vmim"]
    events.close()
