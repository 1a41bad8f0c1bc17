"""What a certification writes for others: the observers' plan, and the seal of its record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drainproof.clock import Anchor
from drainproof.errors import CannotRunError
from drainproof.journal import Journal
from drainproof.record import Case, Run, RunInfo
from drainproof.record.manifest import verify
from drainproof.settings import Load, Profile
from drainproof.target import Target
from drainproof.wait import Deadline
from fixtures.certification import Certification
from fixtures.entry import Front
from fixtures.handover import write_plan
from fixtures.metrics import collect
from fixtures.observers import ALWAYS, observers_for
from fixtures.portal import Portal, PortalPlan
from fixtures.progress import Progress
from fixtures.target import lab_target
from lab.config import LabConfig
from lab.image import GuestImage
from lab.lifecycle.up import facts
from load.plan import Plan

ADDRESSES = ("10.77.1.10", "10.77.1.11", "10.77.1.12")


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """What the lab says of itself."""
    image = GuestImage(tmp_path, tmp_path, tmp_path, tmp_path, "", tmp_path, "tag")
    return lab_target(facts(LabConfig(nodes=("node-a", "node-b")), image))


@pytest.fixture
def certification(tmp_path: Path, target: Target) -> Iterator[Certification]:
    """One that has not begun, with a cluster that nobody may ask."""
    profile = Profile(name="test", load=Load(udp_rate=10.0))
    anchor = Anchor.take()
    run = Run(tmp_path / "run")
    run.describe(RunInfo(
        run_id="r", started="", anchor=anchor, command="", seed=1, target=target.facts(),
        settings=profile.model_dump(mode="json"), versions={}, notes=(),
    ))
    cluster: Any = None
    case = Case(run.directory / "case")
    yield Certification(
        run_id="r", case=case, cluster=cluster, target=target, profile=profile,
        journal=Journal.of(run.directory), anchor=anchor, progress=Progress(),
        plan=PortalPlan.of(profile, target, "r", observers_for(profile.load)),
    )
    case.close()


def test_observers_can_read_their_plan(certification: Certification) -> None:
    """It names the machines, the agents' port, every vantage point of the target, and a port for each exporter."""
    portal = Portal(certification.plan, (), (), Front("10.77.2.1"), "secret")
    path = write_plan(certification, portal)
    plan = Plan.read(path)
    assert [(vm.name, vm.address) for vm in plan.portal.vms] == [
        (f"portal-{index}", address) for index, address in enumerate(ADDRESSES)
    ]
    assert plan.portal.agent_port == 7007
    assert [(place.name, place.exec) for place in plan.vantages] == [
        (node, ("nsenter", f"--net=/run/netns/dp-lab-{node}")) for node in ("node-a", "node-b")
    ]
    assert plan.load.udp_rate == 10.0
    assert plan.metrics_ports["stopwatch"] == 9304
    assert set(plan.metrics_ports) <= set(observers_for(plan.load))
    assert "secret" not in path.read_text()


def test_workers_of_a_run_share_neither_addresses_nor_ports(target: Target) -> None:
    """Each gets its own part of the target's pool; when that is used up, the refusal says for how many."""
    profile = Profile(name="test")
    plans = [PortalPlan.of(profile, target, f"r-{number}", ALWAYS, number) for number in range(3)]
    assert plans[0].addresses == ADDRESSES
    assert len({address for plan in plans for address in plan.addresses}) == 9
    assert len({port for plan in plans for port in plan.load_ports.values()}) == 3 * len(plans[0].load_ports)
    with pytest.raises(CannotRunError, match="3 guest addresses for each of 41 workers"):
        PortalPlan.of(profile, target, "r", ALWAYS, 40)


def test_guests_that_may_not_be_touched_are_not_waited_for(certification: Certification) -> None:
    """Without agents nobody answers datagrams; all else has to be steady before and after each drain."""
    portal = Portal(certification.plan, (), (), Front("10.77.2.1"), "secret")
    with_agents, without = (portal.streams(Load(agentless=agentless)) for agentless in (False, True))
    assert set(with_agents) - set(without) == {"udp/portal-0", "udp/portal-1", "udp/portal-2"}
    assert {"tcp-new/vip", "tcp-new/portal-2", "http-new/vip", "http-reused/portal-0", "sql/portal-1"} < set(without)


def test_the_record_is_sealed_before_it_is_judged(certification: Certification) -> None:
    """After the verdict the record is as it was sealed, and takes nothing more; a second verdict is the first."""
    certification.case.events.add("run", "case", "one", title="one")
    collect(None, certification.case, "ns", certification.anchor, (0, 1), Deadline(1))
    verdict = certification.judge()
    assert verify(certification.case.directory) == []
    assert (certification.case.directory / "verdict.json").exists()
    with pytest.raises(ValueError, match="closed file"):
        certification.case.events.add("run", "late")
    assert certification.judge() is verdict
