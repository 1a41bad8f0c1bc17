"""Evictions: when a pod is asked to leave again, and when that would only be refused again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from drainproof.api import INSTANCES, Cluster, Object, Objects, Resource
from drainproof.errors import ApiError, EvictionRefusedError, WaitTimeoutError
from drainproof.followed import Followed
from drainproof.following import Following
from drainproof.record.events import EventLog, read_events
from drainproof.vm import NAME_LABEL, VirtualMachine
from drainproof.wait import Deadline
from scenarios.evictions import Evictions
from tests.unit.harness.fakes import FakeClock

SECOND = 1_000_000_000
BUDGET = EvictionRefusedError("evict", 429, "TooManyRequests", "it would violate the pod's disruption budget")
MARKED = EvictionRefusedError("evict", 429, "", 'Eviction triggered evacuation of VMI "ns/vm-0"')


def pod(phase: str = "Running", **meta: Any) -> Object:
    return {
        "metadata": {
            "name": "p", "namespace": "ns", "uid": "p", "labels": {NAME_LABEL: "vm-0"},
            "ownerReferences": [{"kind": "VirtualMachineInstance", "controller": True}], **meta,
        },
        "status": {"phase": phase},
    }


@dataclass
class World:
    """A node with one pod, which becomes what `story` says at each second; time passes as somebody waits."""

    story: Callable[[int], tuple[Object | None, Object]]
    answers: list[ApiError | None]
    clock: FakeClock = field(default_factory=FakeClock)
    asked: list[float] = field(default_factory=list)
    """When evictions were asked for, in seconds."""
    logs: int = 0
    count = 0
    current = True

    @property
    def changes(self) -> World:
        return self

    def await_change(self, after: int, seconds: float) -> None:
        self.clock.sleep(seconds)

    def objects(self) -> Objects:
        found, _ = self._now
        return [found] if found else []

    def find(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        assert (resource, name, namespace) == (INSTANCES, "vm-0", "ns")
        _, status = self._now
        return {"metadata": {"name": "vm-0", "uid": "u"}, "status": status}

    def evict(self, name: str, namespace: str) -> None:
        self.asked.append(self.clock.now_ns / SECOND)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer:
            raise answer

    def patient(self, seconds: float) -> World:
        return self

    def log(self, name: str, namespace: str, container: str) -> str:
        self.logs += 1
        return ""

    @property
    def _now(self) -> tuple[Object | None, Object]:
        return self.story(self.clock.now_ns // SECOND)


def emptied(world: World, directory: Path, seconds: float, *, watched: bool = True) -> list[int]:
    """The answers that the record keeps of an emptied node."""
    cluster, events = cast(Cluster, world), EventLog(directory / "events.jsonl")
    machines = [VirtualMachine(cluster, "vm-0", "ns")] if watched else []
    try:
        Evictions(
            cluster, "node-a", machines, events, cast(Following, world), cast(Followed, world)
        ).until_empty(Deadline(seconds, world.clock))
    finally:
        events.close()
    return [event.data["code"] for event in read_events(directory / "events.jsonl") if event.kind == "evict"]


def stays(second: int) -> tuple[Object, Object]:
    return pod(), {"nodeName": "node-a"}


def test_a_refusal_is_asked_again_ever_less_often(tmp_path: Path) -> None:
    """After 5 s, then after twice as long each time, at most after a minute: twelve times in ten minutes, not 120."""
    world = World(stays, [BUDGET])
    with pytest.raises(WaitTimeoutError, match=r"node-a is drained.*still there: \['p \(Running\)'\]"):
        emptied(world, tmp_path, 600)
    assert [round(moment) for moment in world.asked] == [0, 5, 15, 35, 75, 135, 195, 255, 315, 375, 435, 495, 555]


def test_a_marked_machine_is_asked_once(tmp_path: Path) -> None:
    """For half an hour its migration goes on; then its finished launcher is removed, after its log was read once."""

    def story(second: int) -> tuple[Object | None, Object]:
        if second < 1800:
            return pod(), {"nodeName": "node-a", "evacuationNodeName": "node-a" if second else ""}
        return (pod("Succeeded") if second < 1805 else None), {"nodeName": "node-b"}

    world = World(story, [MARKED, None])
    assert emptied(world, tmp_path, 3600) == [429, 201]
    assert ([round(moment) for moment in world.asked], world.logs) == ([0, 1800], 1)


def test_a_machine_that_has_just_moved_is_not_asked(tmp_path: Path) -> None:
    """Its launcher ends by itself; evicted earlier it would take its log with it."""

    def story(second: int) -> tuple[Object | None, Object]:
        return (pod("Running" if second < 30 else "Succeeded") if second < 35 else None), {"nodeName": "node-b"}

    world = World(story, [None])
    assert emptied(world, tmp_path, 60) == [201]
    assert [round(moment) for moment in world.asked] == [30]


def test_a_machine_that_lost_its_mark_is_asked_again(tmp_path: Path) -> None:
    """Its evacuation was cancelled after ten seconds: nobody else would have it moved."""

    def story(second: int) -> tuple[Object | None, Object]:
        marked = "node-a" if 0 < second < 10 else ""
        return (pod() if second < 20 else None), {"nodeName": "node-a", "evacuationNodeName": marked}

    world = World(story, [MARKED])
    emptied(world, tmp_path, 60)
    assert [round(moment) for moment in world.asked] == [0, 10]


def test_another_s_launcher_is_asked_like_any_pod(tmp_path: Path) -> None:
    """Nobody here follows its instance; when it has ended it is asked at once."""

    def story(second: int) -> tuple[Object | None, Object]:
        return (pod("Running" if second < 21 else "Succeeded") if second < 23 else None), {}

    world = World(story, [MARKED, MARKED, MARKED, None])
    assert emptied(world, tmp_path, 60, watched=False) == [429, 429, 429, 201]
    assert [round(moment) for moment in world.asked] == [0, 5, 15, 21]


def test_a_pod_that_is_being_deleted_is_waited_for(tmp_path: Path) -> None:
    """As long as its grace lasts."""
    world = World(lambda second: (pod(deletionTimestamp="now") if second < 30 else None, {}), [None])
    assert emptied(world, tmp_path, 60, watched=False) == []


def test_an_api_in_trouble_is_asked_again_and_a_refusal_for_good_is_raised(tmp_path: Path) -> None:
    """A server that restarts during its own node's drain; an account that may not evict."""
    trouble = ApiError("evict", 503, "ServiceUnavailable", "restarting")
    world = World(lambda second: (pod() if second < 12 else None, {"nodeName": "node-a"}), [trouble])
    assert emptied(world, tmp_path, 60) == [503, 503]
    with pytest.raises(ApiError, match="403"):
        emptied(World(stays, [ApiError("evict", 403, "Forbidden", "may not")]), tmp_path / "forbidden", 60)


def test_a_node_of_which_nothing_is_known_is_not_taken_for_empty(tmp_path: Path) -> None:
    """The copy of its pods is cut off: nothing is in it, and that says nothing."""
    world = World(lambda second: (None, {}), [None])
    world.current = False
    with pytest.raises(WaitTimeoutError, match="the API does not tell which pods it has"):
        emptied(world, tmp_path, 5)
