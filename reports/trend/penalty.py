"""What a change point must gain to be named, so that mere noise of a given length seldom has one.

PELT minimises the cost of the segments plus a penalty for each change. On standardised ranks the null distribution of
that cost depends on the number of values alone, so that the penalty can be simulated once for all measured quantities.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
from ruptures import KernelCPD
from scipy.stats import rankdata

SHORTEST = 4
"""Runs in a segment, at least: three bad nights are outliers, the fourth makes a change."""
FALSE_ALARMS: Final = 0.01
"""The share of series of exchangeable values in which PELT with this penalty finds a change."""
PENALTIES: Final = (
    (8, 6.11), (10, 7.29), (12, 8.06), (16, 8.91), (20, 9.49), (30, 10.02), (50, 10.74), (100, 11.85), (200, 12.79),
    (400, 12.83), (1000, 13.31),
)
"""Number of values and penalty: simulated() of 4000 series each, of 1500 for the two longest."""

ORDERS = 300
FACTORS: Final = (1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0)


def standardised(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Ranks with mean 0 and variance 1; equal values share theirs. Of values that are all equal: zeros."""
    ranks = rankdata(values).astype(np.float64)
    spread = ranks.std()
    centred: npt.NDArray[np.float64] = ranks - ranks.mean()
    return centred / spread if spread > 0 else centred


def penalty(count: int) -> float:
    """The penalty per change for a series of that many values, between the simulated lengths by interpolation."""
    lengths, found = zip(*PENALTIES, strict=True)
    return float(np.interp(np.log(count), np.log(lengths), found))


def first_guess(values: npt.NDArray[np.float64]) -> list[int]:
    """Where segments begin by the penalty for series of this length; of values with many ties, by one of their own.

    Where most values are equal (a count that is nearly always 0) the few others cluster by chance more than ranks do.
    """
    found = boundaries(values, penalty(len(values)))
    if not found or 2 * len(np.unique(values)) > len(values):
        return found
    return boundaries(values, penalty(len(values)) * _factor(np.sort(standardised(values)).tobytes()))


@lru_cache(maxsize=512)
def _factor(scores: bytes) -> float:
    """By how much the penalty has to be raised for random orders of these scores to have changes seldom enough."""
    values = np.frombuffer(scores, np.float64)
    random = np.random.default_rng(len(values))
    orders = [random.permutation(values) for _ in range(ORDERS)]
    for factor in FACTORS:
        each = penalty(len(values)) * factor
        orders = [order for order in orders if boundaries(order, each)]
        if len(orders) <= FALSE_ALARMS * ORDERS:
            return factor
    return float(len(values))


def boundaries(values: npt.NDArray[np.float64], each: float) -> list[int]:
    """Where PELT begins a new segment, at `each` as the penalty per change."""
    if len(values) < 2 * SHORTEST:
        return []
    search = KernelCPD(kernel="linear", min_size=SHORTEST).fit(standardised(values).reshape(-1, 1))
    return [int(end) for end in search.predict(pen=each)[:-1]]


def simulated(count: int, repeats: int, seed: int = 1) -> float:
    """The penalty at which a share FALSE_ALARMS of `repeats` simulated series of noise has a change."""
    random = np.random.default_rng(seed)
    needed = sorted(_least(random.permutation(count).astype(np.float64)) for _ in range(repeats))
    return needed[int(np.ceil((1 - FALSE_ALARMS) * repeats)) - 1]


def _least(values: npt.NDArray[np.float64]) -> float:
    """The smallest penalty, to 0.02, at which no change is found."""
    low, high = 0.0, float(len(values))
    while high - low > 0.02:
        middle = (low + high) / 2
        low, high = (middle, high) if boundaries(values, middle) else (low, middle)
    return high
