"""Runs that stand out: one gap of 20 s among ten runs moves no median, and must be seen all the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from reports.compare.cells import Cell
from reports.verdict import Better

FAR: Final = 3.0
"""Tukey's far-out values lie so many interquartile ranges beyond the quartile."""
SKEWED: Final = 3.0
"""The quartile on the bad side counts as lying at most so many times as far from the median as the one on the good
side: where more than a quarter of the runs are bad, it is one of them and would hide them all."""
ENOUGH: Final = 4
"""With fewer runs none can stand out."""


@dataclass(frozen=True, slots=True)
class Extreme:
    """One run of a group that was far worse than the group's others."""

    group: str
    run: str
    value: float


def extremes(cells: Sequence[Cell], better: Better, margin: float) -> list[Extreme]:
    """The runs of one group that are far worse than the rest of it, and by more than the margin; the worst first."""
    known = [(cell, cell.value) for cell in cells if cell.value is not None]
    if len(known) < ENOUGH:
        return []
    sign = 1.0 if better is Better.LESS else -1.0
    badness = np.array([sign * value for _, value in known])
    low, middle, high = np.percentile(badness, [25, 50, 75])
    if good := max(middle - low, margin):
        high = min(high, middle + SKEWED * good)
    limit = max(high + FAR * (high - low), high + margin)
    far = [cell_and_value for cell_and_value, bad in zip(known, badness, strict=True) if bad > limit]
    found = [Extreme(cell.group, cell.run, value) for cell, value in far]
    return sorted(found, key=lambda one: -sign * one.value)
