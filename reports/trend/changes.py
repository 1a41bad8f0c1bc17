"""Change points of one series, each confirmed by a permutation test, and single values that lie apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import fisher_exact, mannwhitneyu

from reports.statistics import holm, rank_test
from reports.trend.penalty import SHORTEST, first_guess, standardised

Values = npt.NDArray[np.float64]
Level = Callable[[Values], float]

ENOUGH = 2 * SHORTEST
"""Values, at least, before anything is said about a change."""
LEVEL: Final = 0.05
"""What the adjusted p of a change may be at most."""
PERMUTATIONS = 19_999
"""The smallest p that they can tell is 1 in 20 000; below it, exact tests take over."""
EXACT = 10_000
"""Above this product of the numbers of values on both sides the normal distribution stands in for the exact one."""
CHUNK = 2_000_000
"""Permuted values held at a time."""
LOCATION = 8.0
"""Twice the logarithm of the likelihood ratio that a place may lose against the best one; by simulation of steps of 1
to 5 standard deviations, in normal and in log-normal noise, the true place is among those left in 94 % to 100 %."""
APART = 5.0
"""An outlier lies so many scaled median absolute deviations from its segment's median: of normal noise, 1 in 10^6."""
TO_SIGMA = 1.4826
"""The median absolute deviation times this is the standard deviation of normal noise."""
MEAN_TO_SIGMA = 1.2533
"""Likewise for the mean absolute deviation, used where more than half of the values are equal."""


@dataclass(frozen=True, slots=True)
class Change:
    """The level of a series before and after one of its values."""

    at: int
    """Index of the first value after the change, by the best estimate."""
    earliest: int
    """It may have come as early as this, and as late as `latest`, with 95 % confidence."""
    latest: int
    before: float
    """Level of the segment before."""
    after: float
    p: float
    """How often noise has such a step anywhere in both segments, times Holm's factor for the changes of the series."""

    @property
    def relative(self) -> float | None:
        """The size as a share of the level before; None where that was zero."""
        return (self.after - self.before) / abs(self.before) if self.before else None


def _median(values: Values) -> float:
    return float(np.median(values))


def changes(values: Values, level: Level = _median) -> tuple[Change, ...]:
    """The confirmed changes of a series without missing values, in order; none of fewer than ENOUGH values.

    `level` says how high a segment lies, for telling only: the median, or the mean for a share.
    """
    found = first_guess(values) if len(values) >= ENOUGH else []
    while found:
        told = _tested(values, found, level)
        weakest = max(told, key=lambda change: change.p)
        if weakest.p <= LEVEL:
            return told
        del found[told.index(weakest)]  # its neighbours are tested again, on the segments that grew by it
    return ()


def outliers(values: Values, found: Sequence[Change]) -> tuple[int, ...]:
    """Indices of the values that lie far from the median of their own segment, on either side."""
    ends = [0, *(change.at for change in found), len(values)]
    return tuple(
        begin + int(index)
        for begin, end in pairwise(ends)
        for index in _apart(values[begin:end])
    )


def _apart(segment: Values) -> npt.NDArray[np.intp]:
    if len(segment) < ENOUGH:
        return np.empty(0, np.intp)
    distances = np.abs(segment - np.median(segment))
    sigma = TO_SIGMA * float(np.median(distances)) or MEAN_TO_SIGMA * float(distances.mean())
    return np.flatnonzero(distances > APART * sigma) if sigma else np.empty(0, np.intp)


def _tested(values: Values, found: Sequence[int], level: Level) -> tuple[Change, ...]:
    ends = [0, *found, len(values)]
    told = []
    for begin, at, end in zip(ends, ends[1:], ends[2:], strict=False):
        p = p_of_step(values[begin:end], at - begin)
        best, earliest, latest = (begin + place for place in _located(values[begin:end], at - begin))
        before, after = level(values[begin:best]), level(values[best:end])
        told.append(Change(best, earliest, latest, before, after, p))
    adjusted = holm([change.p for change in told])
    return tuple(replace(change, p=p) for change, p in zip(told, adjusted, strict=True))


