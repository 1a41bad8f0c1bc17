"""Migrations go through KubeVirt's phases, wait for their turn, and end early when they must."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from lab.client import Object
from lab.controllers import evacuation, migration, migration_limits, migration_policy
from lab.kinds import KUBEVIRT, MIGRATION, MIGRATION_POLICY, NAMESPACE, NODE, POD, VIRTUAL_MACHINE_INSTANCE, Kind
from lab.machinery.objects import clone, condition_true, now, phase, stamp
from tests.unit.lab.controllers_fake import FakeApi, cluster_of, node, reconcile, running_pod, vmi

WHERE = "demo/mig"
MIGRATABLE = [{"type": "LiveMigratable", "status": "True"}]


def request(name: str = "mig", of: str = "vm", **meta: Any) -> Object:
    return {
        "metadata": {"name": name, "finalizers": ["kubevirt.io/migrationJobFinalize"], **meta},
        "spec": {"vmiName": of}, "status": {},
    }


@pytest.fixture(name="api")
def running() -> FakeApi:
    """A running, migratable instance on node-a, and a migration of it."""
    api = FakeApi()
    guest(api, "vm")
    api.given(MIGRATION, request())
    return api


def guest(api: FakeApi, name: str, on: str = "node-a", **status: Any) -> Object:
    body = vmi(name, phase="Running", nodeName=on, conditions=list(MIGRATABLE), **status)
    owner = api.given(VIRTUAL_MACHINE_INSTANCE, body)
    api.given(POD, running_pod(f"source-{name}", owner, on))
    return owner


def go(api: FakeApi, times: int = 1, where: str = WHERE) -> float | None:
    return reconcile(api, migration.reconcile, where, times)


def now_in(api: FakeApi, where: str = WHERE) -> str:
    return phase(api.there(MIGRATION, where))


def target(api: FakeApi) -> Object:
    return next(pod for pod in api.all(POD) if "kubevirt.io/migrationJobUID" in pod["metadata"]["labels"])


def start_target(api: FakeApi, on: str = "node-b") -> None:
    pod = target(api)
    pod["spec"]["nodeName"] = on
    pod["status"] = {"phase": "Running", "containerStatuses": [{"name": "compute", "state": {"running": {}}}]}


def state(api: FakeApi) -> Object:
    found: Object = api.there(VIRTUAL_MACHINE_INSTANCE, "demo/vm")["status"]["migrationState"]
    return found


def hand_over(api: FakeApi) -> None:
    go(api, times=2)
    start_target(api)
    go(api, times=2)
    assert now_in(api) == "PreparingTarget"


def test_every_phase_is_passed_in_order(api: FakeApi) -> None:
    go(api, times=2)
    assert now_in(api) == "Scheduling"
    start_target(api)
    go(api, times=2)
    state(api)["targetNodeAddress"] = "10.77.0.12"
    go(api)
    state(api)["startTimestamp"] = stamp()
    go(api)
    state(api).update(endTimestamp=stamp(), completed=True)
    go(api)
    passed = [entry["phase"] for entry in api.there(MIGRATION, WHERE)["status"]["phaseTransitionTimestamps"]]
    assert passed == [
        "Pending", "Scheduling", "Scheduled", "PreparingTarget", "TargetReady", "Running", "Succeeded",
    ]
    assert api.reasons(MIGRATION) == ["SuccessfulCreate", "SuccessfulHandOver", "SuccessfulMigration"]
    assert api.there(MIGRATION, WHERE)["status"]["migrationState"]["completed"] is True


def test_the_target_pod_has_the_guests_addresses(api: FakeApi) -> None:
    go(api, times=2)
    marks = target(api)["metadata"]["annotations"]
    assert (marks["lab.drainproof.dev/ip"], marks["lab.drainproof.dev/mac"]) == ("10.77.2.20", "02:00:00:00:00:01")


def test_the_hand_over_names_both_ends_and_the_effective_settings(api: FakeApi) -> None:
    api.given(NAMESPACE, {"metadata": {"name": "demo", "labels": {}}})
    selectors = {"virtualMachineInstanceSelector": {"app": "portal"}}
    policy = {"selectors": selectors, "bandwidthPerMigration": "1Mi", "allowPostCopy": True}
    api.given(MIGRATION_POLICY, {"metadata": {"name": "slow"}, "spec": policy})
    hand_over(api)
    found = state(api)
    assert (found["sourceNode"], found["targetNode"], found["sourcePod"]) == ("node-a", "node-b", "source-vm")
    assert found["migrationUid"] == "uid-VirtualMachineInstanceMigration-mig"
    assert found["migrationPolicyName"] == "slow"
    settings = found["migrationConfiguration"]
    assert (settings["bandwidthPerMigration"], settings["allowWorkloadDisruption"]) == ("1Mi", True)
    assert settings["parallelOutboundMigrationsPerNode"] == 2
    labels = api.there(VIRTUAL_MACHINE_INSTANCE, "demo/vm")["metadata"]["labels"]
    assert labels["kubevirt.io/migrationTargetNodeName"] == "node-b"


def test_a_finished_migration_lets_go_of_the_instance(api: FakeApi) -> None:
    hand_over(api)
    state(api).update(completed=True)
    go(api, times=2)
    assert now_in(api) == "Succeeded"
    assert not api.there(MIGRATION, WHERE)["metadata"].get("finalizers")
    labels = api.there(VIRTUAL_MACHINE_INSTANCE, "demo/vm")["metadata"]["labels"]
    assert "kubevirt.io/migrationTargetNodeName" not in labels


def test_failed_counts_before_completed(api: FakeApi) -> None:
    hand_over(api)
    state(api).update(completed=True, failed=True, failureReason="x")
    go(api)
    assert now_in(api) == "Failed"
    assert api.events[-1][2] == "source node reported migration failed"


def test_deleting_it_early_takes_the_target_pod_away(api: FakeApi) -> None:
    go(api, times=2)
    api.there(MIGRATION, WHERE)["metadata"]["deletionTimestamp"] = stamp()
    go(api, times=2)
    assert ("VirtualMachineInstanceMigration", WHERE) not in api.objects
    assert [pod["metadata"]["name"] for pod in api.all(POD)] == ["source-vm"]
    assert api.events[-1][2] == "Migration failed due to being canceled"


def test_deleting_it_later_asks_the_source_to_cancel(api: FakeApi) -> None:
    hand_over(api)
    api.there(MIGRATION, WHERE)["metadata"]["deletionTimestamp"] = stamp()
    go(api, times=2)
    assert state(api)["abortRequested"] is True
    assert condition_true(api.there(MIGRATION, WHERE), "migrationAbortRequested")
    assert api.reasons(MIGRATION).count("SuccessfulAbortMigration") == 1
    state(api).update(completed=True, failed=True, abortStatus="Succeeded")
    go(api, times=2)
    assert ("VirtualMachineInstanceMigration", WHERE) not in api.objects


def test_a_lost_target_fails_it_and_leaves_the_guest(api: FakeApi) -> None:
    hand_over(api)
    target(api)["status"]["phase"] = "Failed"
    go(api)
    assert now_in(api) == "Failed"
    assert state(api)["failureReason"] == "Target pod is down"
    assert phase(api.there(VIRTUAL_MACHINE_INSTANCE, "demo/vm")) == "Running"


def test_an_unschedulable_target_is_given_up_after_its_time() -> None:
    api = FakeApi()
    guest(api, "vm")
    api.given(MIGRATION, request(annotations={"kubevirt.io/migrationUnschedulablePodTimeoutSeconds": "15"}))
    go(api, times=2)
    target(api)["status"] = {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}
    left = go(api)
    assert left is not None
    assert 13 < left <= 15
    assert api.reasons(MIGRATION)[-1] == "migrationTargetPodUnschedulable"
    target(api)["metadata"]["creationTimestamp"] = stamp(now() - timedelta(seconds=16))
    go(api)
    assert now_in(api) == "Failed"
    assert len(api.all(POD)) == 1


def test_it_waits_for_the_last_target_pod_to_end(api: FakeApi) -> None:
    owner = api.there(VIRTUAL_MACHINE_INSTANCE, "demo/vm")
    api.given(POD, running_pod("left-over", owner, "node-c"))
    assert go(api, times=2) == migration_limits.RETRY_SECONDS
    assert now_in(api) == "Pending"


def test_a_node_sends_two_guests_at_once() -> None:
    api = FakeApi()
    for at in range(3):
        guest(api, f"vm{at}")
        api.given(MIGRATION, request(f"mig{at}", f"vm{at}"))
    for at in range(3):
        go(api, times=2, where=f"demo/mig{at}")
    assert [now_in(api, f"demo/mig{at}") for at in range(3)] == ["Scheduling", "Scheduling", "Pending"]


def test_the_clusters_limit_is_the_kubevirt_objects() -> None:
    api = FakeApi()
    settings = {"configuration": {"migrations": {"parallelMigrationsPerCluster": 1}}}
    api.given(KUBEVIRT, {"metadata": {"name": "kubevirt", "namespace": "kubevirt"}, "spec": settings})
    for at, where in enumerate(("node-a", "node-b")):
        guest(api, f"vm{at}", where)
        api.given(MIGRATION, request(f"mig{at}", f"vm{at}"))
        go(api, times=2, where=f"demo/mig{at}")
    assert [now_in(api, f"demo/mig{at}") for at in range(2)] == ["Scheduling", "Pending"]


def finished(name: str, result: str, ended: float) -> Object:
    entry = {"phase": result, "phaseTransitionTimestamp": stamp(now() - timedelta(seconds=ended))}
    created = stamp(now() - timedelta(seconds=ended + 1))
    return {
        "metadata": {"name": name, "creationTimestamp": created}, "spec": {"vmiName": "vm"},
        "status": {"phase": result, "phaseTransitionTimestamps": [entry]},
    }


@pytest.mark.parametrize(("results", "seconds"), [
    (("Failed",), 20), (("Failed", "Failed"), 40), (("Failed", "Failed", "Failed"), 80), (("Succeeded", "Failed"), 0),
])
def test_an_evacuation_backs_off_after_failures_in_a_row(results: tuple[str, ...], seconds: int) -> None:
    """The newest result comes first; a success ends the row."""
    api = FakeApi()
    guest(api, "vm")
    for at, result in enumerate(results):
        api.given(MIGRATION, finished(f"old{at}", result, 1 + 5 * at))
    again = api.given(MIGRATION, request(annotations={"kubevirt.io/evacuationMigration": "node-a"}))
    left = migration_limits.backoff(cluster_of(api), again)
    assert seconds - 4 < left <= seconds if seconds else left == 0
    own = api.given(MIGRATION, request("own"))
    assert migration_limits.backoff(cluster_of(api), own) == 0


def test_five_finished_migrations_are_kept() -> None:
    api = FakeApi()
    guest(api, "vm")
    for at in range(7):
        api.given(MIGRATION, finished(f"old{at}", "Succeeded", 100 - at))
    go(api, where="demo/old6")
    assert sorted(item["metadata"]["name"] for item in api.all(MIGRATION)) == [f"old{at}" for at in range(2, 7)]


def test_the_policy_with_most_matches_wins_and_then_the_first_name() -> None:
    def policy(name: str, **labels: str) -> Object:
        return {"metadata": {"name": name}, "spec": {"selectors": {"virtualMachineInstanceSelector": labels}}}

    both = policy("z", app="portal", tier="1")
    equal = [policy("b", app="portal"), policy("a", app="portal")]
    chosen = migration_policy.select([*equal, both], {"app": "portal"}, {})
    assert chosen is not None
    assert chosen["metadata"]["name"] == "a"
    chosen = migration_policy.select([policy("a", app="portal"), both], {"app": "portal", "tier": "1"}, {})
    assert chosen is both


def test_a_marked_instance_gets_one_evacuation() -> None:
    api = FakeApi()
    api.given(NODE, node("node-a"))
    guest(api, "vm", evacuationNodeName="node-a")
    guest(api, "calm")
    reconcile(api, evacuation.reconcile, "node-a", times=2)
    made = api.all(MIGRATION)
    assert [item["spec"] for item in made] == [{"vmiName": "vm", "priority": "system-critical"}]
    assert made[0]["metadata"]["annotations"] == {"kubevirt.io/evacuationMigration": "node-a"}


def test_who_arrives_elsewhere_while_others_are_evacuated_is_not_evacuated_again() -> None:
    """Evacuating a whole node takes longer than a migration: its machines are looked at anew, one by one."""

    class Busy(FakeApi):
        async def create(self, kind: Kind, body: Object, namespace: str | None = None) -> Object:
            if kind is MIGRATION and body["spec"]["vmiName"] == "first":
                there = clone(self.there(VIRTUAL_MACHINE_INSTANCE, "demo/second"))
                there["status"].update(nodeName="node-b", evacuationNodeName=None)
                self.objects[VIRTUAL_MACHINE_INSTANCE.name, "demo/second"] = there
            return await super().create(kind, body, namespace)

    api = Busy()
    api.given(NODE, node("node-a"))
    for name in ("first", "second"):
        guest(api, name, evacuationNodeName="node-a")
    reconcile(api, evacuation.reconcile, "node-a")
    assert [item["spec"]["vmiName"] for item in api.all(MIGRATION)] == ["first"]


def test_the_drain_taint_evacuates_what_does_not_tolerate_it() -> None:
    api = FakeApi()
    api.given(NODE, node("node-a", taints=[{"key": "kubevirt.io/drain", "effect": "NoSchedule"}]))
    guest(api, "vm")
    brave = guest(api, "brave")
    brave["spec"]["tolerations"] = [{"key": "kubevirt.io/drain", "operator": "Exists"}]
    reconcile(api, evacuation.reconcile, "node-a")
    assert [item["spec"]["vmiName"] for item in api.all(MIGRATION)] == ["vm"]


@pytest.mark.parametrize("change", [
    {"spec": {"evictionStrategy": "External"}}, {"status": {"conditions": []}}, {"status": {"phase": "Scheduled"}},
])
def test_what_does_not_migrate_is_not_evacuated(change: Object) -> None:
    api = FakeApi()
    api.given(NODE, node("node-a"))
    stored = guest(api, "vm", evacuationNodeName="node-a")
    for part, fields in change.items():
        stored[part].update(fields)
    reconcile(api, evacuation.reconcile, "node-a")
    assert api.all(MIGRATION) == []
