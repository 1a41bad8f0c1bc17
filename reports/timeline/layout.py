"""Where each row of a timeline stands and what its axis shows; both ways of drawing share it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports.text import clean
from reports.timeline.model import Bar, Row, Timeline

LANE, HEAT_LANE, CURVES, SHARES = 25, 13, 104, 62
"""Heights in pixels: of a lane, of one of many lanes, of a row of curves, and of one of shares."""
BETWEEN, TOP, BOTTOM = 36, 58, 34
LABEL_LENGTH = 21
DECADES = {-6: "1 µs", -5: "10 µs", -4: "0.1 ms", -3: "1 ms", -2: "10 ms", -1: "0.1 s", 0: "1 s", 1: "10 s",
           2: "100 s", 3: "1000 s", 4: "10000 s"}
MOST_TICKS = 5
WIDTH, LEFT, RIGHT = 1010, 142, 16
"""Of the whole drawing and its margins, pixels."""
PAGE = 1250
"""How high a drawing of that width is on a page of A4 with its margins and a heading, pixels."""
HEADROOM, CROSSES = 0.22, 0.93
"""By how much of its height a row of curves is higher than its highest value, and how high crosses stand in it."""
CHARACTER = 6.0
"""About how many pixels a character of a bar's label takes."""
HEAT = ((0.0, "heat-none"), (0.25, "heat-half"), (0.4, "heat-full"), (0.65, "heat-full"), (1.0, "heat-more"))
"""Which colour a share has, from 0 to 2: twice as usual."""


@dataclass(frozen=True, slots=True)
class Place:
    """A row with its vertical extent, pixels from the top of the whole drawing."""

    row: Row
    top: int
    height: int


@dataclass(frozen=True)
class Sheet:
    """The whole drawing."""

    places: tuple[Place, ...]
    height: int


def pages(timeline: Timeline) -> list[Sheet]:
    """The rows on as many sheets as are needed for none to be higher than a page of paper."""
    groups: list[list[Row]] = []
    height = PAGE
    for row in timeline.drawn:
        height += _height(row) + BETWEEN
        if height > PAGE:
            groups.append([])
            height = TOP + _height(row) + BOTTOM
        groups[-1].append(row)
    return [sheet(group) for group in groups]


def sheet(rows: Sequence[Row]) -> Sheet:
    """The rows one below the other."""
    places: list[Place] = []
    below = TOP
    for row in rows:
        places.append(Place(row, below, _height(row)))
        below += _height(row) + BETWEEN
    return Sheet(tuple(places), below - BETWEEN + BOTTOM)


def _height(row: Row) -> int:
    if row.heat is not None:
        return max(2, len(row.lanes)) * HEAT_LANE
    if row.lanes:
        return len(row.lanes) * LANE
    return CURVES if row.logarithmic else SHARES


def lane_label(name: str) -> str:
    """A lane's name as long as the margin has room for."""
    shown = clean(name)
    return shown if len(shown) <= LABEL_LENGTH else f"{shown[: LABEL_LENGTH - 1]}…"


def fits(timeline: Timeline, bar: Bar) -> bool:
    """Whether a bar's label has room in it while the whole run is shown."""
    scale = (WIDTH - LEFT - RIGHT) / (timeline.end - timeline.begin)
    return len(bar.label) * CHARACTER + 8 < (bar.end - bar.begin) * scale


def decades(row: Row) -> tuple[float, float]:
    """The exponents of ten between which a row's values lie, its limits included."""
    values = np.concatenate([
        np.array([level.value for level in row.levels], np.float64),
        *(line.values[np.isfinite(line.values)] for line in row.lines),
        *(gaps.seconds for gaps in row.gaps),
    ])
    values = values[values > 0]
    if not len(values):
        return -1.0, 1.0
    low = max(-6.0, math.log10(float(values.min())) - 0.12)
    high = max(math.log10(float(values.max())), low + 1)
    return low, high + max(0.4, HEADROOM * (high - low))


def limits(row: Row) -> str:
    """The lines that are limits, each beside what it looks like."""
    return ", ".join(f"{'· · ·' if level.eased else '– –'} {level.label}" for level in row.levels)


def ticks(row: Row) -> list[tuple[float, str]]:
    """Powers of ten in the row's range with their labels, seconds; no more than fit."""
    low, high = decades(row)
    inside = [power for power in DECADES if low <= power <= high]
    step = max(1, math.ceil(len(inside) / MOST_TICKS))
    return [(10.0**power, DECADES[power]) for power in inside[::-1][::step]]


def shares(row: Row) -> tuple[float, float]:
    """Between which values the axis of a row of shares reaches: to ten percent at least."""
    most = max((float(np.nanmax(line.values, initial=0)) for line in row.lines), default=0.0)
    return -0.03 * max(most, 10), 1.08 * max(most, 10)
