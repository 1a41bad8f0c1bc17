"""Which cases can run on what was found: every reason with its remedy, and only for the cases that it concerns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from drainproof.api import MIGRATION_POLICIES, NETWORK_CHAOS, NODE_HEALTH_CHECKS
from drainproof.entry import EntryFacts
from drainproof.errors import CannotRunError
from drainproof.prometheus import PrometheusError
from drainproof.rights import RULES
from drainproof.settings import Portal, Profile
from drainproof.target import PowerFacts, PrometheusFacts, StorageFacts, StorageServerFacts, Target
from fixtures.preflight import check, requirements
from fixtures.preflight.access import Lack, Rights
from fixtures.preflight.cases import CaseNeeds
from fixtures.preflight.check import preflight
from fixtures.preflight.claims import Claim
from fixtures.preflight.discovery import discover
from fixtures.preflight.judgement import State, by_suite, judge, stopping
from fixtures.preflight.reasons import Context, Effect
from tests.unit.preflight.sites import GROUPS, Answers, Site, node, openshift, plain, pod, storage_profile

TARGET = Target(
    name="site", guest_image="registry.example/guest:1", address_pool=("10.0.0.1", "10.0.0.2", "10.0.0.3"),
    storage_classes=StorageFacts(shared="ceph"), prometheus=PrometheusFacts(),
)
PROFILE = Profile(name="made")
DRAIN = CaseNeeds("suites/high_availability/test_drain.py::test_drain", "high_availability")
DISK = CaseNeeds("suites/storage/test_moved.py::test_disk", "storage", features=frozenset({"storage"}))
ALL = Rights(0, ())


@pytest.fixture(autouse=True)
def prometheus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "Prometheus", Answers)


def context(site: Site | None = None, target: Target = TARGET, profile: Profile = PROFILE, **more: Any) -> Context:
    site = site or Site()
    found = discover(site.cluster, "default")
    return Context(**{"cluster": site.cluster, "target": target, "profile": profile, "discovery": found,
                      "rights": ALL, **more})


def reasons(given: Context, *cases: CaseNeeds, effect: Effect = Effect.STOPS) -> list[str]:
    judged = judge(given, cases or (DRAIN,))
    return list(dict.fromkeys(str(one) for each in judged for one in each.reasons if one.effect == effect))


def held(*nodes: str) -> dict[str, Claim]:
    return {name: Claim(name, "run-1/case", "ann@host", "2026-01-02T03:04:05Z") for name in nodes}


def test_a_cluster_with_all_that_is_needed_runs_it() -> None:
    judged = judge(context(), (DRAIN, DISK))
    assert [one.reasons for one in judged] == [(), ()]
    assert [one.state for one in by_suite(judged)] == [State.CAN, State.CAN]


def test_too_few_nodes_are_told_with_what_the_others_lack() -> None:
    nodes = [node("node-a"), node("node-b"), node("node-c", unschedulable=True)]
    (reason,) = reasons(context(Site({**plain(), "nodes": nodes})))
    assert reason == (
        "4 schedulable nodes are needed, Kubernetes v1.35.3 at https://site.example:6443 has 2 that may be disturbed; "
        "uncordon or add nodes (node-c is cordoned)."
    )


def test_nodes_that_others_claim_come_back() -> None:
    nodes = [*(node(f"node-{one}") for one in "abc"), node("node-d", unschedulable=True)]
    site = Site({**plain(), "nodes": nodes})
    assert len(reasons(context(site))) == 1
    assert reasons(context(site, held=held("node-d"))) == []


def test_who_claims_the_nodes_and_until_when_is_told() -> None:
    """Then nothing can run now; a run waits, and is not refused. Nodes that are left over may be anybody's."""
    site = Site({**plain(), "nodes": [node(f"node-{one}") for one in "abcde"]})
    given = context(site, held=held("node-b", "node-d"))
    (reason,) = reasons(given, effect=Effect.WAITS)
    assert reason == (
        "Other runs claim nodes that may be disturbed, and 3 of the 4 that are needed are free: node-b, node-d by "
        "run-1/case of ann@host until 2026-01-02T03:04:05Z at the latest; wait for that, which a run does for 3600 s "
        "(budgets.claim of the profile)."
    )
    judged = judge(given, (DRAIN, DISK))
    assert [one.state for one in by_suite(judged)] == [State.CANNOT, State.CANNOT]
    assert [one.will_run for one in judged] == [True, True]
    assert stopping(judged) == []
    assert reasons(context(site, held=held("node-b", "elsewhere")), effect=Effect.WAITS) == []


