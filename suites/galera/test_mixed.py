"""A Galera cluster under a mixture of faults that a seed has drawn: the same seed draws the same mixture."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drainproof.expectation import Expectation
from drainproof.vm import VirtualMachine
from drainproof.wait import Deadline, pause
from fixtures.certification import Certification
from fixtures.observation import Observation
from scenarios.schedule import draw, recorded

KINDS = ("migration", "pause", "launcher-kill", "database-stop")
COUNT = 4
LONGEST_PAUSE_SECONDS = 5.0


@pytest.mark.unplanned
def test_a_seeded_mixture(certification: Certification) -> None:
    """A portal outlives a seeded mixture of migrations, pauses, kills and stops of its members, one after the other.

    Preconditions: the profile's seed, which is in the record and draws the same mixture again.
    Expected: after each fault all members are back before the next one; no acknowledged write is lost.
    """
    drawn = draw(certification.profile.seed, KINDS, certification.plan.names, COUNT, LONGEST_PAUSE_SECONDS)
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        recorded(certification.profile.seed, drawn, certification.case.events)
        for planned in drawn:
            pause(planned.pause_seconds, Deadline(LONGEST_PAUSE_SECONDS))
            machine = portal.machines[portal.plan.names.index(planned.target)]
            INJECT[planned.kind](observation, machine)
            observation.settle()
        observation.audit()
    certification.conclude()


def _migrate(observation: Observation, machine: VirtualMachine) -> None:
    observation.undergo(observation.faults.migration(machine))


def _pause(observation: Observation, machine: VirtualMachine) -> None:
    observation.undergo(observation.faults.guest_pause(machine, 1), Expectation(lost=(machine.name,)))


def _kill(observation: Observation, machine: VirtualMachine) -> None:
    name = (machine.name,)
    expects = Expectation(lost=name, restarted=name, expelled=name)
    observation.undergo(observation.faults.launcher_kill(machine), expects)


def _stop(observation: Observation, machine: VirtualMachine) -> None:
    name = (machine.name,)
    observation.undergo(observation.faults.database_stop(machine), Expectation(lost=name, expelled=name))


INJECT: dict[str, Callable[[Observation, VirtualMachine], None]] = dict(
    zip(KINDS, (_migrate, _pause, _kill, _stop), strict=True)
)
