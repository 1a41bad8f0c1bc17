"""A service with more machines than nodes: what has no place waits, and nobody is put where he must not be."""

from __future__ import annotations

import pytest

from drainproof.expectation import Expectation
from fixtures.certification import Certification


@pytest.mark.unplanned
def test_one_machine_too_many(certification: Certification) -> None:
    """A machine for which there is no node of its own waits, and those that serve are not disturbed by it.

    Preconditions: every node has one of the portal's machines, or is cordoned.
    Expected: the extra machine stays ErrorUnschedulable, no two machines share a node, clients notice nothing.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        extra = observation.faults.extra_machine(*observation.spare_nodes())
        with observation.under(extra, Expectation()):
            observation.meanwhile(certification.profile.budgets.settle)
        observation.settle()
        observation.audit()
    certification.conclude()
