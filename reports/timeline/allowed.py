"""Which limit holds for a gap: the profile's while nothing was done, another while others take over, none for the lost.

These are the judge's own rules, so that no drawing accuses of what the verdict excuses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drainproof.errors import DrainproofError
from drainproof.streams import HEARTBEAT, TCP_KEPT, TCP_NEW, UDP, Stream
from reports.absences import excused, takeovers
from reports.evidence import UNPLANNED, Evidence
from reports.spans import Span, covered_seconds
from reports.streams import CLINIC, HTTP_NEW, SQL, gap_limit
from reports.timeline.model import Floats, Level, Times

STOPWATCH = (UDP, HEARTBEAT, TCP_KEPT, TCP_NEW)


@dataclass(frozen=True)
class Rules:
    """What faults of a case allow its streams."""

    evidence: Evidence
    eased: tuple[Span, ...] = ()
    """When those who are left take over."""
    trouble: str = ""
    """Why it is not known what is allowed, or empty."""

    @classmethod
    def of(cls, evidence: Evidence) -> Rules:
        """A run without faults that take machines away allows nothing."""
        if evidence.kind != UNPLANNED:
            return cls(evidence)
        try:
            return cls(evidence, takeovers(evidence))
        except DrainproofError as error:
            return cls(evidence, trouble=f"what faults allow cannot be told: {error}")

    def ordinary(self, kind: str) -> float:
        """The limit while nothing is done, seconds."""
        return self.evidence.limits.outage_seconds if kind in STOPWATCH else gap_limit(self.evidence, kind)

    def while_eased(self, kind: str) -> float:
        """The limit while others take over, seconds."""
        limits = self.evidence.limits
        other = limits.failover_sql_gap_seconds if kind == SQL else limits.failover_gap_seconds
        return max(self.ordinary(kind), other)

    def judged(self, kind: str) -> bool:
        """Whether any claim limits the gaps of such streams; of the stopwatch's, only connections under faults."""
        return kind != CLINIC and (self.evidence.kind != UNPLANNED or kind not in STOPWATCH or kind == TCP_NEW)

    def levels(self, kind: str) -> tuple[Level, ...]:
        """The limits as they are drawn; the first is that of undisturbed time."""
        if not self.judged(kind):
            return ()
        limit = self.ordinary(kind)
        if not self.eased:
            return (Level(limit, f"limit{' when undisturbed' if self.trouble else ''} {limit:g} s"),)
        eased = self.while_eased(kind)
        return (
            Level(limit, f"limit when undisturbed {limit:g} s"),
            Level(eased, f"in a failover {eased:g} s", eased=True),
        )

    def limits(self, stream: Stream, begins: Times, ends: Times) -> Floats:
        """The limit of each gap of a stream, seconds: what is excused of it is added; infinite if nothing judges it."""
        if not self.judged(stream.kind) or self.trouble:
            return np.full(len(begins), np.inf)
        ordinary, eased = self.ordinary(stream.kind), self.while_eased(stream.kind)
        own = self._excused(stream)
        found = []
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
            gap = Span(begin, end)
            limit = eased if any(span.overlaps(gap) for span in self.eased) else ordinary
            away = covered_seconds(gap, own)
            found.append(float("inf") if away and stream.kind == TCP_NEW else limit + away)
        return np.array(found, np.float64)

    def _excused(self, stream: Stream) -> tuple[Span, ...]:
        """When the judge lets it be silent; connections are excused as requests to the same target are."""
        if self.evidence.kind != UNPLANNED:
            return ()
        kind = HTTP_NEW if stream.kind == TCP_NEW else stream.kind
        return excused(self.evidence, f"{kind}/{stream.target}")
