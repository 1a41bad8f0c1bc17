"""What the project's own judge makes of a case: its outages, and how much of the time the stopwatch was away."""

from __future__ import annotations

from dataclasses import dataclass

from bench.instrument.blackouts import MS
from bench.instrument.matching import Found
from bench.instrument.stage import Watch
from drainproof.record import CaseReader
from drainproof.streams import Stream
from reports.outages.outage import Outage
from reports.outages.reading import Stopwatch
from reports.outages.voids import Voids
from reports.spans import Span

NEAR_NS = 2 * MS
"""An absence of the client that close to an outage's border makes its midpoint a guess."""


@dataclass(frozen=True)
class Measured:
    """What one stream has shown."""

    found: list[Found]
    void_share: float
    longest_gap_ns: int
    detection_ns: int


def measured(watch: Watch, stream: str, baseline: tuple[int, int], window: tuple[int, int]) -> Measured:
    """Read a finished stopwatch's stream in a window, with what is normal taken from its baseline."""
    case = CaseReader(watch.directory)
    reader = Stopwatch(case.samples(), case.events(), watch.plan.load, Span(*baseline))
    asked, span = Stream.of(stream), Span(*window)
    reading, voids = reader.read(asked, span), reader.voids(asked, span)
    return Measured(
        [_found(outage, voids) for outage in reading.finding.outages], reading.void_ns / (window[1] - window[0]),
        reading.finding.longest_gap_ns, reading.detection_ns,
    )


def _found(outage: Outage, voids: Voids) -> Found:
    stalled = any(
        voids.doubtful(begin - NEAR_NS, end + NEAR_NS) > 0
        for begin, end in ((outage.begin_lo, outage.begin_hi), (outage.end_lo, outage.end_hi))
    )
    return Found(outage.begin_lo, outage.end_hi, outage.lo_ns, outage.mid_ns, outage.hi_ns, stalled)
