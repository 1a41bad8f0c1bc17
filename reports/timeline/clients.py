"""The rows of what clients saw: latency, gaps and failures by kind of stream, and the rate of every stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from drainproof.errors import RecordError
from drainproof.streams import HEARTBEAT, OUTSIDE, TCP_KEPT, TCP_NEW, UDP, Stream
from reports.evidence import Evidence
from reports.spans import Span
from reports.streams import CLINIC, HTTP_NEW, HTTP_REUSED, SQL, gap_limit, period
from reports.timeline.model import Failures, Gaps, Heat, Level, Line, Row
from reports.timeline.palette import machine
from reports.timeline.reduce import Grid, Reduced, reduced

TITLES: Mapping[str, str] = {
    HTTP_NEW: "HTTP, a new connection for each request",
    HTTP_REUSED: "HTTP, kept connections",
    SQL: "SQL: commit latency of acknowledged writes",
    CLINIC: "Clinic staff through the virtual IP",
    UDP: "UDP echo",
    HEARTBEAT: "Guests’ own heartbeat",
    TCP_KEPT: "TCP, kept connections",
    TCP_NEW: "TCP, new connections",
}
STOPWATCH = (UDP, HEARTBEAT, TCP_KEPT, TCP_NEW)
MOST_BUCKETS = 1500
MOST_RATE_BUCKETS = 400
RATE_PERIODS = 5
LEAST_RATE_SECONDS = 1.0
THINKING_SECONDS = 0.5
"""Clinic staff have no schedule; their rate is counted as coarsely as that of such a stream."""
FLOOR_SECONDS = 1e-6
"""What a logarithmic axis shows at least."""


@dataclass(frozen=True)
class _Seen:
    """One stream as it is drawn."""

    stream: Stream
    grid: Grid
    found: Reduced


def clients(evidence: Evidence) -> list[Row]:
    """A row for each kind of stream, and one with the rate of all. A stream that cannot be read is told in its row."""
    names = sorted(name for name in evidence.samples if Stream.of(name).kind in TITLES)
    rate = _rate_grid(evidence, names)
    seen: list[_Seen] = []
    troubles: dict[str, str] = {}
    for name in names:
        try:
            seen.append(_seen(evidence, name, rate))
        except RecordError as error:
            troubles[Stream.of(name).kind] = str(error)
    rows = [_row(evidence, kind, [one for one in seen if one.stream.kind == kind], troubles) for kind in TITLES]
    return [*rows, _rates(evidence, rate, seen)]


def _seen(evidence: Evidence, name: str, rate: Grid) -> _Seen:
    stream, window = Stream.of(name), evidence.window.span
    every = _period(evidence, stream)
    grid = Grid(window, max(1, min(MOST_BUCKETS, int(window.seconds / (2 * every)))))
    found = reduced(
        evidence.samples, name, grid, rate, evidence.window.baseline, every, late_counts=stream.kind in STOPWATCH
    )
    return _Seen(stream, grid, found)


def _period(evidence: Evidence, stream: Stream) -> float:
    if stream.kind == CLINIC:
        return THINKING_SECONDS
    return 1 / evidence.load.stopwatch_rate(stream) if stream.kind in STOPWATCH else period(evidence, stream.name)


def _rate_grid(evidence: Evidence, names: Iterable[str]) -> Grid:
    """Buckets in which the slowest stream has a few operations."""
    window = evidence.window.span
    slowest = max((_period(evidence, Stream.of(name)) for name in names), default=1.0)
    width = max(LEAST_RATE_SECONDS, RATE_PERIODS * slowest)
    return Grid(window, max(1, min(MOST_RATE_BUCKETS, int(window.seconds / width))))


def _row(evidence: Evidence, kind: str, seen: list[_Seen], troubles: Mapping[str, str]) -> Row:
    lines = tuple(_line(evidence, one) for one in seen if kind != HEARTBEAT)
    gaps = tuple(_gaps(evidence, one) for one in seen if kind != CLINIC)
    failures = tuple(
        Failures(one.stream.name, one.found.failed, one.found.failures) for one in seen if len(one.found.failed)
    )
    drawn = any(np.isfinite(line.values).any() for line in lines) or any(len(gap.begins) for gap in gaps) or failures
    missing = "" if drawn else troubles.get(kind) or _why_empty(kind, seen)
    return Row(
        id=kind, title=TITLES[kind], note=_note(kind, gaps), logarithmic=True, unit="s",
        lines=lines if drawn else (), gaps=gaps if drawn else (), failures=failures,
        levels=_limits(evidence, kind), missing=missing,
    )


def _why_empty(kind: str, seen: list[_Seen]) -> str:
    if not seen:
        return "the record has no such stream"
    if kind == HEARTBEAT:
        return "no gap above normal; heartbeats come unasked and have no latency"
    return "no operation was answered and none failed"


def _note(kind: str, gaps: tuple[Gaps, ...]) -> str:
    left_out = sum(gap.left_out for gap in gaps)
    more = f"; {left_out} shorter gaps are not drawn" if left_out else ""
    return {CLINIC: "each request", HEARTBEAT: f"only gaps{more}"}.get(kind, more.removeprefix("; "))


def _line(evidence: Evidence, one: _Seen) -> Line:
    values = np.maximum(one.found.worst, FLOOR_SECONDS)
    away = one.stream.vantage != OUTSIDE
    return Line(
        _label(one.stream), _colour(evidence, one.stream), one.grid.window.begin, one.grid.width, values, dashed=away,
        dots=one.stream.kind == CLINIC,
    )


def _gaps(evidence: Evidence, one: _Seen) -> Gaps:
    found = one.found
    return Gaps(
        _label(one.stream), _colour(evidence, one.stream), found.gap_begins, found.gap_ends, found.normal,
        found.left_out,
    )


def _limits(evidence: Evidence, kind: str) -> tuple[Level, ...]:
    if kind == CLINIC:
        return ()
    limit = evidence.limits.outage_seconds if kind in STOPWATCH else gap_limit(evidence, kind)
    return (Level(limit, f"limit {limit:g} s"),)


def _label(stream: Stream) -> str:
    return stream.name.partition("/")[2]


def _colour(evidence: Evidence, stream: Stream) -> str:
    names = [vm.name for vm in evidence.vms]
    return machine(names.index(stream.target)) if stream.target in names else "other"


def _rates(evidence: Evidence, grid: Grid, seen: list[_Seen]) -> Row:
    """Answers per second of each stream, beside those of its baseline; clinic staff count together."""
    title, lanes = "Answered requests per second", dict(_lanes(seen))
    if not lanes:
        return Row("rate", title, missing="the record has no samples of clients")
    seconds = grid.width / 1e9
    told = np.array([counts / seconds for counts in lanes.values()], np.float64)
    usual = _usual(grid, evidence.window.baseline, told)
    shares = np.divide(told, usual[:, None], out=np.zeros_like(told), where=usual[:, None] > 0)
    heat = Heat(grid.window.begin, grid.width, shares, told, "/s")
    note = f"colour: share of the baseline’s rate, in steps of {seconds:.1f} s"
    return Row("rate", title, note, tuple(lanes), unit="/s", heat=heat)


def _lanes(seen: list[_Seen]) -> Iterator[tuple[str, np.ndarray[tuple[int], np.dtype[np.int64]]]]:
    for one in seen:
        if one.stream.kind != CLINIC:
            yield one.stream.name, one.found.answered
    staff = [one.found.answered for one in seen if one.stream.kind == CLINIC]
    if staff:
        yield CLINIC, np.sum(staff, axis=0)


def _usual(grid: Grid, baseline: Span, told: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> np.ndarray[
    tuple[int], np.dtype[np.float64]
]:
    """The mean rate of each lane in the buckets that lie in the baseline; of all if none does."""
    begins = grid.window.begin + np.arange(grid.count) * grid.width
    inside = (begins >= baseline.begin) & (begins + grid.width <= baseline.end)
    usual: np.ndarray[tuple[int], np.dtype[np.float64]] = told[:, inside if inside.any() else slice(None)].mean(axis=1)
    return usual
