"""Cleaning up after dead runs, on the lab's real API server: as the cluster's own journal tells, from any machine."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from drainproof.allowed import Allowed, NotAllowedError, allowed_nodes
from drainproof.api import (
    CONFIG_MAPS,
    LEASES,
    MIGRATION_POLICIES,
    NAMESPACES,
    NODE_HEALTH_CHECKS,
    NODES,
    PODS,
    SECRETS,
    VOLUME_SNAPSHOT_CONTENTS,
    Cluster,
)
from drainproof.cleanup import NOTHING, closed, leavings_in
from drainproof.cleanup_command import clean_up
from drainproof.errors import ApiError, CannotRunError, NotFoundError
from drainproof.heartbeat import Heartbeat, Pulses, pulses
from drainproof.journal import Journal
from drainproof.journal.copy import ClusterCopy
from drainproof.leases import NodeClaims
from drainproof.namespaces import create_namespace
from drainproof.node import Node
from drainproof.ownership import RUN, UNTIL, WHO, Owner, run_of
from drainproof.run_cluster import Bounds, RunCluster
from drainproof.target import Target
from fixtures.run_life import alive
from tests.contract.finalizing import finalizing
from tests.contract.server import ApiServer
from tests.unit.harness.fakes import FakeClock

CONTROL = "default"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class ARun:
    """A run on the server, as its harness would have it."""

    cluster: RunCluster
    run_id: str
    allowed: Allowed
    journal: Journal = field(init=False)
    heartbeat: Heartbeat = field(init=False)

    def __post_init__(self) -> None:
        owner = Owner(self.run_id, "somebody@somewhere", 3600)
        self.cluster.keep_to(Bounds(owner, self.allowed, CONTROL))
        copy = ClusterCopy(self.cluster, CONTROL, self.run_id)
        self.journal = Journal(copy=copy)
        self.heartbeat = Heartbeat(self.cluster, CONTROL, self.run_id, 8, lambda: LONG_AGO)
        self.heartbeat.begin()
        copy.begin(owner)
        self.journal.opened("", "", lab=False, control_namespace=CONTROL)

    @property
    def namespace(self) -> str:
        return f"drainproof-{self.run_id}"

    def cordon(self, node: str) -> None:
        self.journal.cordon(node)
        Node(self.cluster, node).cordon()


@pytest.fixture
def admin(api_server: ApiServer) -> Cluster:
    return Cluster.connect(api_server.config.kubeconfig)


@pytest.fixture
def a_run(api_server: ApiServer, node: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ARun]:
    """A run that may disturb one node, and whose process and heartbeat are dead."""
    monkeypatch.setattr("drainproof.cleanup._process_lives", lambda opening: False)
    run = ARun(RunCluster.connect(api_server.config.kubeconfig), f"r-{uuid.uuid4().hex[:8]}", Allowed((node,)))
    with finalizing(api_server):
        yield run
        found = leavings_in(Cluster.connect(api_server.config.kubeconfig), CONTROL, "", look=at_once)
        found.undone(lambda _: None, lambda _: None)


def at_once(cluster: Cluster, namespace: str) -> Pulses:
    """Nobody need wait for a second look here: the clock is a fake one."""
    return pulses(cluster, namespace, clock=FakeClock())


def cleaned(cluster: Cluster) -> tuple[list[str], list[str], bool]:
    """What a cleanup does and what it cannot do."""
    told: list[str] = []
    troubles: list[str] = []
    good = leavings_in(cluster, CONTROL, "", look=at_once).undone(told.append, troubles.append)
    return told, troubles, good


def unschedulable(cluster: Cluster, node: str) -> bool:
    return bool(cluster.get(NODES, node).get("spec", {}).get("unschedulable"))


def left_of(cluster: Cluster, run_id: str) -> list[str]:
    """Every object that names the run."""
    kinds = (NAMESPACES, CONFIG_MAPS, LEASES, MIGRATION_POLICIES)
    return [
        f"{kind.kind} {item['metadata']['name']}" for kind in kinds for item in cluster.items(kind)
        if run_of(item) == run_id or run_id in item["metadata"]["name"]
    ]


def test_all_of_a_dead_run_is_undone_from_anywhere_and_only_once(admin: Cluster, a_run: ARun, node: str) -> None:
    """Cordon, taint, namespace, policy, claim, journal and heartbeat; somebody's own taint stays."""
    Node(admin, node).taint("somebody", "theirs", "PreferNoSchedule")
    a_run.cordon(node)
    a_run.journal.taint(node, "mine")
    Node(a_run.cluster, node).taint("mine", "yes", "NoSchedule")
    create_namespace(a_run.cluster, a_run.namespace, a_run.journal)
    a_run.cluster.apply(SECRETS, {"metadata": {"name": "init"}, "stringData": {"a": "b"}}, a_run.namespace)
    policy = f"{a_run.namespace}-1"
    a_run.journal.creating(MIGRATION_POLICIES.path(name=policy))
    a_run.cluster.create(MIGRATION_POLICIES, {"metadata": {"name": policy}, "spec": {"selectors": {}}})
    assert left_of(admin, a_run.run_id)
    told, troubles, good = cleaned(admin)
    assert (troubles, good) == ([], True)
    assert f"run {a_run.run_id}: node {node} uncordoned" in told
    assert not unschedulable(admin, node)
    assert [taint["key"] for taint in admin.get(NODES, node)["spec"]["taints"]] == ["somebody"]
    assert left_of(admin, a_run.run_id) == []
    assert cleaned(admin) == ([], [], True)


