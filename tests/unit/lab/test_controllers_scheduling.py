"""Where the scheduler puts pods, and what it says when it cannot."""

from __future__ import annotations

from typing import Any, cast

import pytest

from lab.client import Client, Informer, Object
from lab.config import LabConfig
from lab.controllers import scheduler, scoring
from lab.controllers.scheduling import Snapshot, fits, refusal_message
from lab.kinds import NODE, PERSISTENT_VOLUME_CLAIM, POD, STORAGE_CLASS
from lab.machinery.cluster import Cluster
from lab.machinery.events import Recorder
from lab.machinery.objects import condition, node_name
from tests.unit.lab.controllers_fake import FakeApi, node, reconcile

HOSTNAME = "kubernetes.io/hostname"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def pod(name: str, on: str = "", app: str = "portal", memory: str = "512Mi", **spec: Any) -> Object:
    container = {"name": "compute", "resources": {"requests": {"cpu": "100m", "memory": memory}}}
    body = {"containers": [container], **spec}
    if on:
        body["nodeName"] = on
    return {"metadata": {"name": name, "namespace": "demo", "labels": {"app": app}}, "spec": body}


def apart(app: str = "portal") -> Object:
    term = {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": HOSTNAME}
    return {"podAntiAffinity": {REQUIRED: [term]}}


def refusals(wanted: Object, *nodes: Object, pods: tuple[Object, ...] = ()) -> dict[str, Any]:
    snapshot = Snapshot.of(nodes, pods)
    found = {entry["metadata"]["name"]: fits(wanted, entry, snapshot) for entry in nodes}
    return {name: refusal for name, refusal in found.items() if refusal}


def test_a_cordoned_node_is_named_before_its_taint() -> None:
    """The unschedulable filter runs first, as in the real scheduler."""
    taint = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    found = refusals(pod("p"), node("a", unschedulable=True, taints=[taint]))
    assert found["a"].reasons == ("node(s) were unschedulable",)


def test_the_sentence_counts_reasons_as_the_real_scheduler_does() -> None:
    """The text is that of a recorded FailedScheduling event, for two nodes."""
    wanted = pod("p", affinity=apart())
    found = refusals(wanted, node("a"), node("b", unschedulable=True), pods=(pod("other", on="a"),))
    assert refusal_message(found) == (
        "0/2 nodes are available: 1 node(s) didn't match pod anti-affinity rules, 1 node(s) were unschedulable. "
        "no new claims to deallocate, preemption: 0/2 nodes are available: "
        "1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling."
    )


def test_memory_that_no_node_has_cannot_be_cured_by_preemption() -> None:
    found = refusals(pod("p", memory="64Gi"), node("a"), node("b"))
    assert refusal_message(found) == (
        "0/2 nodes are available: 2 Insufficient memory. no new claims to deallocate, preemption: "
        "0/2 nodes are available: 2 Preemption is not helpful for scheduling."
    )


def test_bound_pods_use_up_a_node_and_finished_ones_do_not() -> None:
    """Three pods of 1500Mi do not fit on 4Gi; one that has ended leaves room."""
    full = (pod("x", on="a", memory="1500Mi"), pod("y", on="a", memory="1500Mi"))
    assert refusals(pod("p", memory="1500Mi"), node("a"), pods=full)["a"].reasons == ("Insufficient memory",)
    ended = ({**full[0], "status": {"phase": "Succeeded"}}, full[1])
    assert not refusals(pod("p", memory="1500Mi"), node("a"), pods=ended)


def test_the_anti_affinity_of_a_present_pod_counts_too() -> None:
    """A newcomer without rules is kept off by the rules of the one that is there."""
    found = refusals(pod("p"), node("a"), pods=(pod("guard", on="a", app="other", affinity=apart()),))
    assert found["a"].reasons == ("node(s) didn't satisfy existing pods anti-affinity rules",)


def test_anti_affinity_of_another_namespace_needs_to_name_it() -> None:
    elsewhere = pod("other", on="a")
    elsewhere["metadata"]["namespace"] = "shop"
    wanted = pod("p", affinity=apart())
    assert not refusals(wanted, node("a"), pods=(elsewhere,))
    wanted["spec"]["affinity"]["podAntiAffinity"][REQUIRED][0]["namespaces"] = ["shop"]
    assert refusals(wanted, node("a"), pods=(elsewhere,))


def test_affinity_to_itself_lets_the_first_pod_in() -> None:
    """A group that wants to be together must be able to begin somewhere."""
    term = {"labelSelector": {"matchLabels": {"app": "portal"}}, "topologyKey": HOSTNAME}
    wanted = pod("p", affinity={"podAffinity": {REQUIRED: [term]}})
    assert not refusals(wanted, node("a"), node("b"))
    assert set(refusals(wanted, node("a"), node("b"), pods=(pod("first", on="b"),))) == {"a"}


@pytest.mark.parametrize(("toleration", "refused"), [
    ({}, True),
    ({"key": "gpu", "operator": "Exists"}, False),
    ({"key": "gpu", "operator": "Equal", "value": "b", "effect": "NoSchedule"}, True),
    ({"operator": "Exists"}, False),
])
def test_taints_are_tolerated_by_key_value_and_effect(toleration: Object, refused: bool) -> None:
    tainted = node("a", taints=[{"key": "gpu", "value": "a", "effect": "NoSchedule"}])
    wanted = pod("p", tolerations=[toleration] if toleration else [])
    assert bool(refusals(wanted, tainted)) is refused


def test_a_node_selector_and_node_affinity_must_both_hold() -> None:
    zone = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["1"]}]}]}
    wanted = pod("p", nodeSelector={"kubevirt.io/schedulable": "true"}, affinity={"nodeAffinity": {REQUIRED: zone}})
    inside = node("a")
    inside["metadata"]["labels"]["zone"] = "1"
    assert set(refusals(wanted, inside, node("b"))) == {"b"}


