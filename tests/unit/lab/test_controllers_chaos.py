"""Experiments: whom they select, when they run, and what of them is in force when their status says so."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

import pytest

from lab.chaos.plane import Plane
from lab.chaos.rules import Injection
from lab.client import Object
from lab.controllers import chaos, eviction
from lab.controllers.chaos import NetworkExperiments, reconcile_http
from lab.controllers.runtime import Reconcile
from lab.kinds import HTTP_CHAOS, NETWORK_CHAOS, POD
from lab.machinery.objects import condition_true, now, stamp
from tests.unit.lab.controllers_fake import FakeApi, reconcile, running_pod, vmi


class FakePlane:
    """Keeps what would be in force."""

    def __init__(self, *, broken: bool = False) -> None:
        self.applied: list[list[Injection]] = []
        self.broken = broken

    async def apply(self, injections: Sequence[Injection]) -> None:
        if self.broken:
            raise OSError("nft failed")
        self.applied.append(list(injections))


def machine(api: FakeApi, name: str, address: str, node: str = "node-a", pod: str = "") -> Object:
    owner = vmi(name)
    owner["metadata"]["uid"] = f"uid-{name}"
    body = running_pod(pod or f"virt-launcher-{name}", owner, node)
    body["metadata"]["annotations"] = {
        "lab.drainproof.dev/ip": address, "lab.drainproof.dev/mac": f"02:00:00:00:00:{address[-2:]}",
    }
    return api.given(POD, body)


def selector(name: str) -> Object:
    return {"mode": "all", "selector": {"namespaces": ["demo"], "labelSelectors": {"vm.kubevirt.io/name": name}}}


def network(api: FakeApi, **fields: Any) -> Object:
    spec = {"action": "partition", "direction": "both", "duration": "60s", **selector("a"), "target": selector("b")}
    return api.given(NETWORK_CHAOS, {"metadata": {"name": "cut"}, "spec": {**spec, **fields}})


def two_machines(api: FakeApi) -> None:
    machine(api, "a", "10.77.1.11")
    machine(api, "b", "10.77.1.12", "node-b")


def run(api: FakeApi, plane: FakePlane, times: int = 1) -> float | None:
    function = cast(Reconcile, NetworkExperiments(cast(Plane, plane)).reconcile)
    return reconcile(api, function, "demo/cut", times)


def conditions(item: Object) -> dict[str, bool]:
    return {type_: condition_true(item, type_) for type_ in ("Selected", "AllInjected", "AllRecovered", "Paused")}


def addresses(injection: Injection) -> tuple[list[str], list[str]]:
    return [peer.address for peer in injection.sources], [peer.address for peer in injection.targets]


def test_an_experiment_is_in_force_before_it_says_so() -> None:
    """Selected pods become records, their addresses are cut, the finalizer holds; it looks again at its end."""
    api, plane = FakeApi(), FakePlane()
    two_machines(api)
    network(api)
    left = run(api, plane)
    assert left is not None
    assert 50 < left <= 60
    assert [addresses(entry) for entry in plane.applied[-1]] == [(["10.77.1.11"], ["10.77.1.12"])]
    item = api.there(NETWORK_CHAOS, "demo/cut")
    assert conditions(item) == {"Selected": True, "AllInjected": True, "AllRecovered": False, "Paused": False}
    assert item["metadata"]["finalizers"] == ["chaos-mesh/records"]
    state = item["status"]["experiment"]
    assert state["desiredPhase"] == "Run"
    assert [(entry["id"], entry["selectorKey"], entry["phase"]) for entry in state["containerRecords"]] == [
        ("demo/virt-launcher-a", ".", "Injected"), ("demo/virt-launcher-b", ".Target", "Injected"),
    ]


def test_rules_that_could_not_be_set_are_never_reported() -> None:
    """The refusal of one node leaves the status without AllInjected."""
    api = FakeApi()
    two_machines(api)
    network(api)
    with pytest.raises(OSError, match="nft failed"):
        run(api, FakePlane(broken=True))
    assert "status" not in api.there(NETWORK_CHAOS, "demo/cut")


def test_a_migrated_machine_stays_hit() -> None:
    """The pod that was selected is gone and another has its address: the same addresses stay cut."""
    api, plane = FakeApi(), FakePlane()
    two_machines(api)
    network(api)
    run(api, plane)
    del api.objects["Pod", "demo/virt-launcher-a"]
    machine(api, "a", "10.77.1.11", "node-c", pod="virt-launcher-a-moved")
    run(api, plane)
    assert [addresses(entry) for entry in plane.applied[-1]] == [(["10.77.1.11"], ["10.77.1.12"])]


@pytest.mark.parametrize("end", ["duration", "pause"])
def test_the_end_recovers(end: str) -> None:
    """After the duration, or while paused, nothing is in force and the records say Not Injected."""
    api, plane = FakeApi(), FakePlane()
    two_machines(api)
    item = network(api)
    run(api, plane)
    if end == "duration":
        api.there(NETWORK_CHAOS, "demo/cut")["metadata"]["creationTimestamp"] = stamp(now() - timedelta(seconds=61))
    else:
        marks = api.there(NETWORK_CHAOS, "demo/cut")["metadata"]["annotations"]
        marks["experiment.chaos-mesh.org/pause"] = "true"
    assert run(api, plane) is None
    assert plane.applied[-1] == []
    item = api.there(NETWORK_CHAOS, "demo/cut")
    assert conditions(item) == {"Selected": True, "AllInjected": False, "AllRecovered": True, "Paused": end == "pause"}
    record = item["status"]["experiment"]["containerRecords"][0]
    assert (record["injectedCount"], record["recoveredCount"]) == (1, 1)


def test_deletion_waits_for_the_rules_to_be_gone() -> None:
    """The finalizer goes in the same write that says recovered, after the rules have."""
    api, plane = FakeApi(), FakePlane()
    two_machines(api)
    network(api)
    run(api, plane)
    api.there(NETWORK_CHAOS, "demo/cut")["metadata"]["deletionTimestamp"] = stamp()
    with pytest.raises(OSError, match="nft failed"):
        run(api, FakePlane(broken=True))
    assert ("NetworkChaos", "demo/cut") in api.objects
    run(api, plane)
    assert plane.applied[-1] == []
    assert ("NetworkChaos", "demo/cut") not in api.objects


def test_nothing_selected_is_nothing_injected() -> None:
    """An event says so, AllInjected stays false, and it is tried again."""
    api, plane = FakeApi(), FakePlane()
    machine(api, "a", "10.77.1.11")
    network(api)
    assert run(api, plane, 2) == chaos.RESELECT_SECONDS
    assert plane.applied[-1] == []
    assert conditions(api.there(NETWORK_CHAOS, "demo/cut"))["AllInjected"] is False
    assert api.reasons(NETWORK_CHAOS) == ["Failed"]


def test_one_experiment_does_not_end_another() -> None:
    """What is in force is always the whole."""
    api, plane = FakeApi(), FakePlane()
    two_machines(api)
    first = copy.deepcopy(network(api))
    function = cast(Reconcile, NetworkExperiments(cast(Plane, plane)).reconcile)
    api.given(NETWORK_CHAOS, {"metadata": {"name": "lossy"}, "spec": {
        **first["spec"], "action": "loss", "loss": {"loss": "10"}}})
    run(api, plane)
    reconcile(api, function, "demo/lossy")
    assert sorted(entry.spec["action"] for entry in plane.applied[-1]) == ["loss", "partition"]


def api_server_pod(api: FakeApi) -> None:
    meta = {
        "name": "kube-apiserver-control-plane", "namespace": "kube-system", "labels": {"component": "kube-apiserver"},
        "annotations": {"kubernetes.io/config.mirror": "lab"},
    }
    spec = {"nodeName": "control-plane", "containers": []}
    api.given(POD, {"metadata": meta, "spec": spec, "status": {"phase": "Running"}})


def test_http_chaos_selects_the_api_server_only() -> None:
    """The API server acts by the record that is written here; any other pod is no target in the lab."""
    api = FakeApi()
    api_server_pod(api)
    two_machines(api)
    of_server = {"namespaces": ["kube-system"], "labelSelectors": {"component": "kube-apiserver"}}
    for name, chosen in (("away", of_server), ("web", {"namespaces": ["demo"]})):
        spec = {"mode": "all", "selector": chosen, "target": "Request", "abort": True, "duration": "10s"}
        api.given(HTTP_CHAOS, {"metadata": {"name": name}, "spec": spec})
        reconcile(api, reconcile_http, f"demo/{name}")
    assert conditions(api.there(HTTP_CHAOS, "demo/away"))["AllInjected"]
    assert not conditions(api.there(HTTP_CHAOS, "demo/web"))["Selected"]


def test_a_mirror_pod_is_not_collected_with_its_missing_node() -> None:
    """The API server's node is no object; its pod stays however long that lasts."""
    api = FakeApi()
    api_server_pod(api)
    where = "kube-system/kube-apiserver-control-plane"
    api.there(POD, where)["metadata"]["creationTimestamp"] = stamp(now() - timedelta(hours=1))
    assert reconcile(api, eviction.CONTROLLER.reconcile, where) is None
    assert api.calls == []