def test_what_was_journalled_and_never_done_is_no_trouble(admin: Cluster, a_run: ARun, node: str) -> None:
    """The run died between its word and its deed."""
    a_run.journal.cordon(node)
    a_run.journal.taint(node, "mine")
    a_run.journal.namespace(a_run.namespace)
    a_run.journal.creating(MIGRATION_POLICIES.path(name="never"))
    a_run.journal.cordon("no-such-node")
    assert cleaned(admin)[1:] == ([], True)
    assert left_of(admin, a_run.run_id) == []


def test_a_cleanup_that_died_is_gone_on_with(admin: Cluster, a_run: ARun, node: str) -> None:
    """Every step is taken down as it is done; whatever comes after the death comes with the next cleanup."""
    a_run.cordon(node)
    create_namespace(a_run.cluster, a_run.namespace, a_run.journal)
    (_, first), *_ = leavings_in(admin, CONTROL, "", look=at_once).steps
    first.do()
    assert not unschedulable(admin, node)
    Node(admin, node).cordon()
    told, _, good = cleaned(admin)
    assert good
    assert unschedulable(admin, node), "this cordon is somebody's own"
    assert not [line for line in told if "uncordoned" in line]
    Node(admin, node).uncordon()


def test_a_run_that_lives_is_named_and_left_alone(admin: Cluster, a_run: ARun, node: str) -> None:
    """By its heartbeat, or by a claim that is renewed."""
    a_run.cordon(node)
    replace(a_run.heartbeat, now=lambda: datetime.now(UTC)).renew()
    found = leavings_in(admin, CONTROL, "", look=at_once)
    assert found.alive == [f"run {a_run.run_id} renews its leases and is left alone"]
    assert a_run.run_id not in found.runs
    assert unschedulable(admin, node)
    a_run.heartbeat.renew()
    NodeClaims(
        a_run.cluster, f"{a_run.run_id}/case", a_run.journal, allowed=a_run.allowed, namespace=CONTROL,
    )._take(node)
    assert len(leavings_in(admin, CONTROL, "", look=at_once).alive) == 1
    admin.delete(LEASES, f"drainproof-node-{node}", CONTROL)


def test_who_renews_by_another_clock_is_not_dead(admin: Cluster, a_run: ARun) -> None:
    """Its times seem long past; that it has renewed between two looks is what counts."""

    @dataclass(kw_only=True)
    class Meanwhile(FakeClock):
        def sleep(self, seconds: float) -> None:
            replace(a_run.heartbeat, now=lambda: LONG_AGO + timedelta(seconds=3)).renew()
            super().sleep(seconds)

    assert pulses(admin, CONTROL, clock=Meanwhile()).is_alive(a_run.run_id)
    assert not pulses(admin, CONTROL, clock=FakeClock()).is_alive(a_run.run_id)


