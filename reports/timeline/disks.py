"""The row of what disks did: how long each write of a guest took, and when none was acknowledged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reports.disks import Session, sessions
from reports.evidence import Evidence
from reports.timeline.model import Gaps, Level, Line, Row
from reports.timeline.palette import machine
from reports.timeline.reduce import LEAST_PERIODS, Grid

TITLE = "Disks: every acknowledged write of the guests"
MOST_BUCKETS = 1500


def disks(evidence: Evidence) -> Row:
    """A curve and the gaps of each machine's writes. Raises MissingEvidenceError when no guest wrote."""
    found = sessions(evidence)
    names = sorted({session.vm for session in found})
    lines, gaps = [], []
    for name in names:
        own = [session for session in found if session.vm == name]
        lines.append(_line(evidence, name, machine(names.index(name)), own))
        gaps.append(_gaps(evidence, name, machine(names.index(name)), own))
    limit = evidence.limits.io_pause_seconds
    return Row(
        "disks", TITLE, "by the guests’ clocks; beams: when the clients were told", logarithmic=True, unit="s",
        lines=tuple(lines), gaps=tuple(gaps), levels=(Level(limit, f"limit {limit:g} s"),),
    )


def _line(evidence: Evidence, name: str, colour: str, own: Sequence[Session]) -> Line:
    window, every = evidence.window.span, min(session.period_s for session in own)
    grid = Grid(window, max(1, min(MOST_BUCKETS, int(window.seconds / (2 * every)))))
    worst = np.full(grid.count, np.nan)
    for session in own:
        inside = (session.arrived_ns >= window.begin) & (session.arrived_ns <= window.end) & session.taken
        took = (session.completed_us - session.submitted_us)[inside] / 1e6
        np.fmax.at(worst, grid.of(session.arrived_ns[inside]), np.maximum(took, 1e-6))
    return Line(name, colour, window.begin, grid.width, worst)


def _gaps(evidence: Evidence, name: str, colour: str, own: Sequence[Session]) -> Gaps:
    """What lies between the writes of two sessions is no gap: nobody wrote then."""
    window, baseline = evidence.window.span, evidence.window.baseline
    begins, ends = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for session in own:
        span = session.span.within(window)
        told = np.sort(session.arrived_ns[session.taken])
        inside = told[(told > span.begin) & (told < span.end)]
        edges = np.concatenate(([span.begin], inside, [span.end])).astype(np.int64)
        begins.append(edges[:-1])
        ends.append(edges[1:])
    first, last = np.concatenate(begins), np.concatenate(ends)
    quiet = (last - first)[(first >= baseline.begin) & (last <= baseline.end)]
    least = LEAST_PERIODS * max(session.period_s for session in own)
    normal = max(least, float(quiet.max(initial=0)) / 1e9)
    kept = (last - first) > normal * 1e9
    return Gaps(name, colour, first[kept], last[kept], normal)
