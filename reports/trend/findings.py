"""What is to be told of a stream, each thing with how it weighs: it fails, it leaves undecided, or it informs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from reports.trend import words
from reports.trend.analysis import Line, Options, Step, StreamTrend, Trend
from reports.trend.changes import ENOUGH
from reports.trend.differences import Difference
from reports.trend.entries import Key
from reports.trend.episodes import Episode, State
from reports.verdict import Verdict, worst

ORDER: Final = {Verdict.FAIL: 0, Verdict.UNKNOWN: 1, None: 2, Verdict.PASS: 3}
UNDECIDED = "undecided"
EARLIER = "earlier or small change"
"""A change that a later one has overtaken, that is too old to be news, or too small to matter."""


@dataclass(frozen=True)
class Finding:
    """One thing that is told."""

    weight: Verdict | None
    """fail: something is worse; unknown: nobody can tell; pass: something is better; None: it informs."""
    kind: str
    key: Key | None
    """None: of the stream as a whole."""
    at: int | None
    """The run that it begins with."""
    headline: str
    told: tuple[str, ...] = ()
    causes: tuple[Difference, ...] = ()
    """What is new in the description of the runs since the last one before it."""
    since: int | None = None
    """That last run before it; None where there is none, and no causes can be told."""


@dataclass(frozen=True)
class Answer:
    """The conclusion: its verdict gives the exit code."""

    verdict: Verdict
    by_stream: tuple[tuple[Finding, ...], ...]
    """In the order of the trend's streams."""
    general: tuple[Finding, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All of them."""
        return (*self.general, *(finding for several in self.by_stream for finding in several))


@dataclass(frozen=True)
class Group:
    """What weighs alike and began with the same run: most likely one cause."""

    weight: Verdict | None
    at: int | None
    since: int | None
    causes: tuple[Difference, ...]
    findings: tuple[Finding, ...]


def grouped(found: Iterable[Finding]) -> tuple[Group, ...]:
    """Findings by weight and first run, the newest first within a weight."""
    groups: dict[tuple[Verdict | None, int | None, int | None], list[Finding]] = {}
    for finding in _condensed(found):
        groups.setdefault((finding.weight, finding.at, finding.since), []).append(finding)
    made = [
        Group(weight, at, since, several[0].causes, tuple(several))
        for (weight, at, since), several in groups.items()
    ]
    return tuple(sorted(made, key=lambda group: (ORDER[group.weight], -1 if group.at is None else -group.at)))


def answer(trend: Trend) -> Answer:
    """Conclude: fail beats unknown, and a trend in which nothing weighs is a pass; of no stream at all, unknown."""
    by_stream = tuple(_ordered(_of_stream(one, trend.options)) for one in trend.streams)
    general = tuple(_damage(trend))
    weights = [finding.weight for several in (general, *by_stream) for finding in several]
    heavy = [weight for weight in weights if weight in (Verdict.FAIL, Verdict.UNKNOWN)]
    return Answer(worst(heavy or ([Verdict.PASS] if trend.streams else [])), by_stream, general)


def _ordered(found: Iterator[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(found, key=lambda finding: ORDER[finding.weight]))


def _condensed(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """With one finding in place of several claims of a case that are undecided since the same run: it did not work."""
    several: dict[tuple[str, int | None], list[Finding]] = {}
    others: list[Finding] = []
    for finding in found:
        if finding.kind == UNDECIDED and finding.key is not None:
            several.setdefault((finding.key.case, finding.at), []).append(finding)
        else:
            others.append(finding)
    merged = [
        alike[0] if len(alike) == 1 else replace(
            alike[0], key=None,
            headline=f"{case}: {len(alike)} claims {alike[0].headline}",
            told=(", ".join(words.label(finding.key) for finding in alike if finding.key),),
        )
        for (case, _), alike in several.items()
    ]
    return (*others, *merged)


def _of_stream(one: StreamTrend, options: Options) -> Iterator[Finding]:
    runs = len(one.stream.rows)
    if runs < ENOUGH:
        headline = f"{runs} runs are too few to tell a change from chance; {ENOUGH} are needed"
        yield Finding(Verdict.UNKNOWN, "too few runs", None, None, headline)
    for line in one.lines:
        yield from _standing(one, line, options)
        yield from _steps(one, line, options)
        if line.apart and (newest := line.apart[-1]) == line.series.measured[-1]:
            yield Finding(None, "outlier", line.key, newest, words.outlier(line, newest))
    yield from _vanished(one, options)
    for note in one.stream.notes:
        yield Finding(None, "clock", None, None, note)


def _standing(one: StreamTrend, line: Line, options: Options) -> Iterator[Finding]:
    standing, told = line.standing, line.series.told
    if standing is None:
        return
    recent = _goes_on(one, line, options)
    if standing.episode is not None:
        yield _episode(one, line, standing.episode, options)
    if standing.undecided_since is not None:
        at = told[standing.undecided_since]
        before = told[standing.undecided_since - 1] if standing.undecided_since else None
        weight = Verdict.UNKNOWN if recent and standing.state is State.UNDECIDED else None
        causes = one.differences(before, at) if before is not None else ()
        headline = words.undecided(len(told) - standing.undecided_since, line.series.entry(at).reason)
        yield Finding(weight, UNDECIDED, line.key, at, headline, (), causes, before)


def _episode(one: StreamTrend, line: Line, episode: Episode, options: Options) -> Finding:
    """Bad or flaky since a run; it weighs when the newest run is bad, or bad runs have become more frequent."""
    told = line.series.told
    at = told[episode.first_bad]
    good = told[episode.last_good] if episode.last_good is not None else None
    causes = one.differences(good, at) if good is not None else ()
    kind = "bad" if episode.share.bad == episode.share.decided and episode.in_a_row else "flaky"
    sentences = words.episode(one.stream, line, episode)
    rate = _merged(one, line, options)
    more = (words.step(line, rate, True),) if rate else ()
    weighs = _goes_on(one, line, options) and (episode.in_a_row or rate is not None)
    weight = Verdict.FAIL if weighs else None
    return Finding(weight, kind, line.key, at, sentences[0], (*more, *sentences[1:]), causes, good)


def _merged(one: StreamTrend, line: Line, options: Options) -> Step | None:
    """The recent worsening of how often a claim fails, which is told with the episode that it began."""
    episode = line.standing.episode if line.standing else None
    if episode is None or not line.rates or not line.rates[-1].worse:
        return None
    return line.rates[-1] if _news(one, line, line.rates[-1], options) else None


def _goes_on(one: StreamTrend, line: Line, options: Options) -> bool:
    """Whether the newest runs still have the series: a weekly case is not over between two of its nights."""
    told = line.series.told
    apart = max((after - before for before, after in pairwise(told)), default=1)
    return told[-1] >= len(one.stream.rows) - max(options.last, apart)


def _news(one: StreamTrend, line: Line, step: Step, options: Options) -> bool:
    """Whether a change counts: it is large, and among the newest runs of its own series, however rare these are."""
    newest = line.series.told[-options.last:]
    return step.large and _goes_on(one, line, options) and step.at >= newest[0]


def _steps(one: StreamTrend, line: Line, options: Options) -> Iterator[Finding]:
    """Changes of the values, and of how often the claim fails, where an episode or a rate does not tell it already."""
    merged = _merged(one, line, options)
    episode = line.standing.episode if line.standing else None
    failing = line.series.told[episode.first_bad] if episode and (episode.in_a_row or merged) else None
    for number, step in enumerate(line.steps):
        told_by_episode = failing is not None and step.worse and step.last_before < failing <= step.first_after
        told_by_rate = any(_overlap(step, rate) and _news(one, line, rate, options) for rate in line.rates)
        if not told_by_episode and not told_by_rate:
            yield _step(one, line, step, (number == len(line.steps) - 1, options, False))
    for number, step in enumerate(line.rates):
        if step is not merged:
            yield _step(one, line, step, (number == len(line.rates) - 1, options, True))


def _overlap(one: Step, other: Step) -> bool:
    """Whether two changes in one direction may be the same."""
    same = one.worse == other.worse
    return same and one.last_before < other.first_after and other.last_before < one.first_after


def _step(one: StreamTrend, line: Line, step: Step, how: tuple[bool, Options, bool]) -> Finding:
    is_last, options, of_failures = how
    weight, kind = None, EARLIER
    if is_last and _news(one, line, step, options):
        weight, kind = (Verdict.FAIL, "worse") if step.worse else (Verdict.PASS, "better")
    since = step.at - 1 if step.marked else step.last_before
    causes = one.differences(since, step.at if step.marked else step.first_after)
    told = words.place(one.stream, step)
    headline = words.step(line, step, of_failures)
    return Finding(weight, kind, line.key, step.at, headline, told, causes, since)


def _vanished(one: StreamTrend, options: Options) -> Iterator[Finding]:
    for gone in one.vanished:
        recent = gone.last_seen >= len(one.stream.rows) - 1 - options.last
        weight = Verdict.UNKNOWN if recent else None
        yield Finding(weight, "missing", None, None, words.vanished(one.stream, gone))


def _damage(trend: Trend) -> Iterator[Finding]:
    """Damage weighs when it may hide a run newer than all that could be read."""
    newest = max((row.started for one in trend.streams for row in one.stream.rows), default=None)
    for damage in trend.damaged:
        hides = newest is None or damage.when is None or damage.when >= newest
        yield Finding(Verdict.UNKNOWN if hides else None, "damaged", None, None, words.damage(damage, hides))
    for run in trend.duplicates:
        yield Finding(None, "twice", None, None, f"Run {run} was found more than once and counts once.")
