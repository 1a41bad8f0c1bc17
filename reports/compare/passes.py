"""How many runs of each group passed each case: a figure of a failed case is one, and the failure is another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from reports.compare.runs import GroupedRun
from reports.compare.statistics import fisher
from reports.statistics import holm, share_interval
from reports.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Passes:
    """The verdicts of one group about one case."""

    group: str
    passed: int
    failed: int
    unknown: int
    absent: int
    """Runs without a verdict about the case; they neither pass nor fail."""
    low: float
    """The share that passes lies between here and `high`, at 95 %; what could not be decided has not passed."""
    high: float

    @property
    def judged(self) -> int:
        return self.passed + self.failed + self.unknown


@dataclass(frozen=True, slots=True)
class CasePasses:
    """One case over all groups, and for each two of them how likely so different shares are by chance."""

    case: str
    groups: tuple[Passes, ...]
    chances: tuple[tuple[str, str, float], ...]
    """Reference, candidate, and Fisher's exact probability after Holm's correction over all cases and pairs.

    Not of groups that did not take turns: a difference may be the time's.
    """


def passes(
    runs: Sequence[GroupedRun], pairs: Sequence[tuple[str, str]], in_turns: Sequence[tuple[str, str]]
) -> tuple[CasePasses, ...]:
    """Count the verdicts of every case that any run has; a chance is told of those pairs whose runs took turns."""
    groups = list(dict.fromkeys(group for pair in pairs for group in pair))
    judged = {case.case for run in runs for case in run.stored.cases}
    cases = sorted(judged.union(*(run.stored.unjudged for run in runs)))
    counted = {case: {group: _count(runs, case, group) for group in groups} for case in cases}
    tested = [(case, pair) for case in cases for pair in in_turns if all(counted[case][group].judged for group in pair)]
    chances = holm([_chance(counted[case][pair[0]], counted[case][pair[1]]) for case, pair in tested])
    by_case = dict(zip(tested, chances, strict=True))
    return tuple(
        CasePasses(
            case, tuple(counted[case].values()),
            tuple((*pair, by_case[case, pair]) for pair in pairs if (case, pair) in by_case),
        )
        for case in cases
    )


def _count(runs: Sequence[GroupedRun], case: str, group: str) -> Passes:
    own = [run for run in runs if run.group == group]
    verdicts = Counter(found.verdict for run in own if (found := run.case(case)) is not None)
    judged = sum(verdicts.values())
    passed = verdicts[Verdict.PASS]
    low, high = share_interval(passed, judged)
    return Passes(
        group, passed, verdicts[Verdict.FAIL], verdicts[Verdict.UNKNOWN], len(own) - judged, low, high
    )


def _chance(first: Passes, second: Passes) -> float:
    return fisher((first.passed, first.judged - first.passed), (second.passed, second.judged - second.passed))
