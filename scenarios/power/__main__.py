"""`python -m scenarios.power FACTS NODE`: powers a node on, as a target's facts say, and sees it on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from drainproof.errors import DrainproofError
from drainproof.target import read_target
from drainproof.wait import Deadline, wait
from scenarios.power import PowerDriver, PowerError, driver_of

SECONDS = 120.0


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 once the node's controller says On."""
    facts, node = arguments
    try:
        power = read_target(Path(facts)).power
        if power is None:
            raise PowerError(f"{facts} has no [power]")
        power_on(driver_of(power), node, Deadline(SECONDS))
    except DrainproofError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def power_on(driver: PowerDriver, node: str, deadline: Deadline) -> None:
    """Raises DrainproofError when the node is not seen On in time; one that has power is left as it is."""

    def look() -> str:
        with suppress(PowerError):
            if driver.state(node) == "On":
                return "On"
            driver.on(node)
        return "not On yet"

    wait(f"node {node} has power", look, until=lambda state: state == "On", deadline=deadline, every=1.0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
