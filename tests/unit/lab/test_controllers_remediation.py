"""The node health check and its remediation, as operators of medik8s behave."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from lab.client import Object
from lab.config import LabConfig
from lab.controllers import health_check, remediation
from lab.controllers.eviction import OUT_OF_SERVICE
from lab.kinds import FENCE_AGENTS_REMEDIATION, NODE, NODE_HEALTH_CHECK, POD, VIRTUAL_MACHINE_INSTANCE
from lab.lifecycle.health_check import OPERATORS, PAUSE, objects
from lab.machinery.objects import condition, now, stamp
from tests.unit.lab.controllers_fake import FakeApi, node, reconcile, running_pod, vmi

CHECK = "nhc-worker"
NODES = ("node-a", "node-b", "node-c", "node-d")
REMEDIATION = f"{OPERATORS}/node-a"


def cluster(*, lost: tuple[str, ...] = (), since: float = 400.0, pauses: tuple[str, ...] = ()) -> FakeApi:
    """Four nodes, some of them Unknown since so many seconds, and the lab's own check."""
    api = FakeApi()
    for name in NODES:
        set_ready(api, name, "Unknown" if name in lost else "True", since)
    for kind, body in objects(LabConfig(unhealthy_seconds=300)):
        api.given(kind, body)
    api.there(NODE_HEALTH_CHECK, CHECK)["spec"]["pauseRequests"] = list(pauses)
    return api


def set_ready(api: FakeApi, name: str, status: str, since: float = 0.0) -> None:
    item = node(name)
    item["metadata"]["labels"]["node-role.kubernetes.io/worker"] = ""
    moment = stamp(now() - timedelta(seconds=since))
    item["status"]["conditions"] = [{"type": "Ready", "status": status, "lastTransitionTime": moment}]
    api.given(NODE, item)


def check(api: FakeApi, times: int = 1) -> float | None:
    return reconcile(api, health_check.reconcile, CHECK, times)


def status(api: FakeApi) -> Object:
    found: Object = api.there(NODE_HEALTH_CHECK, CHECK)["status"]
    return found


def remediated(api: FakeApi) -> list[str]:
    return sorted(item["metadata"]["name"] for item in api.all(FENCE_AGENTS_REMEDIATION))


def test_a_check_of_healthy_nodes_is_enabled() -> None:
    api = cluster()
    check(api)
    assert (status(api)["phase"], status(api)["observedNodes"], status(api)["healthyNodes"]) == ("Enabled", 4, 4)
    assert remediated(api) == []


def test_a_node_is_remediated_when_its_time_is_over_and_not_before() -> None:
    api = cluster(lost=("node-a",), since=290)
    left = check(api)
    assert left is not None
    assert 8 < left <= 11
    assert remediated(api) == []
    assert status(api)["healthyNodes"] == 4
    set_ready(api, "node-a", "Unknown", since=301)
    check(api, times=2)
    assert remediated(api) == ["node-a"]
    assert (status(api)["phase"], status(api)["healthyNodes"]) == ("Remediating", 3)
    assert list(status(api)["inFlightRemediations"]) == ["node-a"]
    spec = api.there(FENCE_AGENTS_REMEDIATION, REMEDIATION)["spec"]
    assert (spec["agent"], spec["remediationStrategy"]) == ("fence_redfish", "OutOfServiceTaint")
    assert api.reasons(NODE_HEALTH_CHECK) == ["RemediationCreated"]


def test_a_paused_check_only_watches() -> None:
    api = cluster(lost=("node-a",), pauses=(PAUSE,))
    check(api)
    assert remediated(api) == []
    assert (status(api)["phase"], status(api)["reason"]) == ("Paused", "NHC is paused: drainproof-lab")


def test_when_too_many_are_ill_none_is_taken_away() -> None:
    """51 % of four are three: with two lost it may be the network, and power cuts would make it worse."""
    api = cluster(lost=("node-a", "node-b"))
    check(api)
    assert remediated(api) == []


