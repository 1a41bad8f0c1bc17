"""A power driver that cuts the power of no node that may not be disturbed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from drainproof.allowed import Allowed
from scenarios.power.driver import PowerDriver, PowerState


@dataclass(frozen=True)
class GuardedPower:
    """Behind every fault: whatever one is told, only nodes that may be disturbed lose their power."""

    driver: PowerDriver
    allowed: Callable[[], Allowed]
    """The nodes of the run, once they are settled."""

    @property
    def name(self) -> str:
        return self.driver.name

    @property
    def proves_off(self) -> bool:
        return self.driver.proves_off

    @property
    def powers_on(self) -> bool:
        return self.driver.powers_on

    def state(self, node: str) -> PowerState:
        return self.driver.state(node)

    def off(self, node: str) -> None:
        """As the driver does; raises NotAllowedError for any other node."""
        self.allowed().check(node)
        self.driver.off(node)

    def on(self, node: str) -> None:
        """As the driver does; raises NotAllowedError for any other node: one that another run has claimed is its own.
        """
        self.allowed().check(node)
        self.driver.on(node)
