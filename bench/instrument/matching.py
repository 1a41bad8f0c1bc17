"""Which found outage is which true blackout, and how well the one tells the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from bench.instrument.blackouts import MS, Mode, Truth

TOUCH_NS = 2 * MS
"""A found outage belongs to a blackout that is no further away: a round trip, and the wire's own delay."""


@dataclass(frozen=True, slots=True)
class Found:
    """An outage as the instrument tells it, in monotonic ns: between which instants it lies, and its length."""

    begin_ns: int
    end_ns: int
    lo_ns: int
    mid_ns: int
    hi_ns: int
    stalled: bool = False
    """The client itself was away near one of the outage's borders."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A blackout and what was found of it."""

    truth: Truth
    found: Found

    @property
    def holds(self) -> bool:
        """Whether the found interval holds the true length (touches it, where the truth is an interval itself)."""
        return self.found.lo_ns <= self.truth.longest_ns and self.truth.shortest_ns <= self.found.hi_ns

    @property
    def error_ns(self) -> int:
        """By how much the midpoint is too long."""
        return self.found.mid_ns - self.truth.length_ns


@dataclass(frozen=True)
class Score:
    """What came of a number of blackouts."""

    pairs: list[Pair] = field(default_factory=list)
    missed: list[Truth] = field(default_factory=list)
    false: list[Found] = field(default_factory=list)
    """Found where no blackout was."""
    pieces: list[Found] = field(default_factory=list)
    """Further outages found within a blackout, or while the queue that it left was let go."""
    unplanned: list[Found] = field(default_factory=list)
    """Found where the wire itself stood still: true, but nobody knows how long."""

    @property
    def blackouts(self) -> int:
        return len(self.pairs) + len(self.missed)

    @property
    def detection(self) -> float:
        """The share of the blackouts that was found."""
        return len(self.pairs) / max(1, self.blackouts)

    @property
    def coverage(self) -> float:
        """The share of all blackouts, the missed ones included, whose found interval holds the truth."""
        return sum(pair.holds for pair in self.pairs) / max(1, self.blackouts)

    @property
    def blurred(self) -> int:
        """How many blackouts have a truth that is an interval itself."""
        return sum(pair.truth.blurred for pair in self.pairs) + sum(truth.blurred for truth in self.missed)

    def errors_ns(self) -> list[int]:
        """The errors of the midpoints where neither the wire nor the client was late."""
        return [pair.error_ns for pair in self.pairs if not pair.found.stalled and not pair.truth.blurred]

    @property
    def worst_ns(self) -> int:
        """The largest of these errors without its sign."""
        return max(map(abs, self.errors_ns()), default=0)

    @property
    def bias_ns(self) -> float:
        """The mean of these errors."""
        errors = self.errors_ns()
        return fmean(errors) if errors else 0.0

    def of(self, mode: Mode) -> Score:
        """The same for the blackouts of one mode; what was false or in pieces belongs to none."""
        return self._only(lambda truth: truth.mode == mode)

    def since(self, length_ns: int) -> Score:
        """The same for the blackouts that certainly lasted so long."""
        return self._only(lambda truth: truth.shortest_ns >= length_ns)

    def _only(self, wanted: Callable[[Truth], bool]) -> Score:
        return Score(
            [pair for pair in self.pairs if wanted(pair.truth)], [truth for truth in self.missed if wanted(truth)]
        )

    @classmethod
    def sum(cls, scores: Iterable[Score]) -> Score:
        """Several as one."""
        total = cls()
        for score in scores:
            total.pairs.extend(score.pairs)
            total.missed.extend(score.missed)
            total.false.extend(score.false)
            total.pieces.extend(score.pieces)
            total.unplanned.extend(score.unplanned)
        return total


def match(
    found: Sequence[Found], truths: Sequence[Truth], stalls: Sequence[tuple[int, int]] = (), touch_ns: int = TOUCH_NS
) -> Score:
    """Give each blackout the found outage that it shares most time with; `stalls` are the wire's own."""
    score = Score()
    waiting = deque(sorted(found, key=lambda one: one.begin_ns))
    alone: list[Found] = []
    for truth in sorted(truths, key=lambda one: one.begin_ns):
        until = max(truth.end_hi_ns, truth.drained_ns) + touch_ns
        touching: list[Found] = []
        while waiting and waiting[0].begin_ns <= until:
            one = waiting.popleft()
            # what ends before this blackout ends before all later ones
            (touching if truth.begin_lo_ns - touch_ns <= one.end_ns else alone).append(one)
        best = max(touching, key=lambda one: _shared(one, truth), default=None)
        if best is None or _shared(best, truth) < -touch_ns:
            score.missed.append(truth)
            best = None
        else:
            score.pairs.append(Pair(truth, best))
        score.pieces.extend(one for one in touching if one is not best)
    for one in (*alone, *waiting):
        stood = any(begin <= one.end_ns and one.begin_ns <= end for begin, end in stalls)
        (score.unplanned if stood else score.false).append(one)
    return score


def _shared(found: Found, truth: Truth) -> int:
    return min(found.end_ns, truth.end_hi_ns) - max(found.begin_ns, truth.begin_lo_ns)
