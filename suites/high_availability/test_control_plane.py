"""A service outlives trouble of the Kubernetes API: what runs needs no API to go on, and the API forgets nothing."""

from __future__ import annotations

import pytest

from drainproof.api import HTTP_CHAOS
from drainproof.expectation import Expectation
from drainproof.target import Target
from fixtures.certification import Certification
from scenarios.control_plane import ApiAway, ApiErrors, ApiFault, ApiSlow, WatchesExpired

pytestmark = [pytest.mark.unplanned, pytest.mark.alone, pytest.mark.needs(HTTP_CHAOS)]
SECONDS = 15.0


@pytest.fixture(autouse=True)
def may_disturb(target: Target) -> None:
    """Chaos Mesh ends its faults through the API, so on a real cluster a disturbed API may stay so."""
    if target.api_chaos is None:
        pytest.skip("the target's facts do not let its API be disturbed (api_chaos)")


@pytest.mark.parametrize("kind", [ApiAway, ApiErrors, WatchesExpired])
def test_an_api_without_answers(certification: Certification, kind: type[ApiFault]) -> None:
    """While the Kubernetes API is away, or answers nothing but errors, the portal serves as if nothing had happened.

    Preconditions: the fault is shorter than the time after which nodes are declared lost.
    Expected: clients notice nothing, no machine is moved or started anew; afterwards a node can be drained as ever.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        fault = observation.faults.api_fault(kind, min(SECONDS, certification.seconds_until_lost() / 2))
        with observation.under(fault, Expectation(blind_api=True)):
            observation.meanwhile(fault.seconds)
        observation.settle()
        observation.drain_node_under(portal.machines[0])
        observation.settle()
        observation.audit()
    certification.conclude()


def test_a_drain_through_a_slow_api(certification: Certification) -> None:
    """A node is drained while every request to the Kubernetes API takes half a second longer.

    Preconditions: the API's delay is shorter than its clients' patience.
    Expected: the drain takes longer and ends as ever; no client is refused, no write is lost.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        slow = observation.faults.api_fault(ApiSlow, certification.profile.budgets.drain, delay_ms=500)
        with observation.under(slow, Expectation(blind_api=True)):
            observation.drain_node_under(portal.machines[1])
        observation.settle()
        observation.audit()
    certification.conclude()
