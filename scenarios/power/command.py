"""Power through the user's own commands, such as ipmitool, virsh or a cloud's client."""

from __future__ import annotations

import re

from drainproof.target import PowerFacts
from scenarios.power import commands
from scenarios.power.driver import PowerError, PowerState


class CommandPower:
    """Three commands: off, on, and one whose output tells the state by two patterns."""

    name = "command"
    proves_off = True
    powers_on = True

    def __init__(self, facts: PowerFacts) -> None:
        self._facts = facts

    def state(self, node: str) -> PowerState:
        said = commands.run(self._facts.status, node).stdout
        is_on = re.search(self._facts.on_pattern, said) is not None
        is_off = re.search(self._facts.off_pattern, said) is not None
        if is_on == is_off:
            raise PowerError(
                f"{node}: the power state cannot be read from {said.strip()[:commands.SHOWN_CHARACTERS]!r}; "
                "correct on_pattern and off_pattern of the target's [power] table."
            )
        return "On" if is_on else "Off"

    def off(self, node: str) -> None:
        commands.run(self._facts.off, node)

    def on(self, node: str) -> None:
        commands.run(self._facts.on, node)