def test_preferences_decide_and_then_the_emptier_node() -> None:
    term = {"labelSelector": {"matchLabels": {"app": "portal"}}, "topologyKey": HOSTNAME}
    shy = pod("p", affinity={"podAntiAffinity": {PREFERRED: [{"weight": 100, "podAffinityTerm": term}]}})
    nodes = [node("a"), node("b")]
    alike = Snapshot.of(nodes, [pod("x", on="a")])
    assert scoring.best(shy, nodes, alike)["metadata"]["name"] == "b"
    loaded = Snapshot.of(nodes, [pod("x", on="a", app="other", memory="2Gi")])
    assert scoring.best(pod("p"), nodes, loaded)["metadata"]["name"] == "b"


def test_three_pods_that_avoid_each_other_get_three_nodes() -> None:
    """Placements see each other although no watch event has come between them."""
    api = FakeApi()
    for name in "abcd":
        api.given(NODE, node(name))
    for at in range(3):
        api.given(POD, pod(f"p{at}", affinity=apart()))
    reconcile(api, scheduler.Scheduler().reconcile, "pods")
    assert len({node_name(entry) for entry in api.all(POD)} - {""}) == 3
    assert api.reasons(POD) == ["Scheduled"] * 3


def test_a_refusal_is_told_once_and_lifted_when_a_node_comes() -> None:
    api = FakeApi()
    api.given(NODE, node("a", unschedulable=True))
    api.given(POD, pod("p"))
    reconcile(api, scheduler.Scheduler().reconcile, "pods", times=3)
    assert api.reasons(POD) == ["FailedScheduling"]
    told = condition(api.there(POD, "demo/p"), "PodScheduled")
    assert told is not None
    assert (told["status"], told["reason"]) == ("False", "Unschedulable")
    api.given(NODE, node("b"))
    reconcile(api, scheduler.Scheduler().reconcile, "pods")
    assert node_name(api.there(POD, "demo/p")) == "b"


