"""What several programs compute of stored runs: exact rank test, Holm's correction, the exact interval of a share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, mannwhitneyu, rankdata

CONFIDENCE: Final = 0.95
EXACT_RUNS: Final = 60
"""Up to so many runs in both groups together the rank test is exact, ties included."""

Values = npt.NDArray[np.float64]


def rank_test(reference: Values, candidate: Values) -> float:
    """The two-sided probability of so different ranks (Wilcoxon, Mann, Whitney) if the group had no influence.

    Exact for up to 60 runs, twice the smaller tail over all ways to divide these very values, ties included; beyond,
    normal with ties corrected.
    """
    size = len(reference) + len(candidate)
    if size > EXACT_RUNS:
        found = mannwhitneyu(reference, candidate, alternative="two-sided", method="asymptotic")
        return float(found.pvalue) if np.isfinite(found.pvalue) else 1.0
    doubled = np.rint(2 * rankdata(np.concatenate((reference, candidate)))).astype(np.int64)
    ways = _sums(doubled, len(reference))
    observed = int(doubled[: len(reference)].sum())
    tails = (ways[: observed + 1].sum(), ways[observed:].sum())
    return min(1.0, 2 * float(min(tails) / ways.sum()))


def _sums(ranks: npt.NDArray[np.int64], chosen: int) -> Values:
    """In how many ways so many of the ranks add up to each sum."""
    ways = np.zeros((chosen + 1, int(ranks.sum()) + 1))
    ways[0, 0] = 1
    for rank in map(int, ranks):
        ways[1:, rank:] += ways[:-1, : ways.shape[1] - rank].copy()
    found: Values = ways[chosen]
    return found


def holm(probabilities: Sequence[float]) -> list[float]:
    """The probabilities corrected by Holm's method, so that all together err as rarely as one would alone."""
    order = sorted(range(len(probabilities)), key=lambda row: probabilities[row])
    corrected = [1.0] * len(probabilities)
    highest = 0.0
    for rank, row in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * probabilities[row]))
        corrected[row] = highest
    return corrected


def share_interval(hits: int, of: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The exact interval (Clopper and Pearson) of a share; of nothing at all it is everything.

    Each end alone is a bound with the confidence (1 + confidence) / 2.
    """
    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, hits, of - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, of - hits)) if hits < of else 1.0
    return low, high


def finite(value: object) -> float | None:
    """A number that can be computed with; None for anything else, NaN and infinities among it."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
