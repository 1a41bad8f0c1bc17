"""What is concluded of one line and two groups: a winner, a tie, no difference shown, or why nothing can be said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from reports.compare.cells import Cell, Line
from reports.compare.extremes import Extreme, extremes
from reports.compare.order import Turns, drift
from reports.compare.statistics import cliffs_delta, hodges_lehmann, shift_interval, smallest
from reports.statistics import Values, rank_test
from reports.verdict import Better

FEWEST: Final = 4
"""With fewer runs in a group it never wins nor loses, however many the other has."""
TIE_RUNS: Final = 6
"""With fewer runs on a side an interval is too narrow too often to be called a tie by it."""


class Outcome(StrEnum):
    """What two groups amount to, seen from the candidate."""

    BETTER = "better"
    WORSE = "worse"
    TIE = "tie"
    """The interval of the difference lies within the margin."""
    OPEN = "no difference shown"
    TOO_FEW = "too few runs"
    TIME = "not interleaved"
    """A difference is there, but the runs of one group were made before those of the other."""
    NOTHING = "not comparable"
    """One of the groups has no value."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The values of one group."""

    n: int
    missing: int
    at_least: int
    median: float | None = None
    quartiles: tuple[float, float] | None = None
    smallest: float | None = None
    largest: float | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """The difference candidate minus reference, in the unit of the line."""

    shift: float
    """Hodges and Lehmann's: the median of all differences."""
    low: float
    high: float
    relative: tuple[float, float, float] | None
    """Shift, low and high as shares of the reference's median; None when that is zero."""
    delta: float
    """Cliff's: -1 to 1, how much more often the candidate's value is the larger one."""
    margin: float
    """A difference within it does not matter, or is finer than the instrument."""
    resolved: bool
    """Whether the instrument can tell differences of the margin; if not, the margin is its resolution."""
    resamples: int


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything about one line and two groups that does not depend on the other lines."""

    reference: str
    candidate: str
    effect: Effect | None
    probability: float
    """Of so different ranks by chance; missing and open-ended values count against whoever would win."""
    floor: float
    """The smallest that so few runs can give."""
    missing: int
    open_ended: int
    fewest: int = 0
    """How many values the smaller group has."""
    drifted: float | None = None
    """By how much the values changed within the groups over the time of the runs, if by more than the groups differ."""
    extremes: tuple[Extreme, ...] = ()
    alike: bool = False
    """Whether the groups' quartiles, too, differ by no more than the margin."""
    decidable: bool = False
    """Whether these runs could have a winner on this line at all, whichever group each of them was of."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A conclusion about one line and two groups."""

    measured: Measured
    corrected: float
    """The probability after Holm's correction."""
    outcome: Outcome
    reason: str


def spread(cells: Sequence[Cell]) -> Spread:
    """What the values of one group are spread over."""
    values = _values(cells)
    missing, at_least = len(cells) - len(values), sum(cell.at_least for cell in cells)
    if not len(values):
        return Spread(0, missing, at_least)
    low, middle, high = (float(value) for value in np.percentile(values, [25, 50, 75]))
    return Spread(
        len(values), missing, at_least, middle, (low, high), float(values.min()), float(values.max())
    )


def measure(
    line: Line, groups: tuple[str, str], started: Mapping[str, float], margin: float, seed: Sequence[int]
) -> Measured:
    """Compare two groups on one line; the first is the reference."""
    cells = [[cell for cell in line.cells if cell.group == group] for group in groups]
    reference, candidate = (_values(of_group) for of_group in cells)
    every = [cell for of_group in cells for cell in of_group]
    missing = sum(cell.value is None for cell in every)
    open_ended = sum(cell.at_least for cell in every)
    if not len(reference) or not len(candidate):
        return Measured(*groups, None, 1.0, 1.0, missing, open_ended)
    effect = _effect(reference, candidate, margin, [cell for cell in every if cell.value is not None], seed)
    enough = min(len(reference), len(candidate)) >= FEWEST
    return Measured(
        *groups,
        effect,
        _probability(line.key.better, cells, effect) if enough else 1.0,
        smallest(len(reference), len(candidate)) if enough else 1.0,
        missing,
        open_ended,
        min(len(reference), len(candidate)),
        _drifted(cells, started, effect),
        tuple(one for of_group in cells for one in extremes(of_group, line.key.better, effect.margin)),
        _alike(reference, candidate, effect.margin),
        enough and _telling(every),
    )