def test_only_nodes_that_somebody_allowed_count() -> None:
    nodes = [node(f"node-{one}") for one in "abcde"]
    for one in nodes[3:]:
        del one["metadata"]["labels"]["drainproof.io/disruptable"]
    site = Site({**plain(), "nodes": nodes})
    (reason,) = reasons(context(site))
    assert "has 3 that may be disturbed, 5 of all; allow more nodes with --nodes or by label" in reason
    assert reasons(context(site, named=("node-a", "node-b", "node-d", "node-e"))) == []
    (reason, *_) = reasons(context(site, named=("node-a", "node-x")))
    assert reason == "There is no node node-x; name nodes of the cluster with --nodes."


def test_without_any_leave_nothing_is_disturbed() -> None:
    nodes = [node(f"node-{one}") for one in "abcde"]
    for one in nodes:
        del one["metadata"]["labels"]["drainproof.io/disruptable"]
    (reason,) = reasons(context(Site({**plain(), "nodes": nodes})))
    assert reason.startswith("No node may be disturbed; name those that may with --nodes a,b,c, or label them")


def test_machines_of_others_on_the_nodes_are_told() -> None:
    def vmi(name: str, on: str) -> dict[str, Any]:
        return {"metadata": {"name": name, "namespace": "shop", "uid": name}, "status": {
            "nodeName": on, "phase": "Running",
        }}

    site = Site({**plain(), "virtualmachineinstances": [vmi("till", "node-a"), vmi("web", "node-b")]})
    (reason,) = reasons(context(site))
    assert reason.startswith("Machines of others are on the nodes that may be disturbed")
    assert "shop/till on node-a" in reason
    assert reasons(context(site, bystanders=True)) == []


def test_a_class_for_one_node_alone_is_refused() -> None:
    """Unless the profile says which mode to ask for: then somebody knows better than the StorageProfile."""
    local = TARGET.model_copy(update={"storage_classes": StorageFacts(shared="local")})
    (reason,) = reasons(context(target=local))
    assert reason.startswith("Storage class local is ReadWriteOnce only, by its StorageProfile")
    told = Profile(name="made", portal=Portal(volume_mode="Block"))
    assert reasons(context(target=local, profile=told)) == []


def test_a_profile_without_sets_says_nothing_against_a_class() -> None:
    objects = plain()
    objects["storageprofiles"][0] = storage_profile("ceph")
    assert reasons(context(Site(objects))) == []


def test_a_class_that_is_not_there_is_told_with_those_that_are() -> None:
    target = TARGET.model_copy(update={"storage_classes": StorageFacts(shared="fast")})
    assert reasons(context(target=target)) == ["There is no storage class 'fast'; choose one of ceph, local."]


def test_a_portal_needs_addresses_an_image_and_prometheus_and_disks_only_the_image() -> None:
    bare = Target(name="bare", storage_classes=StorageFacts(shared="ceph"))
    told = reasons(context(target=bare))
    assert [one.partition(";")[0] for one in told] == [
        "3 guest addresses are needed", "No guest image is known", "The target names no Prometheus, and none was found",
    ]
    assert reasons(context(target=bare), DISK) == ["No guest image is known; name one in portal.image of the profile."]


