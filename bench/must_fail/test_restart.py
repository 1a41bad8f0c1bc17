"""A drain that restarts the machine: a certification that passes it is worth nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fixtures.certification import Certification

pytestmark = pytest.mark.timeout(0)


def test_an_eviction_that_restarts_the_machine(certification: Certification) -> None:
    """With evictionStrategy None a drained machine is started anew elsewhere; clients have been told otherwise.

    Expected: fail, because it was not live-migrated and its requests failed.
    """
    certification.plan = replace(certification.plan, eviction_strategy="None")
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        observation.drain_node_under(portal.machines[2])
        observation.settle()
        observation.audit()
    certification.conclude()