def test_a_labelled_namespace_of_a_dead_run_goes_without_a_journal(admin: Cluster, a_run: ARun) -> None:
    """Its journal was deleted by somebody; a namespace of the same name without the label is nobody's business."""
    create_namespace(a_run.cluster, a_run.namespace, a_run.journal)
    admin.create(NAMESPACES, {"metadata": {"name": f"{a_run.namespace}-theirs"}})
    closed(a_run.journal, a_run.heartbeat)
    assert cleaned(admin)[2]
    assert left_of(admin, a_run.run_id) == [f"Namespace {a_run.namespace}-theirs"]
    admin.delete(NAMESPACES, f"{a_run.namespace}-theirs")


def test_a_node_that_another_run_claims_by_now_is_left_to_it(admin: Cluster, a_run: ARun, node: str) -> None:
    a_run.cordon(node)
    renewed = "2999-01-01T00:00:00.000000Z"
    spec = {"holderIdentity": "other/case", "leaseDurationSeconds": 60, "renewTime": renewed}
    admin.create(LEASES, {"metadata": {"name": f"drainproof-node-{node}"}, "spec": spec}, CONTROL)
    told, _, good = cleaned(admin)
    assert good
    assert any(f"node {node} is claimed by other/case now" in line for line in told)
    assert unschedulable(admin, node)
    admin.delete(LEASES, f"drainproof-node-{node}", CONTROL)


def test_a_claim_made_while_somebody_thought_about_it_counts(admin: Cluster, a_run: ARun, node: str) -> None:
    """Between what is said and what is done lies a question; for a node's power and taint as for its cordon."""
    a_run.cordon(node)
    a_run.journal.power_off(node)
    a_run.journal.taint(node, "mine")
    Node(a_run.cluster, node).taint("mine", "yes", "NoSchedule")
    found = leavings_in(admin, CONTROL, "", look=at_once)
    spec = {"holderIdentity": "other/case", "leaseDurationSeconds": 60, "renewTime": "2999-01-01T00:00:00.000000Z"}
    admin.create(LEASES, {"metadata": {"name": f"drainproof-node-{node}"}, "spec": spec}, CONTROL)
    told: list[str] = []
    assert found.undone(told.append, told.append)
    assert len([line for line in told if "is claimed by other/case now and left to it" in line]) == 3
    assert unschedulable(admin, node)
    assert "mine" in [taint["key"] for taint in admin.get(NODES, node)["spec"]["taints"]]
    admin.delete(LEASES, f"drainproof-node-{node}", CONTROL)


def test_a_run_that_begins_while_the_cluster_is_looked_at_is_not_dead(
    admin: Cluster, a_run: ARun, api_server: ApiServer, node: str
) -> None:
    """Its journal must not be seen without the heartbeat that was there before it."""
    began: list[ARun] = []

    def slow(cluster: Cluster, namespace: str) -> Pulses:
        seen = at_once(cluster, namespace)
        run = ARun(RunCluster.connect(api_server.config.kubeconfig), f"r-{uuid.uuid4().hex[:8]}", Allowed((node,)))
        create_namespace(run.cluster, run.namespace, run.journal)
        began.append(run)
        return seen

    found = leavings_in(admin, CONTROL, "", look=slow)
    assert a_run.run_id in found.runs
    assert began[0].run_id not in found.runs


def test_a_cordon_that_somebody_has_set_since_is_left(admin: Cluster, api_server: ApiServer, a_run: ARun) -> None:
    """The cluster knows who has set it; the node was uncordoned by hand after the run died, and cordoned later."""
    node = a_run.allowed.nodes[0]
    # The lab's server keeps managers from the first apply on, as real ones do from the making of an object.
    admin.apply(NODES, {"metadata": {"name": node, "labels": {"example": "yes"}}})
    a_run.cordon(node)
    for value in (None, True):
        path = f"/api/v1/nodes/{node}?fieldManager=kubectl-cordon"
        merge = {"Content-Type": "application/merge-patch+json"}
        assert api_server.call("PATCH", path, {"spec": {"unschedulable": value}}, headers=merge).status == 200
    told, _, good = cleaned(admin)
    assert good
    assert f"run {a_run.run_id}: node {node} was cordoned by kubectl-cordon since and is left alone" in told
    assert unschedulable(admin, node)


