"""Whether a watch of the Kubernetes API can have missed something: it was not running, it broke, or it fell silent.

A watch tells all changes in order. So whatever it says, a change, a bookmark or its own end in time, proves that all
before it has been told, and what was silent until then has missed nothing. What was not heard of again proves nothing.
Watches that say so themselves (`proved="order"` where they start) are judged by that; those of older records, which
were asked for anew every 3 s, by their silence alone.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Self

from drainproof.record import Event
from reports.evidence import Evidence, Fault
from reports.series import holes
from reports.spans import Span, union

SILENT_SECONDS = 15.0
"""A watch of an older record says that it is current every few seconds; after longer it may have missed a change."""
UNHEARD_SECONDS = 90.0
"""One that tells in order is heard within 75 s, by a bookmark or its end: what stands still longer tells late."""
SOURCE = "watch"
ORDER = "order"


@dataclass(frozen=True)
class _Told:
    """What is known of the watch of one kind, by time."""

    started: tuple[int, ...]
    spoke: tuple[int, ...]
    """When it said something: a change, that it had started, or that it is current."""
    lost: tuple[Event, ...]
    """When it broke so that changes may have gone unseen."""
    in_order: bool

    @classmethod
    def of(cls, evidence: Evidence, kind: str) -> Self:
        """A watch without a name is that of all kinds."""
        own = [event for event in evidence.events if event.source == SOURCE and _is_of(event, kind)]
        starts = [event for event in own if event.kind == "started"]
        return cls(
            started=tuple(event.t_ns for event in starts),
            spoke=tuple(event.t_ns for event in own if event.kind in (kind, "started", "synced")),
            lost=tuple(event for event in own if event.kind == "lost" and not _in_vain(event, starts)),
            in_order=any(event.data.get("proved") == ORDER for event in starts),
        )

    @property
    def patience(self) -> float:
        return UNHEARD_SECONDS if self.in_order else SILENT_SECONDS

    def silent(self, span: Span) -> list[Span]:
        """Where in a span it was silent for too long, or at the end for good."""
        found = holes(self.spoke, span, self.patience)
        tail = self._tail(span) if self.in_order else None
        return found if tail is None or found[-1:] == [tail] else [*found, tail]

    def _tail(self, span: Span) -> Span | None:
        """From when it was last heard to the end of the span, if it was not heard again before it broke, or at all."""
        after = bisect_left(self.spoke, span.end)
        heard = self.spoke[after] if after < len(self.spoke) else None
        broke = next((event.t_ns for event in self.lost if event.t_ns >= span.end), None)
        if heard is not None and (broke is None or heard <= broke):
            return None
        return Span(max(span.begin, self.before(span.end)), span.end)

    def before(self, t_ns: int) -> int:
        """When it was last heard before a moment."""
        place = bisect_right(self.spoke, t_ns)
        return self.spoke[place - 1] if place else 0

    def after(self, t_ns: int, otherwise: int) -> int:
        """When it is next heard after a moment."""
        place = bisect_right(self.spoke, t_ns)
        return self.spoke[place] if place < len(self.spoke) else otherwise


def blind(evidence: Evidence, kind: str, span: Span) -> str:
    """Why the watch of a kind may have missed a change in a span, or empty."""
    told = _told(evidence, kind)
    if not told.started or told.started[0] > span.begin:
        return f"the watch was not running at {evidence.at(span.begin)}"
    lost = [event for event in told.lost if event.t_ns in span]
    if lost := [event for event in lost if not _excused(evidence, kind, Span(event.t_ns, event.t_ns))]:
        reason = lost[0].data.get("reason") or "no reason given"
        return f"the watch broke at {evidence.at(lost[0].t_ns)} ({reason}): changes may have gone unseen"
    silent = [hole for hole in told.silent(span) if not _excused(evidence, kind, hole)]
    if silent:
        return f"the watch said nothing for {silent[0].seconds:.1f} s from {evidence.at(silent[0].begin)} on"
    return ""


def unseen(evidence: Evidence, kind: str, span: Span) -> list[Span]:
    """When in a span the watch of a kind could not see: before it ran, from when it broke until it spoke again, and
    where it was silent for too long. That nothing turned out to have changed meanwhile does not shorten it."""
    told = _told(evidence, kind)
    found = [Span(span.begin, min(told.started, default=span.end)), *told.silent(span)]
    for event in told.lost:
        since = told.before(event.t_ns) if told.in_order else event.t_ns
        found.append(Span(since, told.after(event.t_ns, span.end)))
    return union(one.within(span) for one in found)


def _told(evidence: Evidence, kind: str) -> _Told:
    return evidence.once(f"{SOURCE}/{kind}", lambda: _Told.of(evidence, kind))


def _is_of(event: Event, kind: str) -> bool:
    return event.kind == kind or (event.kind in ("started", "synced", "lost") and event.object in (kind, ""))


def _in_vain(lost: Event, starts: list[Event]) -> bool:
    """Whether all there is was the same, version by version, when it was listed anew: nothing of it had changed."""
    again = next((event for event in starts if event.t_ns >= lost.t_ns), None)
    return again is not None and again.data.get("unchanged") is True


def _excused(evidence: Evidence, kind: str, hole: Span) -> bool:
    """Whether the API was taken away just then, and all that the watch looks at is after it as it was before."""
    return any(
        _during(fault, hole) and _unchanged(evidence, kind, hole)
        for fault in evidence.faults
        if fault.expects.blind_api
    )


def _during(fault: Fault, hole: Span) -> bool:
    """Whether a hole lies in a fault, give or take as long as a living watch may be silent.

    Before an API is taken away the watches prove that they have told all, however seldom they speak otherwise.
    """
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
