"""User-made migrations: what is asked of the cluster, in which order, and what the record keeps of their ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast

import pytest

from drainproof.api import INSTANCES, MIGRATION_POLICIES, MIGRATIONS, NODES, Cluster, Object, Resource
from drainproof.errors import CannotRunError, DrainproofError, NotFoundError, UnexpectedStateError, WaitTimeoutError
from drainproof.journal import Journal
from drainproof.record import Case, CaseReader, Event
from drainproof.vm import VirtualMachine
from drainproof.wait import Deadline
from scenarios.launcher_log import figures
from scenarios.migrate import NO_POST_COPY, UNSCHEDULABLE_SECONDS, Migrate
from scenarios.migration_policy import Policy
from scenarios.migration_run import phase_seconds
from tests.unit.harness.fakes import FakeClock

UID = "80ff5997-b919-42b5-a7bf-04101fdb2070"
LOG = f"""
Migration info for {UID}: TimeElapsed:4001ms DataProcessed:60MiB DataRemaining:90MiB DataTotal:512MiB \
MemoryBandwidth:128Mbps DirtyRate:320Mbps Iteration:2 PostcopyRequests:0 ExpectedDowntime:300ms
Migration info for 00000000-0000-0000-0000-000000000000: TimeElapsed:9ms Iteration:99 DirtyRate:9999Mbps Downtime:9ms
Migration info for {UID}: TimeElapsed:7100ms DataProcessed:120MiB DataRemaining:0MiB DataTotal:512MiB \
MemoryBandwidth:136Mbps DirtyRate:0Mbps Iteration:4 PostcopyRequests:0 Downtime:61ms DowntimeNet:60ms
lab: migration {UID} stop_ns=100 resume_ns=160
lab: migration {UID} dirty_rate_bytes=41000000 throttle_percent=30
"""


@dataclass
class Migrations:
    """A cluster with one machine, whose migrations go through the given phases, one at each look."""

    phases: tuple[str, ...] = ("Pending", "Running", "Succeeded")
    states: Object = field(default_factory=dict)
    """What the instance tells of its migration, beside or instead of the usual."""
    uid_after: str = "uid-1"
    annotations: dict[str, str] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    made: list[Object] = field(default_factory=list)
    looks: int = 0
    deleted: bool = False

    def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        self.calls.append(f"create {resource.plural}")
        self.made.append(body)
        self.looks = 0
        return {"metadata": {"name": f"vm-0-{len(self.made)}", "uid": UID}, "spec": body["spec"]}

    def find(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        if resource == MIGRATIONS:
            self.looks += 1
            return None if self.deleted else {"metadata": {"name": name, "uid": UID}, "status": {"phase": self._phase}}
        assert resource == INSTANCES
        return {"metadata": {"name": name, "uid": self.uid_after if self.looks else "uid-1"}, "status": {
            "phase": "Running", "nodeName": "node-b", "conditions": [{"type": "Ready", "status": "True"}],
            "migrationState": self._state}}

    def items(self, resource: Resource) -> list[Object]:
        assert resource == NODES
        return [{"metadata": {"name": "node-a", "annotations": self.annotations}}]

    def delete(self, resource: Resource, name: str, namespace: str | None = None) -> None:
        self.calls.append(f"delete {resource.plural}")
        self.deleted = True

    def remove(self, path: str) -> None:
        self.calls.append(f"remove {path}")

    def patient(self, seconds: float) -> Self:
        return self

    def log(self, pod: str, namespace: str, container: str) -> str:
        if pod != "virt-launcher-vm-0-abcde":
            raise NotFoundError("log", 404, "NotFound", pod)
        return LOG

    @property
    def _phase(self) -> str:
        return self.phases[min(self.looks, len(self.phases)) - 1]

    @property
    def _state(self) -> Object:
        policies = [body["metadata"]["name"] for body in self.made if "selectors" in body["spec"]]
        state = {
            "migrationUid": UID, "mode": "PreCopy", "sourceNode": "node-a", "targetNode": "node-b",
            "sourcePod": "virt-launcher-vm-0-abcde",
            **({"migrationPolicyName": policies[-1]} if policies else {}),
            **self.states,
        }
        if self.deleted:
            failed = {"completed": True, "failed": True, "failureReason": "Live migration has been aborted"}
            return state | failed | {"abortStatus": "Succeeded"}
        return state


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    """Where the events go."""
    opened = Case(tmp_path / "run" / "case")
    yield opened
    opened.close()


def _made(cluster: Migrations, case: Case, **how: Any) -> Migrate:
    fake = cast(Cluster, cluster)
    machines = [VirtualMachine(fake, "vm-0", "ns")]
    journal = Journal.of(case.directory.parent)
    return Migrate(cluster=fake, machines=machines, events=case.events, journal=journal, **how)


def _outcomes(case: Case) -> list[Event]:
    case.close()
    return [event for event in CaseReader(case.directory).events() if event.kind == "outcome"]


def _deadline(seconds: float = 30) -> Deadline:
    return Deadline(seconds, FakeClock())


def test_each_round_is_followed_to_its_end_and_told(case: Case) -> None:
    """Ping-pong: the second begins when the first has ended; the launcher's figures stand in the outcome."""
    fault = _made(Migrations(), case, rounds=2)
    fault.inject(_deadline())
    fault.heal(_deadline())
    told = _outcomes(case)
    assert [event.data["vmim"] for event in told] == ["vm-0-1", "vm-0-2"]
    facts = told[0].data
    assert (facts["phase"], facts["from"], facts["to"], facts["mode"]) == ("Succeeded", "node-a", "node-b", "PreCopy")
    assert (facts["downtime_ms"], facts["iterations"], facts["throttle_percent"]) == (61, 4, 30)
    assert fault.expectation.moved == {"vm-0": "Succeeded"}


