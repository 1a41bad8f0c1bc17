"""Whether a watch of the Kubernetes API can have missed something: it was not running, it broke, or it fell silent."""

from __future__ import annotations

from drainproof.record import Event
from reports.evidence import Evidence, Fault
from reports.series import holes
from reports.spans import Span, union

SILENT_SECONDS = 15.0
"""A watch says that it is current every few seconds; one that is silent for longer may have missed a change."""
SOURCE = "watch"


def blind(evidence: Evidence, kind: str, span: Span) -> str:
    """Why the watch of a kind may have missed a change in a span, or empty."""
    started = [event.t_ns for event in evidence.of_kind(SOURCE, "started") if event.object in (kind, "")]
    if not started or started[0] > span.begin:
        return f"the watch was not running at {evidence.at(span.begin)}"
    lost = [event for event in evidence.of_kind(SOURCE, "lost") if event.t_ns in span and event.object in (kind, "")]
    if lost := [event for event in lost if not _excused(evidence, kind, Span(event.t_ns, event.t_ns))]:
        reason = lost[0].data.get("reason") or "no reason given"
        return f"the watch broke at {evidence.at(lost[0].t_ns)} ({reason}): changes may have gone unseen"
    alive = [event.t_ns for event in evidence.events if event.source == SOURCE and _speaks(event, kind)]
    silent = [hole for hole in holes(sorted(alive), span, SILENT_SECONDS) if not _excused(evidence, kind, hole)]
    if silent:
        return f"the watch said nothing for {silent[0].seconds:.1f} s from {evidence.at(silent[0].begin)} on"
    return ""


def unseen(evidence: Evidence, kind: str, span: Span) -> list[Span]:
    """When in a span the watch of a kind could not see: before it ran, from when it broke until it spoke again, and
    where it was silent for too long. That nothing turned out to have changed meanwhile does not shorten it."""
    alive = sorted(event.t_ns for event in evidence.events if event.source == SOURCE and _speaks(event, kind))
    started = [event.t_ns for event in evidence.of_kind(SOURCE, "started") if event.object in (kind, "")]
    lost = [event.t_ns for event in evidence.of_kind(SOURCE, "lost") if event.object in (kind, "")]
    found = [Span(span.begin, min(started, default=span.end)), *holes(alive, span, SILENT_SECONDS)]
    found += [Span(since, min((time for time in alive if time > since), default=span.end)) for since in lost]
    return union(one.within(span) for one in found)


def _speaks(event: Event, kind: str) -> bool:
    """Whether the watch of a kind said something: a change, or that it is current; a nameless one speaks for all."""
    return event.kind == kind or (event.kind in ("started", "synced") and event.object in (kind, ""))


def _excused(evidence: Evidence, kind: str, hole: Span) -> bool:
    """Whether the API was taken away just then, and all that the watch looks at is after it as it was before."""
    return any(
        _during(fault, hole) and _unchanged(evidence, kind, hole)
        for fault in evidence.faults
        if fault.expects.blind_api
    )


def _during(fault: Fault, hole: Span) -> bool:
    """Whether a hole lies in a fault, give or take as long as a living watch may be silent."""
    around = fault.span.widened(SILENT_SECONDS)
    return hole.begin in around and hole.end in around


def _unchanged(evidence: Evidence, kind: str, hole: Span) -> bool:
    changes = evidence.of_kind(SOURCE, kind)
    before = {event.object: _identity(event) for event in changes if event.t_ns <= hole.begin}
    after: dict[str, tuple[str, str]] = {}
    for event in changes:
        if event.t_ns >= hole.end:
            after.setdefault(event.object, _identity(event))
    living = {name for name, (uid, _) in before.items() if uid}
    return bool(living) and all(after.get(name) == before[name] for name in living)


def _identity(event: Event) -> tuple[str, str]:
    """Which object it is and where; of one that was deleted, nothing."""
    if event.data.get("event") == "DELETED":
        return "", ""
    return str(event.data.get("uid") or ""), str(event.data.get("node") or "")
