"""What every fault has in common: it says what it expects, and proves that it happened and that it healed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from drainproof.expectation import Expectation
from drainproof.record import EventLog
from drainproof.wait import Deadline

SOURCE = "fault"
"""The source of every fault's events: begin, injected, healed, proof, end."""

Proof = Mapping[str, Any]
"""What was seen that proves it, as the record keeps it; never a secret."""


class Fault(Protocol):
    """One disturbance. It heals by itself, or `heal` undoes it; `heal` is called once, whatever became of `inject`."""

    @property
    def kind(self) -> str:
        """What is done, in the operator's words: power-off, partition, pause."""

    @property
    def target(self) -> str:
        """What it is done to: a node, a virtual machine, several separated by commas."""

    def inject(self, deadline: Deadline) -> Proof:
        """Do it and see that it happened. Raises DrainproofError when it did not."""

    def heal(self, deadline: Deadline) -> Proof:
        """Undo it, or wait until it is over, and see that it healed. Raises DrainproofError when it did not."""


@contextmanager
def injected(
    fault: Fault, expects: Expectation, events: EventLog, number: int, inject_seconds: float, heal_seconds: float
) -> Iterator[None]:
    """A fault for the length of a block, with its proof in the record.

    A fault that did not happen, or did not heal, is written into its proof and raised.
    """
    name = f"{fault.kind}/{number}"
    facts = {"fault": fault.kind, "target": fault.target}
    events.add(SOURCE, "begin", name, **facts, expects=expects.as_json())
    happened = healed = False
    reasons: list[str] = []
    try:
        with _told(reasons):
            events.add(SOURCE, "injected", name, **facts, **fault.inject(Deadline(inject_seconds)))
            happened = True
            yield
    finally:
        try:
            with _told(reasons):
                events.add(SOURCE, "healed", name, **facts, **fault.heal(Deadline(heal_seconds)))
                healed = True
        finally:
            events.add(SOURCE, "proof", name, **facts, happened=happened, healed=healed, reasons=reasons)
            events.add(SOURCE, "end", name, **facts)


@contextmanager
def _told(reasons: list[str]) -> Iterator[None]:
    """Keep what an error says, and let it pass."""
    try:
        yield
    except BaseException as error:
        reasons.append(f"{type(error).__name__}: {error}")
        raise