def test_machines_rest_between_two_rounds_only(tmp_path: Path) -> None:
    """Not before the first, and not after the last."""
    assert _spent(tmp_path / "rested", rest_seconds=5) - _spent(tmp_path / "at-once") == pytest.approx(2 * 5)


def _spent(directory: Path, **how: Any) -> float:
    deadline = _deadline()
    with closing(Case(directory / "run" / "case")) as case:
        _made(Migrations(), case, rounds=3, **how).inject(deadline)
    return deadline.seconds - deadline.remaining


def test_a_policy_is_journalled_before_it_is_made_and_withdrawn_after_the_last(case: Case) -> None:
    """It is cluster scoped, and selects one namespace only."""
    cluster = Migrations()
    fault = _made(cluster, case, policy=Policy(name="slow", namespace="ns", bandwidth="8Mi", post_copy=True))
    fault.inject(_deadline())
    assert Journal.of(case.directory.parent).created == [MIGRATION_POLICIES.path(name="slow")]
    fault.heal(_deadline())
    assert Journal.of(case.directory.parent).created == []
    assert cluster.calls[0] == "create migrationpolicies"
    assert cluster.calls[-1] == f"remove {MIGRATION_POLICIES.path(name='slow')}"
    assert cluster.made[0]["spec"] == {
        "selectors": {"namespaceSelector": {"kubernetes.io/metadata.name": "ns"}},
        "bandwidthPerMigration": "8Mi", "allowPostCopy": True,
    }


def test_a_cancelled_migration_is_told_by_its_instance(case: Case) -> None:
    """Its object is gone when it has ended."""
    cluster = Migrations(phases=("Pending", "Running"))
    fault = _made(cluster, case, ends="Failed", cancel_after_seconds=2)
    fault.inject(_deadline())
    fault.heal(_deadline())
    facts = _outcomes(case)[0].data
    assert cluster.calls == ["create virtualmachineinstancemigrations", "delete virtualmachineinstancemigrations"]
    assert (facts["phase"], facts["failure"]) == ("Failed", "Live migration has been aborted")
    assert (facts["cancelled"], facts["abort"]) == (True, "Succeeded")


def test_a_target_that_refuses_is_asked_for_by_label(case: Case) -> None:
    """With KubeVirt's own annotation for how long its pod may stay without a node."""
    cluster = Migrations(phases=("Pending", "Scheduling", "Failed"))
    fault = _made(cluster, case, ends="Failed", node_selector={"no": "node"}, unschedulable_seconds=5)
    fault.inject(_deadline())
    assert cluster.made[0]["spec"] == {"vmiName": "vm-0", "addedNodeSelector": {"no": "node"}}
    assert cluster.made[0]["metadata"]["annotations"] == {UNSCHEDULABLE_SECONDS: "5"}


