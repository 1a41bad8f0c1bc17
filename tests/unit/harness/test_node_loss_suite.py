"""The cases of a lost node: who may fence is settled before anything is lost, and for nobody else's nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from drainproof.api import Cluster, Object, Resource
from drainproof.errors import CannotRunError
from drainproof.journal import Journal
from drainproof.target import Target
from drainproof.wait import Deadline
from fixtures.case import no_operator
from fixtures.certification import Certification
from scenarios.power import PowerDriver
from suites.high_availability import test_node_loss as suite

BY_AN_OPERATOR = suite.test_node_loss_fenced_by_an_operator
BY_NO_OPERATOR = (suite.test_node_loss_without_fencing, suite.test_node_loss_fenced_by_taint)


@dataclass
class FakeCertification:
    """A portal, its observers and a cluster with one NodeHealthCheck; what happens to them is told in order."""

    pauses: list[str]
    told: list[str] = field(default_factory=list)
    journal: Journal = field(default_factory=Journal)

    @property
    def cluster(self) -> Cluster:
        return cast(Cluster, self)

    def within(self, _deadline: Deadline) -> Cluster:
        return self.cluster

    def items(self, resource: Resource) -> list[Object]:
        return [self.get(resource, "nhc")]

    def get(self, resource: Resource, name: str) -> Object:
        phase = "Paused" if self.pauses else "Enabled"
        return {"metadata": {"name": name}, "spec": {"pauseRequests": self.pauses}, "status": {"phase": phase}}

    def patch(self, resource: Resource, name: str, patch: Any) -> Object:
        self.pauses = patch["spec"]["pauseRequests"]
        self.told.append("paused" if self.pauses else "acts")
        return {}

    @contextmanager
    def portal(self) -> Iterator[Any]:
        self.told.append("claimed")
        yield SimpleNamespace(machines=("a", "b", "c"))
        self.told.append("given back")

    @contextmanager
    def observed(self, portal: Any) -> Iterator[Any]:
        yield SimpleNamespace(
            baseline=self._tell("baseline"), settle=self._tell("settle"), audit=self._tell("audit"),
            fence=self._tell("fence"), meanwhile=self._tell("meanwhile"), node_of=lambda machine: "node-a",
            faults=SimpleNamespace(node_loss=lambda *what: what), lost_with=lambda node, restarted: None,
            under=self._under,
        )

    def seconds_until_eviction(self) -> float:
        return 1.0

    def conclude(self) -> None:
        self.told.append("concluded")

    @contextmanager
    def _under(self, loss: Any, expects: Any) -> Iterator[None]:
        self.told.append("lost")
        yield

    def _tell(self, what: str) -> Callable[..., None]:
        return lambda *_: self.told.append(what)


def play(case: Callable[[Certification, PowerDriver], None], *pauses: str) -> list[str]:
    """What a case does to a cluster whose check is paused like that."""
    found = FakeCertification(list(pauses))
    try:
        case(cast(Certification, found), cast(PowerDriver, None))
    except CannotRunError as error:
        found.told.append(str(error))
    return found.told


def test_an_operator_acts_only_while_the_nodes_are_claimed() -> None:
    """Before, it would fence the node that another worker is about to lose; and it rests before they are given back."""
    told = play(BY_AN_OPERATOR, "drainproof-lab")
    assert told == [
        "claimed", "acts", "baseline", "lost", "fence", "settle", "audit", "paused", "given back", "concluded"
    ]


def test_a_cluster_without_an_operator_that_acts_is_refused_before_anything_is_deployed() -> None:
    (refusal,) = play(BY_AN_OPERATOR, "an-upgrade")
    assert refusal.startswith("No NodeHealthCheck of this cluster acts")


@pytest.mark.parametrize("case", BY_NO_OPERATOR)
def test_no_node_is_lost_under_an_operator_that_acts(case: Callable[[Certification, PowerDriver], None]) -> None:
    """It would fence the node in between; while it is paused the case goes its way."""
    claimed, refusal = play(case)
    assert (claimed, "NodeHealthCheck nhc would fence" in refusal) == ("claimed", True)
    assert "lost" in play(case, "drainproof-lab")


@pytest.mark.parametrize("case", BY_NO_OPERATOR)
def test_a_cluster_whose_operator_acts_is_skipped(case: Any) -> None:
    """Before anything is recorded, with the check's name; in a lab it acts for another case, and not for long."""
    assert ("no_operator",) in [mark.args for mark in case.pytestmark if mark.name == "usefixtures"]
    look = no_operator.__wrapped__  # type: ignore[attr-defined]
    acts, paused = FakeCertification([]).cluster, FakeCertification(["drainproof-lab"]).cluster
    with pytest.raises(pytest.skip.Exception, match="NodeHealthCheck nhc is not paused"):
        look(acts, Target(name="real"))
    look(paused, Target(name="real"))
    look(acts, Target(name="lab", is_lab=True))