@pytest.mark.parametrize("entry", [
    {"do": "namespace", "name": "theirs"}, {"do": "create", "name": "/api/v1/namespaces/theirs"},
])
def test_a_journal_that_somebody_has_written_deletes_nothing_of_others(
    admin: Cluster, a_run: ARun, entry: dict[str, str]
) -> None:
    """Who may write ConfigMaps in the control namespace gets no administrator to delete what he may not delete."""
    name = f"theirs-{uuid.uuid4().hex[:6]}"
    admin.create(NAMESPACES, {"metadata": {"name": name}})
    forged = {**entry, "name": entry["name"].replace("theirs", name), "t": 1}
    data = {"forged": json.dumps(forged), "torn": '{"do": "cordon"}'}
    admin.patch(CONFIG_MAPS, f"drainproof-run-{a_run.run_id}", {"data": data}, CONTROL)
    assert cleaned(admin)[2]
    assert admin.find(NAMESPACES, name) is not None
    admin.delete(NAMESPACES, name)


def test_the_name_of_no_node_goes_to_no_power_controller(admin: Cluster, a_run: ARun, tmp_path: Path) -> None:
    """It would be part of a URL, to which a password is sent."""
    a_run.journal.power_off("elsewhere.example/")
    facts, called = tmp_path / "facts.toml", tmp_path / "called"
    status = f'["sh", "-c", "touch {called}; echo power is on"]'
    facts.write_text(f'power = {{driver = "command", off = ["false"], on = ["true"], status = {status}}}\n')
    troubles: list[str] = []
    assert not leavings_in(admin, CONTROL, str(facts), look=at_once).undone(lambda _: None, troubles.append)
    assert "elsewhere.example/ is not the cluster's" in troubles[0]
    assert not called.exists()
    a_run.journal.powered_on("elsewhere.example/")


def test_what_was_retained_goes_though_a_cleanup_died_after_the_namespace(admin: Cluster, a_run: ARun) -> None:
    """A clone's temporary snapshot is gone before its content; nobody but a cleanup deletes that."""
    a_run.journal.namespace(a_run.namespace)
    spec = {"deletionPolicy": "Retain", "driver": "example", "source": {"snapshotHandle": "one"},
            "volumeSnapshotRef": {"name": "gone", "namespace": a_run.namespace}}
    admin.create(VOLUME_SNAPSHOT_CONTENTS, {"metadata": {"name": f"content-{a_run.run_id}"}, "spec": spec})
    assert cleaned(admin)[2]
    assert admin.find(VOLUME_SNAPSHOT_CONTENTS, f"content-{a_run.run_id}") is None


def test_two_looks_are_as_far_apart_as_a_lease_lasts(admin: Cluster, a_run: ARun) -> None:
    """Whoever lives may be held up for longer than a renewal's period; one of an hour nobody waits for."""
    clock = FakeClock()
    assert not pulses(admin, CONTROL, clock=clock).is_alive(a_run.run_id)
    assert clock.now_ns >= a_run.heartbeat.seconds * 1e9
    patient = replace(a_run.heartbeat, run_id=f"{a_run.run_id}-patient", seconds=3600)
    limits = Bounds(Owner(patient.run_id, "somebody@somewhere", 60), a_run.allowed, CONTROL)
    a_run.cluster.keep_to(limits)
    patient.begin()
    clock = FakeClock()
    assert pulses(admin, CONTROL, clock=clock).is_alive(patient.run_id)
    assert clock.now_ns < 3600e9
    patient.remove()


def test_a_namespace_that_lost_the_label_meanwhile_is_left(admin: Cluster, a_run: ARun) -> None:
    """Somebody takes the label off to keep it, before he says yes to the rest."""
    create_namespace(a_run.cluster, a_run.namespace, a_run.journal)
    closed(a_run.journal, a_run.heartbeat)
    found = leavings_in(admin, CONTROL, "", look=at_once)
    admin.patch(NAMESPACES, a_run.namespace, {"metadata": {"labels": {RUN: None}}})
    assert found.undone(lambda _: None, lambda _: None)
    assert admin.find(NAMESPACES, a_run.namespace) is not None
    admin.delete(NAMESPACES, a_run.namespace)


