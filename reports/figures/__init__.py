"""Figures: what a case measured, by name, object and unit, so that runs can be compared without reading samples again.

Each family is a function from the evidence to its figures; none of them judges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from reports.evidence import Evidence
from reports.figures import downtime, drains, latency, migrations, recovery, replication, stopwatch, storage
from reports.verdict import Figure, MissingEvidenceError

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


VERSION: Final = "3"
"""Of what the figures mean: those of different versions are not compared; raised with every change of a definition."""


def figures(evidence: Evidence) -> tuple[Figure, ...]:
    """The figures of all families; one that breaks leaves the others, and its own that it told before, as they are.

    In place of those that it did not come to stands one without a value, which says why.
    """
    return tuple(figure for family in FAMILIES for figure in _told(family, evidence))


def _told(family: Family, evidence: Evidence) -> Iterator[Figure]:
    try:
        yield from family(evidence)
    except MissingEvidenceError as error:
        yield _none(family, str(error))
    except Exception as error:  # noqa: BLE001 - a figure that cannot be had must not keep the verdict from being told
        yield _none(family, f"the record is of an odd shape: {type(error).__name__}: {error}")


def _none(family: Family, reason: str) -> Figure:
    name = family.__module__.rpartition(".")[2]
    return Figure(axis=f"figures of {name}", object="all", value=None, unit="", reason=reason)
