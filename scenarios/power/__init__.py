"""Drivers that switch a node's power, all behind one protocol: which one a cluster needs, its target's facts say."""

from __future__ import annotations

from drainproof.target import PowerFacts
from scenarios.power.command import CommandPower
from scenarios.power.driver import PowerDriver, PowerError, PowerState
from scenarios.power.redfish import RedfishPower
from scenarios.power.ssh import SshPower

__all__ = ["PowerDriver", "PowerError", "PowerState", "driver_of"]


def driver_of(facts: PowerFacts) -> PowerDriver:
    """The driver that the facts name. Raises PowerError when what it needs is not there."""
    if facts.driver == "redfish":
        return RedfishPower(facts)
    if facts.driver == "command":
        return CommandPower(facts)
    return SshPower(facts)
