"""The row of what disks did: how long each write of a guest took, when none was acknowledged, and what was refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from drainproof.errors import DrainproofError
from reports.disk_stretches import Stretch, stretches
from reports.disks import SOURCE, Session, sessions
from reports.evidence import Evidence
from reports.spans import Span
from reports.timeline.model import Failures, Floats, Gaps, Level, Line, Row, Times
from reports.timeline.palette import machine
from reports.timeline.reduce import LEAST_PERIODS, Grid, chosen, usual

TITLE = "Disks: every acknowledged write of the guests"
MOST_BUCKETS = 1500


def disks(evidence: Evidence) -> Row:
    """A curve and the gaps of each machine's writes. Raises MissingEvidenceError when no guest wrote."""
    found, judged = sessions(evidence), _judged(evidence)
    lines, gaps, failures = [], [], []
    for name, colour in writers(evidence).items():
        own = [session for session in found if session.vm == name]
        if own:
            lines.append(_line(evidence, name, colour, own))
            gaps.append(_gaps(evidence, name, colour, own, judged))
            failures += _refused(evidence, name, colour, own)
    return Row(
        "disks", TITLE, _note(evidence, found, gaps), logarithmic=True, unit="s", lines=tuple(lines), gaps=tuple(gaps),
        failures=tuple(failures), levels=_levels(evidence, judged),
    )


def _judged(evidence: Evidence) -> tuple[Stretch, ...]:
    """The parts of the run with their limits; none if it cannot be read what its faults allow."""
    try:
        return tuple(stretches(evidence))
    except DrainproofError:
        return ()


def writers(evidence: Evidence) -> Mapping[str, str]:
    """The colour of each machine under test, then of every other whose guest wrote, such as a clone."""
    wrote = [event.object for event in evidence.of_kind(SOURCE, "begin")]
    names = dict.fromkeys([*(vm.name for vm in evidence.vms), *wrote])
    return {name: machine(number) for number, name in enumerate(names)}


def _note(evidence: Evidence, found: Sequence[Session], gaps: Sequence[Gaps]) -> str:
    parts = ["by the guests’ clocks; beams: when the clients were told"]
    longest = max((one.normal for one in gaps), default=0.0)
    if longest > evidence.limits.io_pause_seconds:
        parts.append(f"the baseline itself had a gap of {longest:.3g} s")
    if endless := sum(not _ended(evidence, one) for one in found):
        parts.append(f"{endless} of {len(found)} ledgers have no end")
    if left_out := sum(one.left_out for one in gaps):
        parts.append(f"{left_out} shorter gaps are not drawn")
    return "; ".join(parts)


def _levels(evidence: Evidence, judged: Sequence[Stretch]) -> tuple[Level, ...]:
    """The limit of undisturbed time, and the longest that a fault of the storage itself allows."""
    limit = evidence.limits.io_pause_seconds
    if not judged:
        return (Level(limit, f"limit when undisturbed {limit:g} s; what faults allow is not known"),)
    eased = max(one.limit_s for one in judged)
    if eased <= limit:
        return (Level(limit, f"limit {limit:g} s"),)
    return Level(limit, f"limit when undisturbed {limit:g} s"), Level(eased, f"in a fault {eased:.4g} s", eased=True)


def _line(evidence: Evidence, name: str, colour: str, own: Sequence[Session]) -> Line:
    window, grid = evidence.window.span, _grid(evidence, own)
    worst = np.full(grid.count, np.nan)
    for session in own:
        inside = (session.arrived_ns >= window.begin) & (session.arrived_ns <= window.end) & session.taken
        took = (session.completed_us - session.submitted_us)[inside] / 1e6
        np.fmax.at(worst, grid.of(session.arrived_ns[inside]), np.maximum(took, 1e-6))
    return Line(name, colour, window.begin, grid.width, worst)


def _grid(evidence: Evidence, own: Sequence[Session]) -> Grid:
    window, every = evidence.window.span, min(session.period_s for session in own)
    return Grid(window, max(1, min(MOST_BUCKETS, int(window.seconds / (2 * every)))))


def _refused(evidence: Evidence, name: str, colour: str, own: Sequence[Session]) -> list[Failures]:
    """The first refusal of each bucket, how many it had, and their errors."""
    window, grid = evidence.window.span, _grid(evidence, own)
    first: dict[int, int] = {}
    errors: dict[int, list[int]] = {}
    for session in own:
        rows = ~session.taken & (session.arrived_ns >= window.begin) & (session.arrived_ns <= window.end)
        times, numbers = session.arrived_ns[rows], session.seq[rows]
        for time, bucket, number in zip(times.tolist(), grid.of(times).tolist(), numbers.tolist(), strict=True):
            first[bucket] = min(first.get(bucket, time), time)
            errors.setdefault(bucket, []).append(session.errors[number])
    told = tuple(
        f"{len(errors[bucket])} refused, error {', '.join(map(str, sorted({*errors[bucket]})))}"
        for bucket in sorted(first)
    )
    times = np.array([first[bucket] for bucket in sorted(first)], np.int64)
    return [Failures(f"writes/{name}", times, told, colour)] if first else []


def _gaps(
    evidence: Evidence, name: str, colour: str, own: Sequence[Session], judged: Sequence[Stretch]
) -> Gaps:
    """What lies between the writes of two sessions is no gap: nobody wrote then. A session without end goes on."""
    begins, ends = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for session in own:
        span = _whole(evidence, session, own)
        told = np.sort(session.arrived_ns[session.taken])
        inside = told[(told > span.begin) & (told < span.end)]
        edges = np.concatenate(([span.begin], inside, [span.end])).astype(np.int64)
        begins.append(edges[:-1])
        ends.append(edges[1:])
    first, last = np.concatenate(begins), np.concatenate(ends)
    least = LEAST_PERIODS * max(session.period_s for session in own)
    normal = usual(first, last, evidence.window.baseline, least)
    kept, left_out = chosen(first, last, min(normal, evidence.limits.io_pause_seconds))
    first, last = first[kept], last[kept]
    return Gaps(name, colour, first, last, normal, left_out, _limits(judged, first, last))


def _whole(evidence: Evidence, session: Session, own: Sequence[Session]) -> Span:
    """The part of the window in which a guest was to write; if no end is told, until it was to write anew."""
    window, span = evidence.window.span, session.span
    if not _ended(evidence, session):
        later = [one.span.begin for one in own if one.span.begin > span.begin]
        span = Span(span.begin, max(span.end, min([*later, window.end])))
    return span.within(window)


def _ended(evidence: Evidence, session: Session) -> bool:
    ends = evidence.of_kind(SOURCE, "end", session.vm)
    return any(event.data.get("session") == session.number for event in ends)


def _limits(judged: Sequence[Stretch], begins: Times, ends: Times) -> Floats:
    """The strictest limit of those parts of the run that each gap reaches into."""
    gaps = (Span(begin, end) for begin, end in zip(begins.tolist(), ends.tolist(), strict=True))
    return np.array([
        min((one.limit_s for one in judged if any(span.overlaps(gap) for span in one.spans)), default=np.inf)
        for gap in gaps
    ], np.float64)
