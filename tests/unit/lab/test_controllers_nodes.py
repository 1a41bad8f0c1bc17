"""Silent nodes, taints, evictions and what is left of lost nodes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from lab.client import Object
from lab.controllers import eviction, nodes
from lab.kinds import LEASE, NODE, POD, VIRTUAL_MACHINE_INSTANCE
from lab.machinery.objects import condition, now, phase, stamp
from tests.unit.lab.controllers_fake import FakeApi, node, reconcile, running_pod, vmi

UNREACHABLE = "node.kubernetes.io/unreachable"


def ago(seconds: float) -> str:
    return stamp(now() - timedelta(seconds=seconds))


def pod(name: str = "p", on: str = "node-a", **spec: Any) -> Object:
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    return {"metadata": {"name": name}, "spec": {"nodeName": on, **spec}, "status": status}


GRACE = 40.0


def lease(api: FakeApi) -> None:
    body = {"metadata": {"name": "node-a", "namespace": "kube-node-lease"}, "spec": {"renewTime": stamp()}}
    api.given(LEASE, body)


def taints(api: FakeApi) -> set[tuple[str, str]]:
    return {(taint["key"], taint["effect"]) for taint in api.there(NODE, "node-a")["spec"].get("taints", [])}


def test_a_silent_node_becomes_unknown_with_taints_and_unready_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeApi()
    api.given(NODE, node("node-a"))
    api.given(POD, pod())
    lease(api)
    clock = [100.0]
    monkeypatch.setattr("lab.controllers.nodes.time.monotonic", lambda: clock[0])
    lifecycle = nodes.NodeLifecycle(GRACE)
    for _ in range(10):
        assert reconcile(api, lifecycle.reconcile, "node-a") == 4.0
        assert taints(api) == set()
        clock[0] += 4.0
    reconcile(api, lifecycle.reconcile, "node-a")
    told = condition(api.there(NODE, "node-a"), "Ready")
    assert told is not None
    assert (told["status"], told["reason"]) == ("Unknown", "NodeStatusUnknown")
    assert taints(api) == {(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")}
    unready = condition(api.there(POD, "demo/p"), "Ready")
    assert unready is not None
    assert unready["status"] == "False"
    assert phase(api.there(POD, "demo/p")) == "Running"


def watched(monkeypatch: pytest.MonkeyPatch) -> tuple[FakeApi, nodes.NodeLifecycle, list[float]]:
    """A node that was heard just now, and a clock."""
    api = FakeApi()
    api.given(NODE, node("node-a"))
    lease(api)
    clock = [100.0]
    monkeypatch.setattr("lab.controllers.nodes.time.monotonic", lambda: clock[0])
    lifecycle = nodes.NodeLifecycle(GRACE)
    reconcile(api, lifecycle.reconcile, "node-a")
    return api, lifecycle, clock


def test_a_controller_that_stood_still_blames_no_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts its patience anew, and is as strict as ever after that."""
    api, lifecycle, clock = watched(monkeypatch)
    clock[0] += 300.0
    reconcile(api, lifecycle.reconcile, "node-a")
    assert taints(api) == set()
    for _ in range(11):
        clock[0] += 4.0
        reconcile(api, lifecycle.reconcile, "node-a")
    assert (UNREACHABLE, "NoExecute") in taints(api)


def test_a_node_is_not_lost_while_its_lease_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    api, lifecycle, clock = watched(monkeypatch)
    for turn in range(30):
        clock[0] += 4.0
        api.there(LEASE, "kube-node-lease/node-a")["spec"]["renewTime"] = f"turn {turn // 8}"
        reconcile(api, lifecycle.reconcile, "node-a")
        assert taints(api) == set()


def test_a_node_that_is_ready_again_loses_its_taints() -> None:
    api = FakeApi()
    foreign = {"key": "gpu", "effect": "NoSchedule"}
    api.given(NODE, node("node-a", taints=[{"key": UNREACHABLE, "effect": "NoExecute"}, foreign]))
    reconcile(api, nodes.NodeLifecycle(GRACE).reconcile, "node-a")
    assert taints(api) == {("gpu", "NoSchedule")}


@pytest.mark.parametrize("cordoned", [True, False])
def test_the_taint_follows_the_cordon(cordoned: bool) -> None:
    api = FakeApi()
    before = [] if cordoned else [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]
    api.given(NODE, node("node-a", unschedulable=cordoned, taints=before))
    reconcile(api, nodes.NodeLifecycle(GRACE).reconcile, "node-a")
    assert (("node.kubernetes.io/unschedulable", "NoSchedule") in taints(api)) is cordoned