def _located(stretch: Values, at: int) -> tuple[int, int, int]:
    """The best place of a step found at `at`, the earliest and the latest one that the values also allow.

    PELT keeps segments from becoming shorter than SHORTEST; by that it may be off by one less. Places are allowed whose
    squared error exceeds the best one's by no more than LOCATION variances of the noise.
    """
    scores = standardised(stretch)
    count, places = len(scores), np.arange(1, len(scores))
    before = np.cumsum(scores)[:-1]
    gains = before**2 / places + before**2 / (count - places)  # the scores sum to zero
    near = places[max(0, at - SHORTEST) : at + SHORTEST - 1]
    best = int(near[np.argmax(gains[near - 1])])
    noise = max(float(count - gains[best - 1]) / count, 1 / count)
    allowed = places[gains >= gains[best - 1] - LOCATION * noise]
    return best, int(allowed.min(initial=best)), int(allowed.max(initial=best))


def p_of_step(stretch: Values, at: int) -> float:
    """The chance that values in random order have a rank-sum step as clear as the one at `at`, at any of their places.

    The place was chosen by the data; testing it as if it had been named beforehand would find changes in noise.
    """
    scores = standardised(stretch)
    if len(stretch) < ENOUGH or not scores.any():
        return 1.0
    null = _null(_same_null(scores).tobytes())
    seen = _clearest(scores[np.newaxis, :], [at])[0]
    as_clear = len(null) - int(np.searchsorted(null, seen - 1e-9))
    p = (as_clear + 1) / (len(null) + 1)
    return p if as_clear else min(p, _exact(stretch, at))


def _exact(stretch: Values, at: int) -> float:
    """The exact p of the step at its place, times the number of places: for steps clearer than any random order had.

    Among thousands of series the smallest p that random orders can tell would not be enough.
    """
    before, after = stretch[:at], stretch[at:]
    kinds = len(np.unique(stretch))
    if kinds == len(stretch):
        few = len(before) * len(after) <= EXACT
        p = float(mannwhitneyu(before.tolist(), after.tolist(), method="exact" if few else "asymptotic").pvalue)
    elif kinds == 2:
        high = stretch.max()
        table = np.array([[(side == high).sum(), (side != high).sum()] for side in (before, after)])
        p = float(fisher_exact(table).pvalue)
    else:
        p = rank_test(before, after)
    return min(1.0, p * (len(stretch) - 2 * SHORTEST + 1))


def _same_null(scores: Values) -> Values:
    """Sorted scores with the same null distribution, or one with more places to choose from: computed once for many."""
    ordered = np.sort(scores)
    if len(np.unique(ordered)) < len(ordered):
        return ordered
    step = max(1, len(ordered) // 32)
    coarse = -(-len(ordered) // step) * step
    return standardised(np.arange(coarse, dtype=np.float64))


@lru_cache(maxsize=512)
def _null(scores: bytes) -> Values:
    """The clearest step of each permutation, sorted; the same in every process."""
    values = np.frombuffer(scores, np.float64)
    random = np.random.default_rng(len(values))
    places = range(SHORTEST, len(values) - SHORTEST + 1)
    found = []
    for begin in range(0, PERMUTATIONS, max(1, CHUNK // len(values))):
        rows = min(PERMUTATIONS - begin, max(1, CHUNK // len(values)))
        found.append(_clearest(random.permuted(np.tile(values, (rows, 1)), axis=1), places))
    return np.sort(np.concatenate(found))


def _clearest(rows: npt.NDArray[np.float64], places: Sequence[int]) -> Values:
    """The largest standardised rank sum before any of the places, for each row."""
    count = rows.shape[1]
    at = np.asarray(places)
    sums = np.abs(np.cumsum(rows, axis=1)[:, at - 1])
    clearest: Values = (sums / np.sqrt(at * (count - at) / (count - 1))).max(axis=1)
    return clearest