def test_each_worker_needs_addresses_of_its_own() -> None:
    (reason,) = reasons(context(workers=2))
    assert reason.startswith("3 guest addresses for each of 2 workers are needed")


def test_a_prometheus_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Away(Answers):
        def now(self, query: str) -> list[dict[str, Any]]:
            raise PrometheusError("Prometheus query up: 403 Forbidden")

    monkeypatch.setattr(requirements, "Prometheus", Away)
    (reason,) = reasons(context())
    assert reason == "Prometheus query up: 403 Forbidden; check the [prometheus] table of the target."


def test_full_nodes_leave_no_place_for_the_machine_that_moves() -> None:
    """Three machines and a spare node need four with room; two of five are full."""
    pods = [pod("big", f"node-{one}", "1", "15700Mi") for one in "ab"]
    (reason,) = reasons(context(Site({**plain(), "pods": pods})))
    assert "need 4 nodes with 0.2 cores and 822 MiB left; such are: node-c, node-d, node-e" in reason
    assert reasons(context(Site({**plain(), "pods": pods})), DISK) == []
    assert reasons(context(Site({**plain(), "pods": pods[:1]}))) == []


def test_room_that_nobody_can_tell_refuses_nothing() -> None:
    assert reasons(context(Site(refused={"pods": 403}))) == []


def test_nobody_may_be_known_to_give_addresses() -> None:
    """That is told, and refuses nothing: kube-vip or a CNI may do it without a trace."""
    objects = plain()
    del objects["ipaddresspools"]
    given = context(Site(objects))
    (reason,) = reasons(given, effect=Effect.UNSURE)
    assert reason.startswith("Nothing was found that gives Services of type LoadBalancer an address")
    (judged,) = judge(given, (DRAIN,))
    assert judged.can_run
    route = TARGET.model_copy(update={"entry": EntryFacts(kind="route")})
    assert reasons(context(Site(objects), route), effect=Effect.UNSURE) == []


def test_a_cluster_without_kubevirt_is_refused() -> None:
    (reason,) = reasons(context(Site(groups=("apps",))))
    assert reason.startswith("The cluster does not serve kubevirt.io")


@pytest.mark.parametrize(
    ("case", "told"),
    [
        (replace(DRAIN, apis=(NETWORK_CHAOS,)), "does not serve networkchaos of chaos-mesh.org/v1alpha1"),
        (replace(DRAIN, features=frozenset({"power"})), "names no way to power nodes"),
        (replace(DRAIN, features=frozenset({"no_operator"})), "NodeHealthCheck workers is not paused"),
        (replace(DRAIN, features=frozenset({"may_disturb"})), "do not let its API be disturbed"),
        (replace(DISK, features=DISK.features | {"storage_server"}), "no way to disturb the server of storage class"),
        (replace(DISK, features=DISK.features | {"storage_failover"}), "no way to disturb the server of storage class"),
    ],
    ids=["api", "power", "operator", "api-chaos", "server", "failover"],
)
def test_what_one_case_lacks_leaves_it_out(case: CaseNeeds, told: str) -> None:
    """The run takes place without it."""
    given = context()
    (reason,) = reasons(given, case, effect=Effect.SKIPS)
    assert told in reason
    other = replace(case, test="other", apis=(), features=case.features & {"storage"})
    (suite,) = by_suite(judge(given, (case, other)))
    assert (suite.state, suite.runnable, suite.cases) == (State.PARTLY, 1, 2)
    assert stopping(judge(given, (case, other))) == []


def test_what_the_target_offers_leaves_nothing_out() -> None:
    disturbed = StorageServerFacts(pause=("a",), resume=("b",), status=("c",))
    target = TARGET.model_copy(update={
        "power": PowerFacts(driver="command", off=("a",), on=("b",), status=("c",)),
        "storage_servers": {"ceph": disturbed},
    })
    given = context(target=target)
    assert reasons(given, replace(DRAIN, features=frozenset({"power"})), effect=Effect.SKIPS) == []
    assert reasons(given, replace(DISK, features=frozenset({"storage", "storage_server"})), effect=Effect.SKIPS) == []
    (reason,) = reasons(given, replace(DISK, features=frozenset({"storage", "storage_failover"})), effect=Effect.SKIPS)
    assert reason.startswith("The target names no way to fail the storage server over")


