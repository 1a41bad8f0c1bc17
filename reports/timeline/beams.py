"""How high the beams of a row are drawn, so that none covers another's."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from reports.timeline.layout import CURVES, decades
from reports.timeline.model import Floats, Row

APART = 4.0
"""Pixels between two beams that lasted equally long at the same time."""
PLACES = (0, 1, -1, 2, -2, 3, -3, 4, -4)
"""Where a beam may be drawn, in such steps from its own height; further off it would tell another length."""


@dataclass(frozen=True, slots=True)
class _Beam:
    owner: int
    number: int
    begin: int
    end: int
    height: float
    """The exponent of ten of its length in seconds."""


def heights(row: Row) -> tuple[Floats, ...]:
    """For each stream's gaps the seconds at which they are drawn: their length, or beside it if another lies there.

    None is moved across a limit.
    """
    low, high = decades(row)
    step = (high - low) * APART / CURVES
    levels = [math.log10(level.value) for level in row.levels]
    found = [np.array(gaps.seconds, np.float64) for gaps in row.gaps]
    active: list[tuple[_Beam, float]] = []
    for beam in sorted(_beams(row), key=lambda one: (one.begin, one.owner, one.number)):
        active = [(other, drawn) for other, drawn in active if other.end >= beam.begin]
        taken = [drawn for other, drawn in active if other.owner != beam.owner]
        drawn = _free(beam.height, step, taken, levels)
        active.append((beam, drawn))
        if drawn != beam.height:
            found[beam.owner][beam.number] = 10**drawn
    return tuple(found)


def _beams(row: Row) -> list[_Beam]:
    return [
        _Beam(owner, number, begin, end, math.log10((end - begin) / 1e9))
        for owner, gaps in enumerate(row.gaps)
        for number, (begin, end) in enumerate(zip(gaps.begins.tolist(), gaps.ends.tolist(), strict=True))
    ]


def _free(height: float, step: float, taken: list[float], levels: list[float]) -> float:
    """The nearest height at which nothing lies, on the same side of every limit; else its own."""
    for place in PLACES:
        drawn = height + place * step
        same_side = all((height > level) == (drawn > level) for level in levels)
        if same_side and all(abs(drawn - other) > 0.9 * step for other in taken):
            return drawn
    return height
