"""How often the run asked the Kubernetes API: for each drained virtual machine, for each drain, and in all.

It says what a run costs a cluster that others use. It is no figure: runs are not better for asking less, and what is
compared are storage classes and releases, not this instrument.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from drainproof.record import Event
from reports.evidence import Evidence

CLAIMS = " leases"
"""Claims are renewed by the clock, whatever goes on."""
SHOWN = 6
"""Of the kinds of requests, the most frequent."""


def told(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Name and value of what the record tells; nothing of records that were made before requests were counted."""
    drains = evidence.of_kind("drain", "requests")
    made, machines = sum(_count(event) for event in drains), sum(int(event.data["vms"]) for event in drains)
    renewals = sum(int(count) for event in drains for kind, count in event.data["by"].items() if kind.endswith(CLAIMS))
    if machines:
        beside = f", beside {renewals / machines:.1f} to keep the nodes claimed" if renewals else ""
        yield "for each drained virtual machine", f"{(made - renewals) / machines:.1f}{beside}"
    for number, event in enumerate(drains, 1):
        yield f"drain {number}", f"{_count(event)} for {_machines(int(event.data['vms']))}: {_by(event.data['by'])}"
    for event in evidence.of_kind("run", "requests")[-1:]:
        repeats = int(event.data["repeats"])
        yield "the whole case", f"{_count(event)}, of which {repeats} repeats: {_by(event.data['by'])}"


def _count(event: Event) -> int:
    return int(event.data["requests"])


def _machines(count: int) -> str:
    return f"{count} virtual machine" if count == 1 else f"{count} virtual machines"


def _by(counts: Mapping[str, Any]) -> str:
    """The most frequent kinds of requests, and how many the others are together."""
    found = sorted(((int(count), kind) for kind, count in counts.items()), key=lambda one: (-one[0], one[1]))
    rest = sum(count for count, _ in found[SHOWN:])
    words = [f"{count} {kind}" for count, kind in found[:SHOWN]] + ([f"{rest} others"] if rest else [])
    return ", ".join(words)
