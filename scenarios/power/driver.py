"""What every power driver can do."""

from __future__ import annotations

from typing import Literal, Protocol

from drainproof.errors import DrainproofError

PowerState = Literal["On", "Off"]


class PowerError(DrainproofError):
    """A node's power could not be seen or switched; never holds a password."""


class PowerDriver(Protocol):
    """Switches nodes. Every call may take seconds and raises PowerError when it cannot do what it is asked."""

    @property
    def name(self) -> str:
        """The driver's name in the record."""

    @property
    def proves_off(self) -> bool:
        """Whether Off is the word of the node's controller; a node that only does not answer may well be running."""

    @property
    def powers_on(self) -> bool:
        """Whether it can bring a node back."""

    def state(self, node: str) -> PowerState:
        """Whether the node has power; a state on the way (PoweringOn) is the one it comes from."""

    def off(self, node: str) -> None:
        """Cut the node's power at once, without a shutdown; returns when that was accepted, not when it is done."""

    def on(self, node: str) -> None:
        """Give the node power; returns when that was accepted. A node that has power may be refused it."""