def test_a_running_migration_is_left_to_the_caller(case: Case) -> None:
    """Whoever wants to break it in the middle gets it running, and sees it through when the fault heals."""
    cluster = Migrations(phases=("Pending", "Running", "Running", "Failed"))
    fault = _made(cluster, case, through=False, ends="Failed")
    assert fault.inject(_deadline())["migrations"] == {"vm-0-1": "Running"}
    assert fault.heal(_deadline())["outcomes"] == {"vm-0-1": "Failed"}


def _restart(cluster: Migrations) -> None:
    cluster.uid_after = "uid-2"


def _hang(cluster: Migrations) -> None:
    cluster.phases = ("Pending", "Running")


@pytest.mark.parametrize(
    ("spoil", "error", "told"),
    [(_restart, UnexpectedStateError, "instance uid-1 that it was"), (_hang, WaitTimeoutError, "'vm-0-2': 'Running'")],
)
def test_what_did_not_heal_is_an_error_with_the_last_state(
    case: Case, spoil: Callable[[Migrations], None], error: type[DrainproofError], told: str
) -> None:
    """A machine that was restarted, a migration without end."""
    cluster = Migrations()
    fault = _made(cluster, case, policy=Policy(name="slow", namespace="ns"), through=False)
    fault.inject(_deadline())
    spoil(cluster)
    with pytest.raises(error, match=told):
        fault.heal(_deadline())
    assert Journal.of(case.directory.parent).created == []


def test_post_copy_is_refused_where_a_node_cannot(case: Case) -> None:
    """Before anything is changed, with the node's own reason."""
    cluster = Migrations(annotations={NO_POST_COPY: "userfaultfd: Operation not permitted"})
    fault = _made(cluster, case, policy=Policy(name="p", namespace="ns", post_copy=True))
    with pytest.raises(CannotRunError, match="node-a: userfaultfd"):
        fault.inject(_deadline())
    assert cluster.calls == []


def test_figures_are_those_of_one_migration() -> None:
    """Its last line counts, but for the dirty rate, which is the highest that was told."""
    assert figures(LOG, UID) == {
        "total_ms": 7100, "downtime_ms": 61, "iterations": 4, "data_processed_bytes": 120 << 20,
        "data_remaining_bytes": 0, "data_total_bytes": 512 << 20, "bandwidth": 17_000_000, "postcopy_requests": 0,
        "dirty_rate_bytes": 41_000_000, "throttle_percent": 30, "stop_ns": 100, "resume_ns": 160,
    }
    assert set(figures("nothing", UID).values()) == {None}


def test_phases_last_until_the_next() -> None:
    """By the API's stamps, which are whole seconds."""
    times = {"Pending": "10:00:00", "Scheduling": "10:00:03", "Running": "10:00:04", "Failed": "10:01:04"}
    stamps = [
        {"phase": phase, "phaseTransitionTimestamp": f"2026-01-01T{time}Z"} for phase, time in times.items()
    ]
    vmim = {"status": {"phaseTransitionTimestamps": stamps}}
    assert phase_seconds(vmim) == {"Pending": 3, "Scheduling": 1, "Running": 60}


@pytest.mark.parametrize(("how", "state", "match"), [
    ({"mode": "PostCopy"}, {}, "in mode PreCopy, not in PostCopy"),
    ({"policy": Policy(name="slow", namespace="ns")}, {"migrationPolicyName": "other"}, "followed the policy 'other'"),
    ({"cancel_after_seconds": 99.0}, {}, "it was not cancelled"),
    ({"unschedulable_seconds": 5}, {}, "its target was not refused: it found node node-b"),
])
def test_a_migration_that_went_another_way_is_no_proof(
    case: Case, how: dict[str, Any], state: Object, match: str
) -> None:
    """Its end alone does not show that what was asked for has happened."""
    fault = _made(Migrations(states=state), case, **how)
    fault.inject(_deadline())
    with pytest.raises(UnexpectedStateError, match=match):
        fault.heal(_deadline())


def test_a_migration_that_went_as_asked_is_proved(case: Case) -> None:
    """By the policy that was made for it, and in the mode that was wanted."""
    state = {"migrationPolicyName": "slow", "mode": "PostCopy"}
    fault = _made(Migrations(states=state), case, policy=Policy(name="slow", namespace="ns"), mode="PostCopy")
    fault.inject(_deadline())
    assert set(fault.heal(_deadline())["outcomes"].values()) == {"Succeeded"}
