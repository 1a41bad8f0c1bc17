"""The rows of what clients saw: latency, gaps and failures by kind of stream, and the rate of every stream."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from drainproof.errors import RecordError
from drainproof.streams import HEARTBEAT, OUTSIDE, TCP_KEPT, TCP_NEW, UDP, Stream
from reports.checks import outages
from reports.evidence import Evidence
from reports.spans import Span
from reports.streams import CLINIC, HTTP_NEW, HTTP_REUSED, SQL, period, timed_streams
from reports.timeline.allowed import STOPWATCH, Rules
from reports.timeline.model import Failures, Gaps, Heat, Line, Row
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
    rate, rules = _rate_grid(evidence, names), Rules.of(evidence)
    seen: list[_Seen] = []
    troubles = dict.fromkeys(sorted(_expected(evidence) - {*names}), "the record has no such stream")
    for name in names:
        try:
            seen.append(_seen(rules, name, rate))
        except RecordError as error:
            troubles[name] = str(error)
    rows = []
    for kind in TITLES:
        lacking = {name: why for name, why in troubles.items() if Stream.of(name).kind == kind}
        rows.append(_row(rules, kind, [one for one in seen if one.stream.kind == kind], lacking))
    return [*rows, _rates(evidence, rate, seen)]


def _expected(evidence: Evidence) -> set[str]:
    """The streams that the judge asks for."""
    watched = [one.name for kind in outages.kinds(evidence) for one in outages.expected(evidence, kind)]
    return {*timed_streams(evidence), *watched}


def _seen(rules: Rules, name: str, rate: Grid) -> _Seen:
    evidence = rules.evidence
    stream, window = Stream.of(name), evidence.window.span
    every = _period(evidence, stream)
    grid = Grid(window, max(1, min(MOST_BUCKETS, int(window.seconds / (2 * every)))))
    found = reduced(
        evidence.samples, name, grid, rate, evidence.window.baseline, every, late_counts=stream.kind in STOPWATCH,
        limit=math.inf if stream.kind == CLINIC else rules.ordinary(stream.kind),
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


def _row(rules: Rules, kind: str, seen: list[_Seen], lacking: Mapping[str, str]) -> Row:
    evidence = rules.evidence
    lines = tuple(_line(evidence, one) for one in seen if kind != HEARTBEAT)
    gaps = tuple(_gaps(rules, one) for one in seen if kind != CLINIC)
    failures = tuple(
        Failures(one.stream.name, one.found.failed, one.found.failures, _colour(evidence, one.stream))
        for one in seen if len(one.found.failed)
    )
    drawn = any(np.isfinite(line.values).any() for line in lines) or any(len(gap.begins) for gap in gaps) or failures
    return Row(
        id=kind, title=TITLES[kind], note=_note(rules, kind, seen, lacking), logarithmic=True, unit="s",
        lines=lines if drawn else (), gaps=gaps if drawn else (), failures=failures, levels=rules.levels(kind),
        missing="" if drawn else _why_empty(kind, seen, lacking),
        lacking="; ".join(f"{name}: {why}" for name, why in lacking.items()),
    )


def _why_empty(kind: str, seen: list[_Seen], lacking: Mapping[str, str]) -> str:
    if not seen:
        reasons = dict.fromkeys(lacking.values())
        return "; ".join(reasons) if reasons else "the record has no such stream"
    if kind == HEARTBEAT:
        return "no gap above normal; heartbeats come unasked and have no latency"
    return "no operation was answered and none failed"


def _note(rules: Rules, kind: str, seen: list[_Seen], lacking: Mapping[str, str]) -> str:
    """What the marks of this row mean, and what is not among them, as short as it can be told."""
    parts = [f"{_list(lacking)} not drawn" if lacking else ""]
    if kind == CLINIC:
        width = max((one.grid.width for one in seen), default=0) / 1e9
        return "; ".join(filter(None, [f"the worst request of each {width:.2g} s", *parts]))
    parts.append("only gaps" if kind == HEARTBEAT else "")
    longest = max((one.found.normal for one in seen), default=0.0)
    if longest > rules.ordinary(kind):
        parts.append(f"the baseline itself had a gap of {longest:.3g} s")
    elif seen:
        parts.append(f"normal up to {longest:.2g} s")
    left_out = sum(one.found.left_out for one in seen)
    parts.append(f"{left_out} shorter gaps are not drawn" if left_out else "")
    parts.append("" if rules.judged(kind) else "no limit under faults")
    parts.append("what faults allow is not known" if rules.trouble else "")
    return "; ".join(filter(None, parts))


def _list(names: Iterable[str]) -> str:
    """One name, or how many there are."""
    found = [_label(Stream.of(name)) for name in names]
    return found[0] if len(found) == 1 else f"{len(found)} streams"


def _line(evidence: Evidence, one: _Seen) -> Line:
    values = np.maximum(one.found.worst, FLOOR_SECONDS)
    away = one.stream.vantage != OUTSIDE
    return Line(
        _label(one.stream), _colour(evidence, one.stream), one.grid.window.begin, one.grid.width, values, dashed=away,
        dots=one.stream.kind == CLINIC,
    )


def _gaps(rules: Rules, one: _Seen) -> Gaps:
    found = one.found
    return Gaps(
        _label(one.stream), _colour(rules.evidence, one.stream), found.gap_begins, found.gap_ends, found.normal,
        found.left_out, rules.limits(one.stream, found.gap_begins, found.gap_ends),
    )


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