def test_the_remediation_ends_when_the_node_is_well() -> None:
    api = cluster(lost=("node-a",))
    check(api)
    set_ready(api, "node-a", "True")
    check(api, times=2)
    assert remediated(api) == []
    assert (status(api)["phase"], status(api)["inFlightRemediations"]) == ("Enabled", {})
    assert api.reasons(NODE_HEALTH_CHECK) == ["RemediationCreated", "RemediationRemoved"]


@pytest.mark.parametrize(("text", "expected"), [("300s", 300), ("5m0s", 300), ("1h30m", 5400), ("500ms", 0.5)])
def test_durations_as_go_writes_them(text: str, expected: float) -> None:
    assert health_check.seconds(text) == expected


@dataclass
class FakeAgent:
    """Power that goes off when it is asked a second time, as a slow controller's does."""

    off_nodes: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    async def is_off(self, name: str) -> bool:
        return name in self.off_nodes

    async def off(self, name: str) -> None:
        self.asked.append(f"off {name}")
        if len(self.asked) > 1:
            self.off_nodes.add(name)

    async def on(self, name: str) -> None:
        self.asked.append(f"on {name}")
        self.off_nodes.discard(name)


def taints(api: FakeApi) -> set[str]:
    return {taint["key"] for taint in api.there(NODE, "node-a")["spec"].get("taints", [])}


def told(api: FakeApi, type_: str) -> str:
    found = condition(api.there(FENCE_AGENTS_REMEDIATION, REMEDIATION), type_)
    assert found is not None
    return str(found["status"])


def under_remediation() -> tuple[FakeApi, FakeAgent, remediation.Fencing]:
    api = cluster(lost=("node-a",))
    api.given(POD, running_pod("launcher", api.given(VIRTUAL_MACHINE_INSTANCE, vmi()), "node-a"))
    check(api)
    agent = FakeAgent()
    return api, agent, remediation.Fencing(agent)


def test_pods_are_given_up_only_once_the_node_is_off() -> None:
    """Before that the guest may live, and a second one would write to the same disk."""
    api, agent, fencing = under_remediation()
    reconcile(api, fencing.reconcile, REMEDIATION, times=3)
    assert agent.asked == ["off node-a", "off node-a"]
    assert (told(api, "FenceAgentActionSucceeded"), taints(api)) == ("Unknown", {remediation.TAINT})
    reconcile(api, fencing.reconcile, REMEDIATION, times=2)
    assert (told(api, "FenceAgentActionSucceeded"), told(api, "Succeeded")) == ("True", "Unknown")
    assert taints(api) == {remediation.TAINT, OUT_OF_SERVICE}
    assert "node-a" in agent.off_nodes


def test_the_power_comes_back_once_the_pods_are_gone() -> None:
    api, agent, fencing = under_remediation()
    reconcile(api, fencing.reconcile, REMEDIATION, times=6)
    assert "on node-a" not in agent.asked
    del api.objects["Pod", "demo/launcher"]
    assert reconcile(api, fencing.reconcile, REMEDIATION, times=2) is None
    assert agent.asked[-1] == "on node-a"
    assert taints(api) == {remediation.TAINT}
    assert (told(api, "Succeeded"), told(api, "Processing")) == ("True", "False")


def test_a_remediation_that_is_called_off_leaves_nothing() -> None:
    """However far it had come: no taint stays, and the node has power."""
    for steps in range(1, 8):
        api, agent, fencing = under_remediation()
        reconcile(api, fencing.reconcile, REMEDIATION, times=steps)
        api.there(FENCE_AGENTS_REMEDIATION, REMEDIATION)["metadata"]["deletionTimestamp"] = stamp()
        reconcile(api, fencing.reconcile, REMEDIATION)
        assert (taints(api), agent.off_nodes, remediated(api)) == (set(), set(), [])
