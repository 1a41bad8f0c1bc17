"""The verdicts of one claim over time: since when it is bad, after which good run, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from reports.statistics import share_interval
from reports.verdict import Verdict

QUIET = 10
"""Passes in a row that end an episode of failures; of 10 passes alone, up to 26 % of the runs may still fail (95 %)."""


class State(StrEnum):
    """How a claim stands by its newest runs."""

    GOOD = "good"
    BAD = "bad"
    FLAKY = "flaky"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many runs, with the exact interval of Clopper and Pearson for the share behind it."""

    bad: int
    decided: int

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends, as shares, at 95 %."""
        return share_interval(self.bad, self.decided)


@dataclass(frozen=True, slots=True)
class Episode:
    """From the first bad run after the last good ones to the newest run; indices are into the verdicts."""

    first_bad: int
    last_good: int | None
    """The last pass before it; None: the claim was never seen to hold before."""
    share: Share
    """Failures among the decided runs since the first bad one."""
    in_a_row: int
    """How many of the newest decided runs failed without a pass between; 0: the newest decided run passed."""
    last_bad: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What the verdicts of one claim amount to."""

    state: State
    episode: Episode | None
    """The episode that still goes on; None when the claim holds."""
    undecided_since: int | None
    """The first of the newest runs that are unknown; None when the newest is decided."""
    overall: Share


def standing(verdicts: Sequence[Verdict]) -> Standing:
    """How a claim stands; raises ValueError of no verdicts at all."""
    if not verdicts:
        raise ValueError("no verdicts")
    decided = [index for index, verdict in enumerate(verdicts) if verdict is not Verdict.UNKNOWN]
    bad = [index for index in decided if verdicts[index] is Verdict.FAIL]
    since = decided[-1] + 1 if decided else 0
    undecided = since if since < len(verdicts) else None
    episode = _episode(decided, bad)
    return Standing(_state(episode, undecided), episode, undecided, Share(len(bad), len(decided)))


def _state(episode: Episode | None, undecided: int | None) -> State:
    if episode is not None and episode.in_a_row:
        return State.BAD if episode.share.bad == episode.share.decided else State.FLAKY
    if undecided is not None:
        return State.UNDECIDED
    return State.FLAKY if episode is not None else State.GOOD


def _episode(decided: Sequence[int], bad: Sequence[int]) -> Episode | None:
    """The failures since the last time that the claim held QUIET times in a row."""
    failed = set(bad)
    begin, quiet = 0, 0
    for place, index in enumerate(decided):
        quiet = 0 if index in failed else quiet + 1
        if quiet >= QUIET:
            begin = place + 1
    within = [place for place, index in enumerate(decided) if place >= begin and index in failed]
    if not within:
        return None
    first = within[0]
    trailing = next((gone for gone, index in enumerate(reversed(decided)) if index not in failed), len(decided))
    return Episode(
        first_bad=decided[first],
        last_good=decided[first - 1] if first else None,
        share=Share(len(within), len(decided) - first),
        in_a_row=trailing,
        last_bad=decided[within[-1]],
    )
