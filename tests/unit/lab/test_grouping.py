"""Objects by what is read from them: the informers' groups, and the cluster's view of them with its own writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from lab.client import Client, Informer, Object
from lab.config import LabConfig
from lab.controllers import indexes
from lab.grouping import Groups, Index
from lab.kinds import POD
from lab.machinery.cluster import Cluster
from lab.machinery.events import Recorder

BY_COLOUR = Index(POD, lambda item: item["colours"])


def painted(*colours: str) -> Object:
    return {"colours": colours}


def pod(name: str, node: str, version: int, phase: str = "Running") -> Object:
    return {
        "metadata": {"name": name, "namespace": "demo", "uid": f"uid-{name}", "resourceVersion": str(version)},
        "spec": {"nodeName": node} if node else {}, "status": {"phase": phase},
    }


def view(*pods: Object) -> tuple[Cluster, Informer]:
    """A cluster whose watch has shown these pods."""
    informer = Informer(cast(Client, None), POD)
    for item in pods:
        informer._apply("ADDED", item)
    recorder = cast(Recorder, type("Silent", (), {"event": None}))
    return Cluster(cast(Client, None), LabConfig(), {POD: informer}, recorder), informer


def names(items: list[Object]) -> list[str]:
    return sorted(item["metadata"]["name"] for item in items)


def test_an_object_is_under_each_of_its_values_and_no_longer_under_those_it_had() -> None:
    groups = Groups(BY_COLOUR)
    groups.put("a", painted("red", "blue"))
    groups.put("b", painted("blue"))
    groups.put("a", painted("green", "blue"))
    found: dict[str, Any] = {colour: sorted(groups.under(colour)) for colour in ("red", "green", "blue")}
    assert found == {"red": [], "green": ["a"], "blue": ["a", "b"]}
    groups.drop("a")
    assert [sorted(groups.under(colour)) for colour in ("green", "blue")] == [[], ["b"]]


def test_the_number_of_changes_differs_after_every_change_of_the_group_and_of_no_other() -> None:
    """Also when the group was empty in between."""
    groups = Groups(BY_COLOUR)
    seen = [groups.changes("red")]
    steps: tuple[Callable[[], None], ...] = (
        lambda: groups.put("a", painted("red")), lambda: groups.put("a", painted("red")), lambda: groups.drop("a"),
        lambda: groups.put("a", painted("red")), lambda: groups.put("a", painted("blue")),
        lambda: groups.put("b", painted("red")),
    )
    for step in steps:
        step()
        assert groups.changes("red") != seen[-1]
        seen.append(groups.changes("red"))
    groups.put("c", painted("blue"))
    assert groups.changes("red") == seen[-1]
    living = [number for number in seen if number]
    assert len(set(living)) == len(living)


def test_what_was_written_and_not_yet_shown_is_found_where_it_is_now() -> None:
    cluster, informer = view(pod("a", "", 1), pod("b", "node-1", 2))
    cluster.remember(POD, pod("a", "node-1", 3))
    assert names(cluster.among(indexes.LIVING_POD_BY_NODE, "node-1")) == ["a", "b"]
    assert names(cluster.among(indexes.LIVING_POD_BY_NODE, "")) == []
    assert names(cluster.unseen(POD)) == ["a"]
    informer._apply("MODIFIED", pod("a", "node-1", 3))
    assert names(cluster.unseen(POD)) == []
    assert names(cluster.among(indexes.LIVING_POD_BY_NODE, "node-1")) == ["a", "b"]


def test_a_finished_pod_holds_no_room_and_is_on_its_node_all_the_same() -> None:
    cluster, _ = view(pod("a", "node-1", 1, phase="Succeeded"), pod("b", "node-1", 2))
    assert names(cluster.among(indexes.LIVING_POD_BY_NODE, "node-1")) == ["b"]
    assert names(cluster.among(indexes.POD_BY_NODE, "node-1")) == ["a", "b"]


def test_groups_that_are_asked_for_late_hold_what_was_there_before() -> None:
    cluster, informer = view(pod("a", "node-1", 1))
    assert names(cluster.among(indexes.POD_BY_NODE, "node-1")) == ["a"]
    informer._apply("DELETED", pod("a", "node-1", 2))
    assert cluster.among(indexes.POD_BY_NODE, "node-1") == []
