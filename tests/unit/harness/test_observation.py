"""What a test does to a portal under observation: phases are numbered, faults proved, lost machines waited for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from drainproof.clock import Anchor
from drainproof.errors import DrainproofError
from drainproof.expectation import Expectation
from drainproof.journal import Journal
from drainproof.record import Case
from drainproof.record.events import read_events
from drainproof.settings import Budgets, Profile
from drainproof.target import Target
from drainproof.vm import Instance, VirtualMachine
from drainproof.wait import Deadline
from fixtures.certification import Certification
from fixtures.entry import Front
from fixtures.observation import Observation
from fixtures.observers import Observers
from fixtures.portal import Portal, PortalPlan
from fixtures.progress import Progress
from scenarios.echoes import Guests
from scenarios.fault import Proof

NAMES = ("portal-0", "portal-1", "portal-2")


@dataclass
class Machine:
    """A virtual machine that runs on a node, as one instance after the other."""

    name: str
    node: str
    uids: list[str] = field(default_factory=lambda: ["one"])

    @property
    def instance(self) -> Instance:
        uid = self.uids[0] if len(self.uids) == 1 else self.uids.pop(0)
        conditions = {"Ready": {"status": "True"}, "LiveMigratable": {"status": "True"}}
        return Instance(self.name, uid, "Running", self.node, "", "", conditions, None)


@dataclass
class Fault:
    """Is injected and healed, or is not."""

    fails: bool = False
    kind = "loss"
    target = "node-a"
    expectation = Expectation(moved={"portal-0": "Succeeded"})

    def inject(self, deadline: Deadline) -> Proof:
        if self.fails:
            raise DrainproofError("nothing happened")
        return {"off": True}

    def heal(self, deadline: Deadline) -> Proof:
        return {"on": True}


class SteadyObservers:
    """Observers that are steady at once, and remember for how long they would have been waited for."""

    def __init__(self) -> None:
        self.patience: list[float] = []

    def wait_steady(self, streams: object, below_ms: float, deadline: Deadline) -> None:
        self.patience.append(deadline.seconds)

    def check_alive(self) -> None:
        pass


@pytest.fixture
def observation(tmp_path: Path) -> Iterator[Observation]:
    plan = PortalPlan("ns", NAMES, ("10.0.0.1", "10.0.0.2", "10.0.0.3"), "image", "class", "1Gi", "1Gi")
    machines = cast(tuple[VirtualMachine, ...], tuple(
        Machine(name, f"node-{letter}") for name, letter in zip(NAMES, "abc", strict=True)
    ))
    case = Case(tmp_path / "case")
    cluster: Any = None
    certification = Certification(
        run_id="r", case=case, cluster=cluster, target=Target(name="t", client_exec=("env",)),
        profile=Profile(name="p", budgets=Budgets(settle=0, baseline=0, steady=11, recover=77)),
        journal=Journal.of(tmp_path), anchor=Anchor.take(), progress=Progress(), plan=plan,
        nodes=("node-a", "node-b", "node-c", "node-d"),
    )
    observed = Observation(certification, Portal(plan, machines, (), Front("10.0.0.9"), "pw"), tmp_path / "plan.json")
    observed.observers = cast(Observers, SteadyObservers())
    yield observed
    case.close()


def told(observation: Observation) -> list[tuple[str, ...]]:
    """Phases and the fault's own words, in order."""
    found = read_events(observation.certification.case.directory / "events.jsonl")
    return [
        (event.data["phase"], event.data["state"]) if event.source == "run" else (event.object, event.kind)
        for event in found if event.source in ("run", "fault")
    ]


def test_a_fault_is_a_phase_and_a_settling_of_its_number(observation: Observation) -> None:
    """The second fault is the second phase, whose settling bears the same number; each tells what it expects."""
    observation.undergo(Fault())
    observation.settle()
    with observation.under(Fault(), Expectation()):
        observation.meanwhile(0)
    observation.settle()
    one = [
        ("fault/1", "begin"), ("loss/1", "begin"), ("loss/1", "injected"), ("loss/1", "healed"), ("loss/1", "proof"),
        ("loss/1", "end"), ("fault/1", "end"), ("settle/1", "begin"), ("settle/1", "end"),
    ]
    assert told(observation) == [*one, *((name.replace("1", "2"), state) for name, state in one)]
    begun = [
        event for event in read_events(observation.certification.case.directory / "events.jsonl")
        if (event.source, event.kind) == ("fault", "begin")
    ]
    assert [event.data["expects"]["moved"] for event in begun] == [{"portal-0": "Succeeded"}, {}]


def test_a_fault_that_does_not_happen_ends_the_test_and_leaves_its_proof(observation: Observation) -> None:
    """The error is the fault's own, and the phase stays open."""
    with pytest.raises(DrainproofError, match="nothing happened"):
        observation.undergo(Fault(fails=True))
    assert told(observation)[-2:] == [("loss/1", "proof"), ("loss/1", "end")]


def test_what_was_lost_gets_the_time_of_a_recovery(observation: Observation) -> None:
    """After a loss the streams may take as long as a recovery; after anything else as long as after a drain."""
    patience = cast(SteadyObservers, observation.observers).patience
    observation.undergo(Fault(), Expectation(lost=("portal-0",)))
    observation.settle()
    observation.undergo(Fault(), Expectation())
    observation.settle()
    assert patience == [77, 11]


def test_a_machine_that_has_to_start_anew_is_waited_for_before_the_fault_heals(observation: Observation) -> None:
    """Another instance has to be Ready while the fault lasts: what starts only once it has healed proves nothing."""
    machine = cast(Machine, observation.portal.machines[0])
    machine.uids = ["one", "one", "two"]
    observation.undergo(Fault(), Expectation(lost=("portal-0",), restarted=("portal-0",)))
    assert machine.uids == ["two"]


def test_nodes_are_told_apart_by_who_runs_there(observation: Observation) -> None:
    """The free node is none of the machines'; what a node takes with it is what runs on it."""
    assert observation.spare_nodes() == ("node-d",)
    gone = observation.lost_with("node-b", restarted=True)
    assert gone == Expectation(lost=("portal-1",), restarted=("portal-1",), expelled=("portal-1",))
    assert observation.lost_with("node-b", restarted=False).stays_down == ("portal-1",)
    assert observation.lost_with("node-d", restarted=True) == Expectation()


def test_a_partition_has_two_sides(observation: Observation) -> None:
    """Whoever is not on one side is on the other."""
    fault = observation.faults.partition(observation.portal.machines[2], seconds=5)
    assert (fault.side, fault.others) == (("portal-2",), ("portal-0", "portal-1"))
    first, second = observation.portal.machines[:2]
    assert observation.faults.partition(first, seconds=5, others=[second]).others == ("portal-1",)


def test_the_guests_tell_of_a_disturbed_network_from_where_the_clients_are(observation: Observation) -> None:
    """Every fault of the network knows how to ask them."""
    faults, machine = observation.faults, observation.portal.machines[0]
    disturbed = (
        faults.partition(machine, seconds=5), faults.delay(machine, seconds=5, latency_ms=50),
        faults.loss(machine, seconds=5, percent=5.0),
    )
    addresses = {"portal-0": "10.0.0.1", "portal-1": "10.0.0.2", "portal-2": "10.0.0.3"}
    assert [fault.guests for fault in disturbed] == [Guests(addresses=addresses, client_exec=("env",))] * 3
