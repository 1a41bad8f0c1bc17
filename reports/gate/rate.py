"""What repetition shows about the share of runs that fail: the upper bound of Clopper and Pearson (1934)."""

from __future__ import annotations

from scipy.stats import beta

MOST_RUNS = 100_000


def upper_bound(failed: int, runs: int, confidence: float) -> float:
    """The share of failing runs is at most this, with the confidence; after n passes alone, about 3/n for 95 %."""
    if failed >= runs:
        return 1.0
    return float(beta.ppf(confidence, failed + 1, runs - failed))


def runs_needed(failed: int, at_most: float, confidence: float) -> int | None:
    """How many runs, so many failures among them, would show the share; None: more than anybody makes."""
    low, high = failed + 1, MOST_RUNS
    if upper_bound(failed, high, confidence) > at_most:
        return None
    while low < high:
        middle = (low + high) // 2
        if upper_bound(failed, middle, confidence) <= at_most:
            high = middle
        else:
            low = middle + 1
    return low
