"""The timeline as a list: every bar, gap and failure by time, for those who cannot see a drawing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from reports.text import number
from reports.timeline.model import Gaps, Row, Timeline

MOST: Final = 200
"""So many bars, gaps and failures each of a row are listed: the longest, or the first of those that have no length."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One mark of the drawing, in words. The strings are the cluster's own: whoever shows them escapes them."""

    begin: int
    """Monotonic nanoseconds."""
    at: str
    """The time of day, UTC."""
    seconds: float | None
    row: str
    of: str
    told: str


@dataclass(frozen=True)
class Listing:
    """The marks of a timeline by time, and how many of which row are not among them."""

    entries: tuple[Entry, ...]
    left_out: tuple[tuple[str, int], ...]


def listing(timeline: Timeline) -> Listing:
    """All marks of the rows that are drawn, but for curves and shares, which are no events."""
    entries: list[Entry] = []
    left_out: list[tuple[str, int]] = []
    for row in timeline.drawn:
        found = [_longest(kind) for kind in (_bars(timeline, row), _silences(timeline, row), _failures(timeline, row))]
        cut = sum(more for _, more in found) + sum(gaps.left_out for gaps in row.gaps)
        entries += [entry for kept, _ in found for entry in kept]
        left_out += [(row.title, cut)] if cut else []
    return Listing(tuple(sorted(entries, key=lambda one: (one.begin, one.row, one.of, one.told))), tuple(left_out))


def _longest(entries: Iterable[Entry]) -> tuple[list[Entry], int]:
    """The longest of them, and how many are left out."""
    found = sorted(entries, key=lambda one: (-(one.seconds or 0), one.begin))
    return found[:MOST], max(0, len(found) - MOST)


def _bars(timeline: Timeline, row: Row) -> Iterator[Entry]:
    for bar in row.bars:
        seconds = (bar.end - bar.begin) / 1e9
        yield Entry(bar.begin, _clock(timeline, bar.begin), seconds, row.title, row.lanes[bar.lane], bar.told)


def _silences(timeline: Timeline, row: Row) -> Iterator[Entry]:
    for gaps in row.gaps:
        for begin, end, told in zip(gaps.begins.tolist(), gaps.ends.tolist(), _rules(gaps), strict=True):
            yield Entry(begin, _clock(timeline, begin), (end - begin) / 1e9, row.title, gaps.name, told)


def _rules(gaps: Gaps) -> Iterator[str]:
    """What each gap is, and how long the judge lets it be."""
    if gaps.limits is None:
        yield from ["no answer"] * len(gaps.begins)
        return
    for seconds, limit in zip(gaps.seconds.tolist(), gaps.limits.tolist(), strict=True):
        if math.isfinite(limit):
            exceeded = ", which is exceeded" if seconds > limit else ""
            yield f"no answer; {number(limit)} s allowed then{exceeded}"
        else:
            yield "no answer; no limit holds for it"


def _failures(timeline: Timeline, row: Row) -> Iterator[Entry]:
    for failures in row.failures:
        for begin, told in zip(failures.times.tolist(), failures.told, strict=True):
            name = failures.name.partition("/")[2] or failures.name
            yield Entry(begin, _clock(timeline, begin), None, row.title, name, f"failed: {told}")


def _clock(timeline: Timeline, t_ns: int) -> str:
    moment = datetime.fromtimestamp(float(timeline.wall_ms(t_ns)) / 1000, tz=UTC)
    return moment.strftime("%H:%M:%S.%f")[:-3]
