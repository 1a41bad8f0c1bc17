"""Time: whether the runs of two groups took turns, and whether values drifted while they were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import stats

from reports.compare.statistics import cliffs_delta

IMBALANCE: Final = 0.5
"""Above it, one group's runs were on the whole made before the other's (Cliff's delta of the times)."""
STREAK: Final = 0.5
"""A larger share of a group's runs in a row is a block, not a turn."""
ENOUGH: Final = 8
"""With fewer runs no drift can be told."""
ALPHA: Final = 0.05


@dataclass(frozen=True, slots=True)
class Turns:
    """In which order the runs of two groups were made."""

    order: str
    """As `A B B A`, by the groups' letters."""
    confounded: str
    """Why a difference may be one of time and not of the groups, or empty."""


def turns(reference: tuple[str, Sequence[float]], candidate: tuple[str, Sequence[float]]) -> Turns:
    """Judge the order of two groups, each its name and when its runs were started.

    `A B A B` and `A B B A` are turns; of `A A A B B B` nobody can say whether B is better or the later hours were.
    """
    (first, before), (second, after) = reference, candidate
    made = sorted([(time, "A") for time in before] + [(time, "B") for time in after])
    letters = [letter for _, letter in made]
    order = " ".join(letters)
    delta = cliffs_delta(np.asarray(before, float), np.asarray(after, float))
    if abs(delta) > IMBALANCE:
        early, late = (first, second) if delta > 0 else (second, first)
        return Turns(order, f"the runs of {early} were made before those of {late} on the whole")
    sizes = {"A": len(before), "B": len(after)}
    for letter, name in (("A", first), ("B", second)):
        streak = max(len(list(run)) for of, run in groupby(letters) if of == letter)
        if streak > max(1, STREAK * sizes[letter]):
            return Turns(order, f"{streak} of the {sizes[letter]} runs of {name} were made in one block")
    return Turns(order, "")


@dataclass(frozen=True, slots=True)
class Drift:
    """How values changed from the first run to the last within the groups."""

    change: float
    probability: float


def drift(times: Sequence[float], residuals: npt.NDArray[np.float64]) -> Drift | None:
    """The trend of what is left when each group's median is taken off; None when there is none to be told.

    Kendall's test at 5 %, and the Theil-Sen slope over the time from the first run to the last.
    """
    moments = np.asarray(times, float)
    if len(moments) < ENOUGH or np.ptp(moments) == 0 or np.ptp(residuals) == 0:
        return None
    found = stats.kendalltau(moments, residuals)
    if not found.pvalue < ALPHA:
        return None
    slope = float(stats.theilslopes(residuals, moments).slope)
    return Drift(slope * float(np.ptp(moments)), float(found.pvalue))
