"""Limits that history proposes: bounds of P95 and P99 that hold whatever the distribution of the values is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context
from typing import Final

from scipy.stats import binom

CONFIDENCE: Final = 0.95
FEWEST = 20
"""Passing runs, at least, before a limit is proposed: of 20, one is expected above P95."""
UPWARDS: Final = Context(prec=3, rounding=ROUND_CEILING)
"""A proposed limit has three significant digits and is rounded up."""


@dataclass(frozen=True, slots=True)
class Bound:
    """An upper confidence bound of one quantile, from order statistics."""

    quantile: float
    value: float
    """The smallest value seen that is above the quantile with the confidence; the largest one if none is."""
    confidence: float
    """With what confidence the quantile is not above `value`."""

    @property
    def holds(self) -> bool:
        """Whether there were runs enough; otherwise the value is the largest seen, and the quantile may lie above."""
        return self.confidence >= CONFIDENCE

    @property
    def needed(self) -> int:
        """How many runs the bound takes: 59 for P95, 299 for P99."""
        return math.ceil(math.log(1 - CONFIDENCE) / math.log(self.quantile))


@dataclass(frozen=True, slots=True)
class Proposal:
    """What history proposes for one measured value."""

    runs: int
    """Passing runs since the last change."""
    p95: Bound
    p99: Bound
    largest: float
    floor: float
    """The detection limit: below it the instrument cannot tell a good value from a bad one."""

    @property
    def limit(self) -> float:
        """P99's bound, not below the detection limit, rounded up."""
        return rounded_up(max(self.p99.value, self.floor))

    @property
    def exceeded_by_chance(self) -> float:
        """The share of runs like these that exceed the largest value seen: one in the number of runs and one."""
        return 1 / (self.runs + 1)


def propose(values: Sequence[float], floor: float) -> Proposal | None:
    """What the values of passing runs propose, where less is better; None of fewer than FEWEST."""
    if len(values) < FEWEST:
        return None
    ordered = sorted(values)
    return Proposal(len(ordered), upper(ordered, 0.95), upper(ordered, 0.99), ordered[-1], floor)


def upper(ordered: Sequence[float], quantile: float) -> Bound:
    """The bound of a quantile: the k-th smallest of n lies above it with the chance that fewer than k lie below it.

    That chance is P(B < k) for a binomial B of n and the quantile (David and Nagaraja, Order Statistics, 7.1).
    """
    count = len(ordered)
    rank = min(count, int(binom.ppf(CONFIDENCE, count, quantile)) + 1)
    return Bound(quantile, ordered[rank - 1], float(binom.cdf(rank - 1, count, quantile)))


def rounded_up(value: float) -> float:
    """The next number of three significant digits that is not smaller."""
    return float(UPWARDS.create_decimal(repr(value)))