def test_kubevirts_stale_heartbeat_closes_the_node_and_fails_orphans() -> None:
    api = FakeApi()
    stale = node("node-a")
    stale["metadata"]["annotations"] = {"kubevirt.io/heartbeat": ago(301)}
    api.given(NODE, stale)
    api.given(VIRTUAL_MACHINE_INSTANCE, vmi("orphan", phase="Running", nodeName="node-a"))
    held = api.given(VIRTUAL_MACHINE_INSTANCE, vmi("held", phase="Running", nodeName="node-a"))
    api.given(POD, running_pod("launcher", held, "node-a"))
    reconcile(api, nodes.NodeLifecycle(GRACE).reconcile, "node-a")
    assert api.there(NODE, "node-a")["metadata"]["labels"]["kubevirt.io/schedulable"] == "false"
    orphan = api.there(VIRTUAL_MACHINE_INSTANCE, "demo/orphan")["status"]
    assert (orphan["phase"], orphan["reason"]) == ("Failed", "NodeUnresponsive")
    assert phase(api.there(VIRTUAL_MACHINE_INSTANCE, "demo/held")) == "Running"


@pytest.mark.parametrize(("tolerations", "seconds"), [
    ([], 300.0),
    ([{"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 20}], 20.0),
    ([{"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute"}], None),
])
def test_how_long_a_pod_tolerates_a_lost_node(tolerations: list[Object], seconds: float | None) -> None:
    taint = {"key": UNREACHABLE, "effect": "NoExecute"}
    assert eviction.toleration_seconds(pod(tolerations=tolerations), taint) == seconds


def lost_node(api: FakeApi, since: float, *extra: Object) -> None:
    lost = node("node-a", taints=[{"key": UNREACHABLE, "effect": "NoExecute", "timeAdded": ago(since)}, *extra])
    lost["status"]["conditions"][0]["status"] = "Unknown"
    api.given(NODE, lost)


def test_a_pod_is_evicted_when_its_toleration_ends() -> None:
    api = FakeApi()
    lost_node(api, since=200)
    api.given(POD, pod())
    left = reconcile(api, eviction.CONTROLLER.reconcile, "demo/p")
    assert left is not None
    assert 98 < left <= 100
    lost_node(api, since=301)
    reconcile(api, eviction.CONTROLLER.reconcile, "demo/p")
    evicted = api.there(POD, "demo/p")
    assert evicted["metadata"]["deletionTimestamp"]
    told = condition(evicted, "DisruptionTarget")
    assert told is not None
    assert told["reason"] == "DeletionByTaintManager"
    assert api.reasons(POD) == ["TaintManagerEviction"]


def test_an_evicted_pod_stays_until_its_node_is_out_of_service() -> None:
    """Nothing but the operator's word proves that the node is off."""
    api = FakeApi()
    lost_node(api, since=400)
    gone = pod()
    gone["metadata"]["deletionTimestamp"] = ago(100)
    api.given(POD, gone)
    reconcile(api, eviction.CONTROLLER.reconcile, "demo/p", times=3)
    assert ("Pod", "demo/p") in api.objects
    lost_node(api, 400, {"key": eviction.OUT_OF_SERVICE, "value": "nodeshutdown", "effect": "NoExecute"})
    reconcile(api, eviction.CONTROLLER.reconcile, "demo/p")
    assert ("Pod", "demo/p") not in api.objects


def test_the_out_of_service_taint_evicts_at_once() -> None:
    api = FakeApi()
    lost_node(api, 10, {"key": eviction.OUT_OF_SERVICE, "value": "nodeshutdown", "effect": "NoExecute"})
    api.given(POD, pod())
    reconcile(api, eviction.CONTROLLER.reconcile, "demo/p", times=2)
    assert ("Pod", "demo/p") not in api.objects


def test_a_pod_of_a_node_that_does_not_exist_is_collected_after_quarantine() -> None:
    api = FakeApi()
    orphan = pod()
    orphan["metadata"]["creationTimestamp"] = ago(41)
    api.given(POD, orphan)
    reconcile(api, eviction.CONTROLLER.reconcile, "demo/p")
    assert ("Pod", "demo/p") not in api.objects
