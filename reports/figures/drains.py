"""How long each drain took, in the order in which they were begun."""

from __future__ import annotations

from collections.abc import Iterator

from drainproof.record import Event
from reports.evidence import Evidence
from reports.verdict import Figure

AXIS = "drain time"
RESOLUTION = 1.0
"""A drain looks once a second whether the node is empty."""


def figures(evidence: Evidence) -> Iterator[Figure]:
    """From the begin of each drain until its node could be given back: every pod gone, every machine Ready elsewhere.

    The object is the number of the drain: which node a machine was on differs from run to run.
    """
    window = evidence.window.span
    begins = [event for event in evidence.of_kind("drain", "begin") if event.t_ns in window]
    for number, begin in enumerate(begins, 1):
        later = [one.t_ns for one in begins if one.object == begin.object and one.t_ns > begin.t_ns]
        own = [
            event for event in evidence.events
            if event.source == "drain" and event.object == begin.object
            and begin.t_ns < event.t_ns < min(later, default=window.end)
        ]
        yield _figure(f"drain {number}", begin, own)


def _figure(name: str, begin: Event, own: list[Event]) -> Figure:
    ended = next((event for event in own if event.kind == "end"), None)
    given_back = next((event for event in own if event.kind == "uncordoned"), ended)
    if ended is None or given_back is None:
        return Figure(axis=AXIS, object=name, value=None, unit="s", reason="the record has no end of this drain")
    error = str(ended.data.get("error") or "")
    return Figure(
        axis=AXIS, object=name, value=(given_back.t_ns - begin.t_ns) / 1e9, unit="s", resolution=RESOLUTION,
        reason=f"it was given up: {error}" if error else "", at_least=bool(error),
    )