def test_what_cannot_be_healed_is_named_and_stays_while_the_rest_is(
    admin: Cluster, a_run: ARun, node: str, tmp_path: Path
) -> None:
    """A node without power needs its controller; the journal stays until somebody has seen to it."""
    a_run.journal.power_off(node)
    a_run.cordon(node)
    told, troubles, good = cleaned(admin)
    assert not good
    assert [line for line in troubles if "--target-facts" in line]
    assert not unschedulable(admin, node)
    assert f"ConfigMap drainproof-run-{a_run.run_id}" in left_of(admin, a_run.run_id)
    facts = tmp_path / "facts.toml"
    facts.write_text(
        'power = {driver = "command", off = ["false"], on = ["true"], status = ["echo", "power is on"]}\n'
    )
    assert leavings_in(admin, CONTROL, str(facts), look=at_once).undone(told.append, troubles.append)
    assert f"run {a_run.run_id}: node {node} powered on" in told
    assert left_of(admin, a_run.run_id) == []


def test_the_command_says_first_what_it_will_do(
    api_server: ApiServer, admin: Cluster, a_run: ARun, node: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dry run changes nothing; nor does one whose question is answered with no; then it is done, and done with."""
    monkeypatch.setenv("KUBECONFIG", str(api_server.config.kubeconfig))
    monkeypatch.setattr("drainproof.heartbeat.LOOK_AGAIN", 0.1)
    a_run.cordon(node)

    def call(**options: Any) -> tuple[bool, list[str], list[str]]:
        said: list[str] = []
        trouble: list[str] = []
        asked: dict[str, Any] = {"dry_run": False, "confirm": lambda: True, **options}
        good = clean_up(tmp_path / "none", "kubeconfig", "", say=said.append, trouble=trouble.append, **asked)
        return good, said, trouble

    good, said, _ = call(dry_run=True)
    assert good
    assert f"run {a_run.run_id}: would uncordon node {node}" in said
    assert call(confirm=lambda: False)[::2] == (False, ["nothing was done"])
    assert unschedulable(admin, node)
    good, said, trouble = call()
    assert (good, trouble) == (True, [])
    assert said.index(f"run {a_run.run_id}: will uncordon node {node}") < said.index(
        f"run {a_run.run_id}: node {node} uncordoned"
    )
    assert not unschedulable(admin, node)
    assert call()[:2] == (True, [NOTHING])


def test_nothing_that_is_not_the_run_s_can_be_changed_through_its_cluster(
    admin: Cluster, api_server: ApiServer, a_run: ARun, node: str, namespace: str
) -> None:
    """The last guard: other nodes, other namespaces, and anything at all before a run has begun."""
    admin.create(NODES, {"metadata": {"name": f"{node}-other"}})
    cluster, lease = a_run.cluster, {"metadata": {"name": "somebodys"}, "spec": {}}
    for forbidden in (
        lambda: Node(cluster, f"{node}-other").cordon(),
        lambda: Node(cluster, f"{node}-other").taint("a", "b", "NoSchedule"),
        lambda: cluster.delete(NAMESPACES, namespace),
        lambda: cluster.remove(f"/api/v1/namespaces/{namespace}"),
        lambda: cluster.remove(f"/api/v1/namespaces/{namespace}/secrets/one"),
        lambda: cluster.apply(SECRETS, {"metadata": {"name": "one"}}, namespace),
        lambda: cluster.create(LEASES, lease, CONTROL),
        lambda: cluster.delete(MIGRATION_POLICIES, "somebodys"),
        lambda: cluster.patient(1).delete(NODES, f"{node}-other"),
        lambda: RunCluster.connect(api_server.config.kubeconfig).create(NAMESPACES, {"metadata": {"name": "any"}}),
    ):
        with pytest.raises(NotAllowedError):
            forbidden()
    Node(cluster, node).cordon()
    Node(cluster, node).uncordon()
    admin.delete(NODES, f"{node}-other")


def test_pods_of_others_are_evicted_from_nodes_that_may_be_disturbed_alone(
    admin: Cluster, a_run: ARun, node: str, namespace: str
) -> None:
    """The last guard: a pod of that name may be on another node by now."""
    for name, where in (("here", node), ("there", f"{node}-other")):
        spec = {"nodeName": where, "containers": [{"name": "one", "image": "example/one"}]}
        admin.create(PODS, {"metadata": {"name": name}, "spec": spec}, namespace)
    with pytest.raises(NotAllowedError, match=f"{node}-other may not be disturbed"):
        a_run.cluster.evict("there", namespace)
    a_run.cluster.evict("here", namespace)
    with pytest.raises(NotFoundError):
        a_run.cluster.evict("gone", namespace)


def test_contents_of_others_snapshots_cannot_be_changed(admin: Cluster, a_run: ARun, namespace: str) -> None:
    """Their names tell nothing; deleted, or told to go with their snapshot, they take somebody's backup along."""
    cluster, policy = a_run.cluster, {"spec": {"deletionPolicy": "Delete"}}
    for name, of in (("snapcontent-theirs", namespace), ("snapcontent-mine", a_run.namespace)):
        spec = {"deletionPolicy": "Retain", "driver": "example", "source": {"snapshotHandle": name},
                "volumeSnapshotRef": {"name": "one", "namespace": of}}
        admin.create(VOLUME_SNAPSHOT_CONTENTS, {"metadata": {"name": name}, "spec": spec})
    for forbidden in (
        lambda: cluster.patch(VOLUME_SNAPSHOT_CONTENTS, "snapcontent-theirs", policy),
        lambda: cluster.delete(VOLUME_SNAPSHOT_CONTENTS, "snapcontent-theirs"),
        lambda: cluster.remove(VOLUME_SNAPSHOT_CONTENTS.path(name="snapcontent-theirs")),
    ):
        with pytest.raises(NotAllowedError):
            forbidden()
    cluster.patch(VOLUME_SNAPSHOT_CONTENTS, "snapcontent-mine", policy)
    cluster.delete(VOLUME_SNAPSHOT_CONTENTS, "snapcontent-mine")
    admin.delete(VOLUME_SNAPSHOT_CONTENTS, "snapcontent-theirs")


def test_of_a_health_check_only_the_labs_own_pause_is_taken(admin: Cluster, a_run: ARun) -> None:
    cluster, name = a_run.cluster, f"check-{uuid.uuid4().hex[:6]}"
    spec = {"selector": {}, "remediationTemplate": {}, "pauseRequests": ["drainproof-lab"]}
    admin.create(NODE_HEALTH_CHECKS, {"metadata": {"name": name}, "spec": spec})
    cluster.patch(NODE_HEALTH_CHECKS, name, {"spec": {"pauseRequests": []}})
    admin.patch(NODE_HEALTH_CHECKS, name, {"spec": {"pauseRequests": ["maintenance"]}})
    for forbidden in (
        lambda: cluster.patch(NODE_HEALTH_CHECKS, name, {"spec": {"pauseRequests": ["drainproof-lab"]}}),
        lambda: cluster.patch(NODE_HEALTH_CHECKS, name, {"spec": {"selector": {}}}),
        lambda: cluster.delete(NODE_HEALTH_CHECKS, name),
    ):
        with pytest.raises(NotAllowedError):
            forbidden()
    assert admin.get(NODE_HEALTH_CHECKS, name)["spec"]["pauseRequests"] == ["maintenance"]
    admin.delete(NODE_HEALTH_CHECKS, name)


def test_a_run_changes_no_other_run_s_books(a_run: ARun) -> None:
    """Its journal and its heartbeat are in the same namespace, under names that begin alike."""
    for kind in (CONFIG_MAPS, LEASES):
        with pytest.raises(NotAllowedError):
            a_run.cluster.delete(kind, "drainproof-run-other", CONTROL)


def test_what_a_run_makes_says_whose_it_is(admin: Cluster, a_run: ARun) -> None:
    create_namespace(a_run.cluster, a_run.namespace, a_run.journal)
    a_run.cluster.apply(SECRETS, {"metadata": {"name": "init", "labels": {"app": "portal"}}}, a_run.namespace)
    for made in (admin.get(NAMESPACES, a_run.namespace), admin.get(SECRETS, "init", a_run.namespace)):
        assert made["metadata"]["labels"][RUN] == a_run.run_id
        assert made["metadata"]["annotations"][WHO] == "somebody@somewhere"
        assert datetime.fromisoformat(made["metadata"]["annotations"][UNTIL]) > datetime.now(UTC)
    assert admin.get(SECRETS, "init", a_run.namespace)["metadata"]["labels"]["app"] == "portal"


def test_a_namespace_that_is_there_already_is_refused_and_left(admin: Cluster, a_run: ARun) -> None:
    """Neither adopted nor, at the end or by a cleanup, deleted."""
    admin.create(NAMESPACES, {"metadata": {"name": a_run.namespace}})
    with pytest.raises(CannotRunError, match="has not made it"):
        create_namespace(a_run.cluster, a_run.namespace, a_run.journal)
    assert cleaned(admin)[2]
    assert admin.find(NAMESPACES, a_run.namespace) is not None
    admin.delete(NAMESPACES, a_run.namespace)


def test_nodes_are_allowed_by_name_or_label_and_never_by_default(admin: Cluster, node: str) -> None:
    with pytest.raises(CannotRunError, match="No node may be disturbed"):
        allowed_nodes(admin)
    with pytest.raises(CannotRunError, match="There is no node moon"):
        allowed_nodes(admin, ["moon", node])
    assert allowed_nodes(admin, [node]).nodes == (node,)
    admin.patch(NODES, node, {"metadata": {"labels": {"drainproof.io/disruptable": "true"}}})
    found = allowed_nodes(admin)
    assert (found.nodes, found.by_label) == ((node,), True)
    assert Allowed.of_facts(json.loads(json.dumps(found.facts()))) == found
    admin.patch(NODES, node, {"metadata": {"labels": {"drainproof.io/disruptable": None}}})
    assert not found.permits(admin.get(NODES, node))


def test_a_cluster_that_keeps_no_journal_changes_nothing(admin: Cluster, a_run: ARun, node: str) -> None:
    """Its ConfigMap is gone: what would be changed could not be undone from elsewhere."""
    admin.delete(CONFIG_MAPS, f"drainproof-run-{a_run.run_id}", CONTROL)
    with pytest.raises(ApiError):
        a_run.cordon(node)
    assert not unschedulable(admin, node)


@pytest.mark.parametrize("trouble", [ApiError("PATCH", 403, "Forbidden", "no"), OSError(28, "No space left on device")])
def test_a_run_that_cannot_begin_leaves_nothing(
    admin: Cluster, a_run: ARun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    """Neither the heartbeat, which comes first, nor an empty journal."""
    run_id = f"r-{uuid.uuid4().hex[:8]}"

    def refused(*_: Any, **__: Any) -> None:
        raise trouble

    limits = Bounds(Owner(run_id, "somebody@somewhere", 60), a_run.allowed, CONTROL)
    a_run.cluster.keep_to(limits)
    journal = Journal.of(tmp_path / run_id, ClusterCopy(a_run.cluster, CONTROL, run_id))
    monkeypatch.setattr(Journal, "opened", refused)
    expected = CannotRunError if isinstance(trouble, ApiError) else OSError
    target = Target(name="fake", address_pool=("10.0.0.1",))
    with pytest.raises(expected), alive(a_run.cluster, target, journal, limits, 60, "", lambda _: None):
        pytest.fail("it began")
    assert left_of(admin, run_id) == []


def test_what_somebody_else_has_made_meanwhile_under_a_journalled_name_is_left(admin: Cluster, a_run: ARun) -> None:
    """The run died before it made them; what is there now bears no label of it."""
    policy = f"{a_run.namespace}-1"
    a_run.journal.namespace(a_run.namespace)
    a_run.journal.creating(MIGRATION_POLICIES.path(name=policy))
    admin.create(NAMESPACES, {"metadata": {"name": a_run.namespace}})
    admin.create(MIGRATION_POLICIES, {"metadata": {"name": policy}, "spec": {"selectors": {}}})
    assert cleaned(admin)[2]
    assert admin.find(NAMESPACES, a_run.namespace) is not None
    assert admin.find(MIGRATION_POLICIES, policy) is not None
    admin.delete(NAMESPACES, a_run.namespace)
    admin.delete(MIGRATION_POLICIES, policy)
