"""What all controllers stand on: the queue, the view of the cluster, collection of what nobody owns."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lab.client import ConflictError, Object
from lab.controllers import disruption, garbage, namespaces
from lab.controllers.selectors import matches
from lab.kinds import CONFIG_MAP, NAMESPACE, POD, POD_DISRUPTION_BUDGET, SECRET, VIRTUAL_MACHINE
from lab.machinery.cluster import merge_diff
from lab.machinery.objects import condition, set_condition, set_phase
from lab.machinery.quantity import mebibytes, parse
from lab.machinery.queue import WorkQueue
from tests.unit.lab.controllers_fake import FakeApi, cluster_of, merged, reconcile


def test_a_key_waits_at_most_once() -> None:
    async def scenario() -> list[str]:
        queue = WorkQueue()
        for entry in ("a", "b", "a"):
            queue.add(entry)
        first = await queue.next()
        queue.add("a")
        return [first, await queue.next(), await queue.next()]

    assert asyncio.run(scenario()) == ["a", "b", "a"]


def test_the_earliest_deadline_of_a_key_wins() -> None:
    async def scenario() -> float:
        queue = WorkQueue()
        loop = asyncio.get_running_loop()
        begin = loop.time()
        queue.add_after("a", 60)
        queue.add_after("a", 0.02)
        queue.add_after("a", 30)
        assert await queue.next() == "a"
        return loop.time() - begin

    assert asyncio.run(scenario()) < 1


def test_retries_back_off_and_a_success_forgets() -> None:
    async def scenario() -> list[float]:
        queue = WorkQueue()
        delays = [queue.retry("a") for _ in range(3)]
        queue.forget("a")
        return [*delays, queue.retry("a")]

    assert asyncio.run(scenario()) == [0.02, 0.04, 0.08, 0.02]


@pytest.mark.parametrize(("old", "new"), [
    ({"a": 1}, {"a": 1}), ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}), ({"a": [1, 2]}, {"a": [2]}),
    ({}, {"a": {"b": {"c": 1}}}), ({"a": {"b": 1}}, {"a": 5}), ({"a": {"b": 1}}, {}),
])
def test_the_merge_patch_turns_old_into_new(old: Object, new: Object) -> None:
    patch = merge_diff(old, new)
    assert merged(old, patch) == new
    assert (patch == {}) is (old == new)


def test_a_write_over_a_newer_version_is_a_conflict() -> None:
    api = FakeApi()
    read = dict(api.given(CONFIG_MAP, {"metadata": {"name": "c"}, "data": {"a": "1"}}))
    api.given(CONFIG_MAP, {"metadata": {"name": "c"}, "data": {"a": "2"}})
    with pytest.raises(ConflictError):
        asyncio.run(cluster_of(api).update(CONFIG_MAP, read, {**read, "data": {"a": "3"}}))


def test_own_writes_are_seen_before_the_watch_and_never_after_a_deletion() -> None:
    """The answer to a write may come after the event that says the object is gone."""
    api = FakeApi()
    cluster = cluster_of(api)
    written = {"metadata": {"name": "c", "namespace": "demo", "uid": "u", "resourceVersion": "7"}}
    cluster.remember(CONFIG_MAP, written)
    assert cluster.get(CONFIG_MAP, "demo/c") == written
    assert cluster.list(CONFIG_MAP) == [written]
    cluster.seen_deleted(CONFIG_MAP, written)
    cluster.remember(CONFIG_MAP, written)
    assert cluster.get(CONFIG_MAP, "demo/c") is None


def test_a_transition_time_moves_only_with_the_status() -> None:
    item: Object = {"metadata": {}, "status": {"conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": "then"},
    ]}}
    assert set_condition(item, "Ready", "True", "Because")
    told = condition(item, "Ready")
    assert told is not None
    assert told["lastTransitionTime"] == "then"
    assert not set_condition(item, "Ready", "True", "Because")
    set_condition(item, "Ready", "False")
    told = condition(item, "Ready")
    assert told is not None
    assert told["lastTransitionTime"] != "then"
    assert "reason" not in told


def test_each_phase_is_stamped_once() -> None:
    item: Object = {"metadata": {}}
    for value in ("Pending", "Pending", "Running"):
        set_phase(item, value)
    assert [entry["phase"] for entry in item["status"]["phaseTransitionTimestamps"]] == ["Pending", "Running"]


@pytest.mark.parametrize(("text", "value"), [
    ("500m", "0.5"), ("4Gi", str(4 * 2**30)), ("1k", "1000"), (2, "2"), ("1e3", "1000"), ("0.5", "0.5"),
])
def test_quantities(text: Any, value: str) -> None:
    assert parse(text) == parse(value)


def test_a_malformed_quantity_is_refused() -> None:
    with pytest.raises(ValueError, match="no Kubernetes quantity"):
        parse("lots")


def test_memory_is_rounded_up_to_whole_mebibytes() -> None:
    assert mebibytes(parse("1000000")) == "1Mi"


@pytest.mark.parametrize(("expression", "holds"), [
    ({"key": "a", "operator": "In", "values": ["1"]}, True),
    ({"key": "a", "operator": "NotIn", "values": ["1"]}, False),
    ({"key": "b", "operator": "NotIn", "values": ["1"]}, True), ({"key": "b", "operator": "Exists"}, False),
    ({"key": "b", "operator": "DoesNotExist"}, True), ({"key": "a", "operator": "Gt", "values": ["0"]}, True),
])
def test_selector_expressions(expression: Object, holds: bool) -> None:
    assert matches({"matchExpressions": [expression]}, {"a": "1"}) is holds


def owned(owner_uid: str) -> Object:
    reference = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "name": "vm", "uid": owner_uid}
    return {"metadata": {"name": "s", "ownerReferences": [reference]}}


@pytest.mark.parametrize(("owner_uid", "stays"), [("uid-VirtualMachine-vm", True), ("an-older-one", False)])
def test_what_an_absent_owner_left_is_collected(owner_uid: str, stays: bool) -> None:
    api = FakeApi()
    api.given(VIRTUAL_MACHINE, {"metadata": {"name": "vm"}, "spec": {}})
    api.given(SECRET, owned(owner_uid))
    reconcile(api, garbage.reconcile, "Secret demo/s")
    assert (("Secret", "demo/s") in api.objects) is stays


def test_a_foreground_deletion_waits_for_its_dependents() -> None:
    api = FakeApi()
    meta = {"name": "vm", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["foregroundDeletion"]}
    api.given(VIRTUAL_MACHINE, {"metadata": meta, "spec": {}})
    api.given(SECRET, owned("uid-VirtualMachine-vm"))
    reconcile(api, garbage.reconcile, "VirtualMachine demo/vm")
    assert ("Secret", "demo/s") not in api.objects
    reconcile(api, garbage.reconcile, "VirtualMachine demo/vm")
    assert ("VirtualMachine", "demo/vm") not in api.objects


def test_an_orphaning_deletion_frees_its_dependents() -> None:
    api = FakeApi()
    meta = {"name": "vm", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["orphan"]}
    api.given(VIRTUAL_MACHINE, {"metadata": meta, "spec": {}})
    api.given(SECRET, owned("uid-VirtualMachine-vm"))
    reconcile(api, garbage.reconcile, "VirtualMachine demo/vm")
    assert api.there(SECRET, "demo/s")["metadata"]["ownerReferences"] == []
    assert ("VirtualMachine", "demo/vm") not in api.objects


def test_a_terminating_namespace_is_emptied_and_then_goes() -> None:
    api = FakeApi()
    meta = {"name": "demo", "deletionTimestamp": "2026-01-01T00:00:00Z"}
    api.given(NAMESPACE, {"metadata": meta, "spec": {"finalizers": ["kubernetes"]}})
    api.given(CONFIG_MAP, {"metadata": {"name": "c"}})
    api.given(CONFIG_MAP, {"metadata": {"name": "c", "namespace": "other"}})
    assert reconcile(api, namespaces.reconcile, "demo") == namespaces.RETRY_SECONDS
    assert reconcile(api, namespaces.reconcile, "demo") is None
    assert ("Namespace", "demo") not in api.objects
    assert ("ConfigMap", "other/c") in api.objects


def plain(name: str, ready: bool, **meta: Any) -> Object:
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"metadata": {"name": name, "labels": {"app": "x"}, **meta}, "spec": {},
            "status": {"phase": "Running", "conditions": conditions}}


@pytest.mark.parametrize(("spec", "counts"), [
    ({"minAvailable": 1}, (2, 1, 1, 3)), ({"minAvailable": 3}, (2, 3, 0, 3)), ({"maxUnavailable": 1}, (2, 2, 0, 3)),
    ({"minAvailable": "50%"}, (2, 2, 0, 3)), ({"maxUnavailable": 2}, (2, 1, 1, 3)),
])
def test_a_budget_counts_healthy_pods(spec: Object, counts: tuple[int, ...]) -> None:
    pods = [plain("a", True), plain("b", True), plain("c", False)]
    found = disruption.status({"spec": spec}, pods)
    fields = ("currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods")
    assert tuple(found[field] for field in fields) == counts


def test_max_unavailable_over_virtual_machines_allows_nothing() -> None:
    """An instance has no scale, so the budget cannot tell how many are expected."""
    api = FakeApi()
    selector = {"matchLabels": {"app": "x"}}
    api.given(POD_DISRUPTION_BUDGET, {"metadata": {"name": "b"}, "spec": {"maxUnavailable": 1, "selector": selector}})
    owner = [{"kind": "VirtualMachineInstance", "name": "vm", "uid": "u", "controller": True}]
    api.given(POD, plain("a", True, ownerReferences=owner))
    reconcile(api, disruption.reconcile, "demo/b")
    stored = api.there(POD_DISRUPTION_BUDGET, "demo/b")
    assert stored["status"]["disruptionsAllowed"] == 0
    told = condition(stored, "DisruptionAllowed")
    assert told is not None
    assert told["reason"] == "SyncFailed"
