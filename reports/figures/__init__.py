"""Figures: what a case measured, by name, object and unit, so that runs can be compared without reading samples again.

Each family is a function from the evidence to its figures; none of them judges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from reports.evidence import Evidence
from reports.figures import downtime, drains, latency, migrations, recovery, replication, stopwatch, storage
from reports.verdict import Figure

Family = Callable[[Evidence], Iterable[Figure]]
FAMILIES: Final[tuple[Family, ...]] = (
    downtime.figures,
    stopwatch.figures,
    migrations.figures,
    drains.figures,
    recovery.figures,
    latency.figures,
    replication.figures,
    storage.figures,
)


def figures(evidence: Evidence) -> tuple[Figure, ...]:
    """The figures of all families; one that breaks on a record of an odd shape leaves the others as they are."""
    found: list[Figure] = []
    for family in FAMILIES:
        try:
            found += tuple(family(evidence))
        except Exception:  # noqa: BLE001 - a figure that cannot be had must not keep the verdict from being told
            continue
    return tuple(found)