def decide(measured: Measured, corrected: float, reachable: float, alpha: float, turns: Turns, better: Better) -> Pair:
    """What a measured difference amounts to beside all others; `reachable` is the best that correction can leave."""
    effect = measured.effect
    if effect is None:
        return Pair(measured, 1.0, Outcome.NOTHING, _without(measured))
    tie = _is_tie(measured, effect)
    excludes_zero = effect.low > 0 or effect.high < 0
    if tie or (corrected <= alpha and excludes_zero):
        if turns.confounded:
            reason = f"{turns.confounded} ({turns.order}): it may be the time and not the group"
            return Pair(measured, corrected, Outcome.TIME, reason)
        if tie:
            within = "the margin" if effect.resolved else "the resolution of the instrument"
            return Pair(measured, corrected, Outcome.TIE, f"the whole interval lies within {within}")
        wins = (effect.shift < 0) == (better is Better.LESS)
        return Pair(measured, corrected, Outcome.BETTER if wins else Outcome.WORSE, "")
    if reachable > alpha:
        reason = "so few runs cannot tell a difference from chance, however large it is"
        return Pair(measured, corrected, Outcome.TOO_FEW, reason)
    return Pair(measured, corrected, Outcome.OPEN, _open(measured, effect, excludes_zero))


def _is_tie(measured: Measured, effect: Effect) -> bool:
    enough = measured.fewest >= TIE_RUNS
    complete = not (measured.missing or measured.open_ended or measured.extremes)
    return enough and complete and measured.alike and -effect.margin <= effect.low and effect.high <= effect.margin


def _open(measured: Measured, effect: Effect, excludes_zero: bool) -> str:
    if -effect.margin <= effect.low and effect.high <= effect.margin:
        return f"the medians agree, but {_no_tie(measured)}"
    if not excludes_zero:
        return "the interval of the difference includes zero"
    if measured.missing or measured.open_ended:
        count = measured.missing + measured.open_ended
        return f"with {count} values missing or open-ended, counted against the winner, chance explains it"
    return "among so many lines, chance alone brings about a difference like this"


def _telling(cells: Sequence[Cell]) -> bool:
    """Whether any two known values differ, and any is more than a bound: otherwise nothing can be told from chance."""
    known = {cell.value for cell in cells if cell.value is not None}
    return len(known) > 1 and any(cell.value is not None and not cell.at_least for cell in cells)


def _no_tie(measured: Measured) -> str:
    if measured.extremes:
        return "single runs stand out"
    if measured.missing or measured.open_ended:
        return "not all values are known"
    return "there are too few runs for a tie" if measured.fewest < TIE_RUNS else "the quartiles do not"


def _alike(reference: Values, candidate: Values, margin: float) -> bool:
    """A median may be the same where a quarter of the runs is much worse."""
    apart = np.abs(np.percentile(reference, [25, 75]) - np.percentile(candidate, [25, 75]))
    return bool((apart <= margin).all())


def _without(measured: Measured) -> str:
    return f"{measured.reference} or {measured.candidate} has no value"


def _effect(
    reference: Values, candidate: Values, margin: float, cells: Sequence[Cell], seed: Sequence[int]
) -> Effect:
    shift = hodges_lehmann(reference, candidate)
    low, high, resamples = shift_interval(reference, candidate, seed)
    middle = abs(float(np.median(reference)))
    relative = (shift / middle, low / middle, high / middle) if middle else None
    resolution = float(np.median([cell.resolution for cell in cells]))
    matters = margin * middle
    delta = cliffs_delta(reference, candidate)
    return Effect(shift, low, high, relative, delta, max(matters, resolution), matters >= resolution, resamples)


def _probability(better: Better, cells: Sequence[Sequence[Cell]], effect: Effect) -> float:
    """The rank test's, once as measured and once with what is not known counted against the winner; the larger."""
    reference, candidate = (_values(of_group) for of_group in cells)
    probability = rank_test(reference, candidate)
    if not any(cell.value is None or cell.at_least for of_group in cells for cell in of_group):
        return probability
    worst = np.inf if better is Better.LESS else -np.inf
    winner = int((effect.delta < 0) == (better is Better.LESS))
    sides = [reference, candidate]
    sides[winner] = np.array(
        [worst if cell.value is None or cell.at_least else cell.value for cell in cells[winner]], np.float64
    )
    turned = cliffs_delta(*_finite(sides)) * effect.delta <= 0
    return 1.0 if turned else max(probability, rank_test(*_finite(sides)))


def _finite(sides: Sequence[Values]) -> tuple[Values, Values]:
    """The ranks instead of the values: differences of infinite values are none."""
    ranks = np.unique(np.concatenate(list(sides)), return_inverse=True)[1].astype(np.float64)
    return ranks[: len(sides[0])], ranks[len(sides[0]):]


def _drifted(cells: Sequence[Sequence[Cell]], started: Mapping[str, float], effect: Effect) -> float | None:
    times, residuals = [], []
    for of_group in cells:
        middle = float(np.median(_values(of_group)))
        known = [(started[cell.run], cell.value - middle) for cell in of_group if cell.value is not None]
        times += [time for time, _ in known]
        residuals += [residual for _, residual in known]
    found = drift(times, np.array(residuals))
    return found.change if found is not None and abs(found.change) > abs(effect.shift) else None


def _values(cells: Sequence[Cell]) -> Values:
    return np.array([cell.value for cell in cells if cell.value is not None], np.float64)