def test_a_claim_that_waits_for_its_consumer_gets_the_node_first() -> None:
    """The pod is bound only once the volume is there."""
    api = FakeApi()
    api.given(NODE, node("a"))
    api.given(STORAGE_CLASS, {"metadata": {"name": "lab-local"}, "volumeBindingMode": "WaitForFirstConsumer"})
    claim = {"metadata": {"name": "data"}, "spec": {"storageClassName": "lab-local"}, "status": {"phase": "Pending"}}
    api.given(PERSISTENT_VOLUME_CLAIM, claim)
    api.given(POD, pod("p", volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]))
    reconcile(api, scheduler.Scheduler().reconcile, "pods")
    marks = api.there(PERSISTENT_VOLUME_CLAIM, "demo/data")["metadata"]["annotations"]
    assert marks == {"volume.kubernetes.io/selected-node": "a"}
    assert node_name(api.there(POD, "demo/p")) == ""


def test_pods_whose_volumes_are_still_being_made_avoid_each_other() -> None:
    """A node that was chosen for a claim is taken, although its pod is not bound yet."""
    api = FakeApi()
    for name in "abc":
        api.given(NODE, node(name))
    api.given(STORAGE_CLASS, {"metadata": {"name": "lab-local"}, "volumeBindingMode": "WaitForFirstConsumer"})
    for at in range(3):
        spec = {"storageClassName": "lab-local"}
        claim = {"metadata": {"name": f"data-{at}"}, "spec": spec, "status": {"phase": "Pending"}}
        api.given(PERSISTENT_VOLUME_CLAIM, claim)
        volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": f"data-{at}"}}]
        api.given(POD, pod(f"p{at}", affinity=apart(), volumes=volumes))
    reconcile(api, scheduler.Scheduler().reconcile, "pods", times=2)
    claims = api.all(PERSISTENT_VOLUME_CLAIM)
    chosen = [item["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] for item in claims]
    assert sorted(chosen) == ["a", "b", "c"]


def test_a_missing_claim_is_named() -> None:
    api = FakeApi()
    api.given(NODE, node("a"))
    api.given(POD, pod("p", volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "absent"}}]))
    reconcile(api, scheduler.Scheduler().reconcile, "pods")
    assert 'persistentvolumeclaim "absent" not found' in api.events[0][2]


def test_what_is_on_a_node_is_summed_up_anew_when_the_watch_or_an_own_write_changes_it() -> None:
    """The scheduler remembers loads from one placement to the next."""
    informer = Informer(cast(Client, None), POD)
    silent = cast(Recorder, type("Silent", (), {"event": None}))
    cluster = Cluster(cast(Client, None), LabConfig(), {POD: informer}, silent)
    place, nodes = scheduler.Scheduler(), [node("a"), node("b")]

    def memory() -> dict[str, int]:
        loads = place._loads(cluster, nodes, versioned("new", 99))
        return {name: int(load.used["memory"]) >> 20 for name, load in loads.items()}

    informer._apply("ADDED", versioned("x", 1, on="a"))
    assert memory() == {"a": 512, "b": 0}
    cluster.remember(POD, versioned("y", 2, on="b"))
    assert memory() == {"a": 512, "b": 512}
    informer._apply("ADDED", versioned("y", 2, on="b"))
    assert memory() == {"a": 512, "b": 512}
    informer._apply("MODIFIED", {**versioned("x", 3, on="a"), "status": {"phase": "Succeeded"}})
    assert memory() == {"a": 0, "b": 512}
    informer._apply("DELETED", versioned("y", 4, on="b"))
    assert memory() == {"a": 0, "b": 0}


def versioned(name: str, version: int, on: str = "") -> Object:
    item = pod(name, on=on)
    item["metadata"].update(uid=f"uid-{name}", resourceVersion=str(version))
    return item
