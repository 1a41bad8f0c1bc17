"""How an outage is read out of what a tool prints, in the way that serves the tool best.

For each tool every way of reading its output and every threshold is tried, and the one that finds most blackouts with
the fewest false alarms is kept: a hindsight that no user of the tool has. The stopwatch is read without any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import numpy.typing as npt

from bench.instrument.blackouts import MS, Truth
from bench.instrument.matching import Found, Score, match

Times = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
THRESHOLDS_NS = tuple(round(MS * 10 ** (step / 10)) for step in range(-3, 31))
"""From 0.5 ms to 1 s, ten to a decade."""
TOUCH_NS = 50 * MS
"""A tool's clock need not agree with ours any better to have its alarm counted."""
AFTERMATH_NS = 1000 * MS
"""And after a blackout it has as long again, twice, and this much, in which further alarms are not called false."""


@dataclass(frozen=True, eq=False)
class Requests:
    """What a tool tells of its single requests; monotonic ns."""

    start: Times
    end: Times
    good: Mask


@dataclass(frozen=True, slots=True)
class Window:
    """What a tool tells of a while, as a whole."""

    begin_ns: int
    end_ns: int
    slowest_ns: int
    failures: int


@dataclass(frozen=True)
class Reading:
    """The best that a tool's output gives."""

    way: str
    threshold_ns: int
    score: Score

    @property
    def errors_ns(self) -> list[int]:
        """The errors of the length, without sign; a blackout that was not found is told as no time at all."""
        return [abs(pair.error_ns) for pair in self.score.pairs] + [truth.length_ns for truth in self.score.missed]

    @property
    def error_ns(self) -> int:
        """The median of the errors."""
        return int(median(self.errors_ns)) if self.errors_ns else 0

    @property
    def worst_ns(self) -> int:
        """The largest of the errors."""
        return max(self.errors_ns, default=0)


Way = Callable[[int], list[Found]]


def ways_of(told: Requests | Sequence[Window], quiet: tuple[int, int]) -> dict[str, Way]:
    """Every way of reading what a tool told: alarms by threshold. `quiet` is the time before the first blackout."""
    if not isinstance(told, Requests):
        windows = list(told)
        return {
            "slowest request of a run": lambda limit: slow_windows(windows, quiet, limit),
            "failures": lambda _: failing(windows),
        }
    calm = (told.start >= quiet[0]) & (told.end <= quiet[1]) & told.good
    usual = int(np.median((told.end - told.start)[calm])) if calm.any() else 0
    ends = np.sort(told.end[calm])
    apart = int(np.median(np.diff(ends))) if len(ends) > 1 else 0
    return {
        "time between answers": lambda limit: gaps(told, apart, limit),
        "slowest request": lambda limit: slow(told, usual, limit),
        "failures": lambda _: failures(told),
    }


def best(told: Requests | Sequence[Window], quiet: tuple[int, int], truths: Sequence[Truth]) -> Reading:
    """The reading with most blackouts found less alarms that were false; among equals the most exact."""
    lenient = [replace(truth, drained_ns=truth.end_hi_ns + 2 * truth.length_ns + AFTERMATH_NS) for truth in truths]
    readings = [
        Reading(way, limit, match(read(limit), lenient, touch_ns=TOUCH_NS))
        for way, read in ways_of(told, quiet).items() for limit in THRESHOLDS_NS
    ]
    return max(readings, key=lambda one: (len(one.score.pairs) - len(one.score.false), -one.error_ns))


def by_failures(told: Requests | Sequence[Window], truths: Sequence[Truth]) -> float:
    """The share of blackouts in which the tool shows any failure at all."""
    return match(ways_of(told, (0, 0))["failures"](0), truths, touch_ns=AFTERMATH_NS).detection


def gaps(told: Requests, usual_ns: int, limit_ns: int) -> list[Found]:
    """Times between two successive answers that are longer than the limit."""
    ends = np.sort(told.end[told.good])
    apart = np.diff(ends)
    long = np.flatnonzero(apart > limit_ns)
    return [_alarm(int(ends[at]), int(ends[at + 1]), int(apart[at]) - usual_ns) for at in long]


def slow(told: Requests, usual_ns: int, limit_ns: int) -> list[Found]:
    """Requests that took longer than the limit; those that overlap are one alarm, as long as the slowest."""
    took = told.end - told.start
    chosen = np.flatnonzero((took > limit_ns) | ~told.good)
    spans = sorted((int(told.start[at]), int(told.end[at])) for at in chosen)
    return [_alarm(begin, end, longest - usual_ns) for begin, end, longest in _merged(spans)]


def failures(told: Requests) -> list[Found]:
    """Requests that failed."""
    spans = sorted((int(told.start[at]), int(told.end[at])) for at in np.flatnonzero(~told.good))
    return [_alarm(begin, end, longest) for begin, end, longest in _merged(spans)]


def slow_windows(windows: Iterable[Window], quiet: tuple[int, int], limit_ns: int) -> list[Found]:
    """Whiles whose slowest request took longer than the limit."""
    windows = list(windows)
    calm = [window.slowest_ns for window in windows if window.end_ns <= quiet[1]]
    usual = int(median(calm)) if calm else 0
    return [_alarm(one.begin_ns, one.end_ns, one.slowest_ns - usual) for one in windows if one.slowest_ns > limit_ns]


def failing(windows: Iterable[Window]) -> list[Found]:
    """Whiles with a failure."""
    return [_alarm(one.begin_ns, one.end_ns, one.slowest_ns) for one in windows if one.failures]


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Spans in order, those that overlap as one, each with the length of its longest part."""
    merged: list[tuple[int, int, int]] = []
    for begin, end in spans:
        if merged and begin <= merged[-1][1]:
            first, last, longest = merged[-1]
            merged[-1] = (first, max(last, end), max(longest, end - begin))
        else:
            merged.append((begin, end, end - begin))
    return merged


def _alarm(begin: int, end: int, length: int) -> Found:
    return Found(begin, end, length, length, length)
