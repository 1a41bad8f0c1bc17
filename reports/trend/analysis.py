"""The trend of every stream: each series with its verdicts, changes and proposals, and the cases that are gone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.stats import false_discovery_control

from drainproof.settings import Limits
from reports.trend.changes import ENOUGH, LEVEL, Change, Values, changes, outliers
from reports.trend.differences import Difference, Mark, differences, marks
from reports.trend.entries import CLAIM, MIXED, Key
from reports.trend.episodes import Standing, standing
from reports.trend.history import Damage, History, Stream
from reports.trend.limits import Proposal, propose
from reports.trend.series import Series, gather
from reports.trend.vanished import Vanished, vanished
from reports.verdict import Better, Verdict

VALUES, RATES = "values", "failures"
Test = tuple[Key, int, str]
"""A series by its key, its identity (streams share keys), and which of its numbers were tested."""
Found = Mapping[Test, tuple[Change, ...]]
Place = Callable[[Sequence[int], Change, bool, float], "Step"]


@dataclass(frozen=True)
class Options:
    """What was asked."""

    patterns: tuple[str, ...] = ()
    last: int = 14
    """How many of its newest runs the answer is about, for each series."""
    tolerance: float = 0.1
    """A confirmed worsening by a smaller share than this is told and does not count."""


@dataclass(frozen=True, slots=True)
class Step:
    """A confirmed change, in terms of the runs of the stream."""

    at: int
    """The first run after it: the one in which something else changed if there is one such run where it may lie."""
    last_before: int
    """The last run that counts and is surely before it, ..."""
    first_after: int
    """... and the first that is surely after it: the cause lies between the two."""
    change: Change
    """Of the measured values, or of the share of runs that fail."""
    worse: bool
    large: bool
    """Whether it is at least as large as the tolerance; from a level of zero, as what the instrument is sure to see."""
    marked: bool
    """Whether `at` is where the description of the runs changed; otherwise it is the best estimate by the values."""


@dataclass(frozen=True)
class Line:
    """One series as analysed."""

    series: Series
    standing: Standing | None
    """None where nothing is judged by itself: a figure, a part of a claim. Its indices are those of `series.told`."""
    steps: tuple[Step, ...]
    rates: tuple[Step, ...]
    """Changes of how often the claim fails."""
    apart: tuple[int, ...]
    """Runs whose value is an outlier of its segment."""
    proposal: Proposal | None

    @property
    def key(self) -> Key:
        return self.series.key


@dataclass(frozen=True, slots=True)
class KeyProposal:
    """What history proposes for a key of a profile's [limits]: the largest proposal of the series it limits."""

    key: str
    limit: float
    now: float | None
    """What the newest run was held against."""
    decides: Line
    series: int
    """How many series it limits."""
    silent: int
    """How many of them have too few passing runs to say anything."""


@dataclass(frozen=True)
class StreamTrend:
    """Everything concluded about one stream."""

    stream: Stream
    marks: tuple[Mark, ...]
    lines: tuple[Line, ...]
    vanished: tuple[Vanished, ...]
    limits: tuple[KeyProposal, ...]

    def differences(self, before: int, after: int) -> tuple[Difference, ...]:
        """What changed in the description of the runs between two of them."""
        return differences(self.stream.rows[before], self.stream.rows[after])


@dataclass(frozen=True)
class Trend:
    """What the command tells; `answer` of the module of that name draws the conclusion."""

    options: Options
    streams: tuple[StreamTrend, ...]
    damaged: tuple[Damage, ...]
    duplicates: tuple[str, ...]
    tested: int
    """How many series, of all streams, were looked at for changes."""


def analyse(history: History, options: Options) -> Trend:
    """Compute everything; the same history gives the same trend."""
    gathered = [(stream, tuple(gather(stream, options.patterns))) for stream in history.streams]
    several = [series for _, of_stream in gathered for series in of_stream]
    found = told_apart(dict(_tests(several)))
    streams = [_stream(stream, of_stream, found, options) for stream, of_stream in gathered if of_stream]
    return Trend(options, tuple(streams), history.damaged, history.duplicates, len(dict(_tests(several))))


def _tests(several: Sequence[Series]) -> Iterator[tuple[Test, Values]]:
    """What is looked at for changes: values, and of claims how often they fail."""
    for series in several:
        if _testable(series.values) and not (series.whole and series.key.name in MIXED):
            yield (series.key, id(series), VALUES), series.values
        if series.whole and _testable(series.failures):
            yield (series.key, id(series), RATES), series.failures