def test_nodes_that_refuse_post_copy_leave_it_out() -> None:
    objects = plain()
    objects["nodes"][1]["metadata"]["annotations"] = {"drainproof.dev/post-copy-unavailable": "no userfaultfd"}
    case = replace(DRAIN, features=frozenset({"post_copy"}))
    (reason,) = reasons(context(Site(objects)), case, effect=Effect.SKIPS)
    assert "node-b: no userfaultfd" in reason


def test_snapshots_need_a_class_of_the_same_driver() -> None:
    objects = plain()
    objects["volumesnapshotclasses"][0]["driver"] = "another"
    case = replace(DISK, features=frozenset({"storage", "snapshots"}))
    (reason,) = reasons(context(Site(objects)), case, effect=Effect.SKIPS)
    assert "No VolumeSnapshotClass has the driver rbd.csi.ceph.com of storage class ceph" in reason
    assert reasons(context(), case, effect=Effect.SKIPS) == []


def test_a_missing_right_stops_the_cases_that_need_it_and_no_others() -> None:
    """Of the rule only the verbs that are missing are told."""
    policies = next(rule for rule in RULES if rule.resource == MIGRATION_POLICIES)
    migrate = CaseNeeds("suites/live_migration/test_migrate.py::test_one", "live_migration")
    limited = replace(migrate, test="test_policy", apis=(MIGRATION_POLICIES,))
    given = context(rights=Rights(80, (Lack(policies, ("delete",)),)))
    assert reasons(given, migrate, DRAIN) == []
    (reason,) = reasons(given, limited)
    assert reason == (
        "The account lacks delete migrationpolicies of migrations.kubevirt.io at cluster scope, and migrations are "
        "slowed down and limited; apply deploy/rbac/live_migration.yaml."
    )


def test_who_has_to_see_operators_needs_the_right_to() -> None:
    """The lab's own check is paused, and nobody asks."""
    rule = next(one for one in RULES if one.resource == NODE_HEALTH_CHECKS)
    rights = Rights(80, (Lack(rule, ("list",)),))
    case = replace(DRAIN, features=frozenset({"no_operator"}))
    assert len(reasons(context(rights=rights), case)) == 1
    assert reasons(context(target=TARGET.model_copy(update={"is_lab": True}), rights=rights), case) == []


def test_a_right_that_only_tells_something_stops_nothing() -> None:
    lacks = tuple(Lack(rule, rule.verbs) for rule in RULES if not rule.vital)
    assert len(lacks) > 5
    assert reasons(context(rights=Rights(80, lacks)), DRAIN, DISK) == []


def test_the_check_tells_everything_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes, class, image, addresses, Prometheus: one message."""
    monkeypatch.setattr(check, "reviewer", lambda cluster: lambda attributes: {"allowed": True})
    site = Site({**plain(), "nodes": [node("node-a")]})
    bare = Target(name="bare", storage_classes=StorageFacts(shared="fast"))
    with pytest.raises(CannotRunError) as refused:
        preflight(site.cluster, bare, PROFILE, (DRAIN,))
    assert len(refused.value.reasons) == 5
    found = preflight(Site(openshift(), (*GROUPS, "config.openshift.io")).cluster, TARGET, PROFILE, (DRAIN, DISK))
    assert found.versions.openshift == "4.22.3"


def test_a_missing_right_to_see_claims_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "reviewer", lambda cluster: lambda attributes: {"allowed": True})
    assert preflight(Site(refused={"leases": 403}).cluster, TARGET, PROFILE, (DRAIN,)).server.startswith("https://")