def _stream(stream: Stream, several: Sequence[Series], found: Found, options: Options) -> StreamTrend:
    marked = marks(stream.rows)
    place = partial(_step, options=options, marked=[mark.at for mark in marked])
    lines = tuple(_line(series, found, place) for series in several)
    gone = vanished(stream, several, options.patterns)
    return StreamTrend(stream, marked, lines, gone, tuple(_key_proposals(lines)))


def _mean(values: Values) -> float:
    return float(values.mean())


def _testable(values: Values) -> bool:
    return len(values) >= ENOUGH and len(np.unique(values)) > 1


def told_apart(tested: Mapping[Test, Values]) -> Found:
    """The changes of each series that stand out of all that was looked at (Benjamini and Hochberg, by series).

    Of a thousand series without any change, a few have one by chance. Where nothing changed at all, a report names any
    change with the chance LEVEL; where much did, at most that share of the series named is expected to be false.
    """
    if not tested:
        return {}
    found = {
        test: changes(values, _mean) if test[2] == RATES else changes(values) for test, values in tested.items()
    }
    least = [min((change.p for change in one), default=1.0) for one in found.values()]
    adjusted = false_discovery_control(least)
    return {test: one for (test, one), p in zip(found.items(), adjusted, strict=True) if one and p <= LEVEL}


def _line(series: Series, found: Found, place: Place) -> Line:
    verdicts = [verdict for at in series.told if (verdict := series.verdict(at)) is not None]
    in_values = found.get((series.key, id(series), VALUES), ())
    in_rates = found.get((series.key, id(series), RATES), ())
    less = series.newest.better is Better.LESS
    sure = max((series.entry(at).detection or 0.0 for at in series.measured), default=0.0)
    steps = tuple(place(series.measured, change, less, sure) for change in in_values)
    rates = tuple(place(series.decided, change, True, 0.0) for change in in_rates)
    apart = tuple(series.measured[index] for index in outliers(series.values, in_values))
    stands = standing(verdicts) if series.whole else None
    return Line(series, stands, steps, rates, apart, _proposal(series, steps))


def _step(
    runs: Sequence[int], change: Change, less_is_better: bool, sure: float, *, options: Options, marked: Sequence[int]
) -> Step:
    relative = change.relative
    last_before, first_after = runs[change.earliest - 1], runs[change.latest]
    inside = [at for at in marked if last_before < at <= first_after]
    return Step(
        at=inside[0] if len(inside) == 1 else runs[change.at],
        last_before=last_before,
        first_after=first_after,
        change=change,
        worse=(change.after > change.before) == less_is_better,
        large=abs(change.after - change.before) >= sure if relative is None else abs(relative) >= options.tolerance,
        marked=len(inside) == 1,
    )


def _proposal(series: Series, steps: tuple[Step, ...]) -> Proposal | None:
    """Only for what is measured in time or as a share and may be at most so much: a count of errors is no budget."""
    newest = series.newest
    timed = newest.unit.partition(",")[0] in ("s", "ms")
    if series.key.kind != CLAIM or newest.better is not Better.LESS or not (timed or newest.limit_key):
        return None
    since = steps[-1].at if steps else 0
    passed = [at for at in series.measured if at >= since and series.verdict(at) is Verdict.PASS]
    detection = [series.entry(at).detection or 0.0 for at in passed]
    return propose([series.entry(at).value or 0.0 for at in passed], max(detection, default=0.0))


def _key_proposals(lines: Iterable[Line]) -> Iterator[KeyProposal]:
    by_key: dict[str, list[Line]] = {}
    for line in lines:
        if line.series.newest.limit_key:
            by_key.setdefault(line.series.newest.limit_key, []).append(line)
    for key in (key for key in Limits.model_fields if key in by_key):
        proposing = [line for line in by_key[key] if line.proposal is not None]
        if not proposing:
            continue
        decides = max(proposing, key=_proposed)
        silent = len(by_key[key]) - len(proposing)
        yield KeyProposal(key, _proposed(decides), decides.series.newest.limit, decides, len(by_key[key]), silent)


def _proposed(line: Line) -> float:
    return line.proposal.limit if line.proposal else 0.0
