"""The table of values: one per run for each case, axis and object, however many figures the run holds of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby
from statistics import median
from typing import Final

from reports.compare.runs import GroupedRun
from reports.statistics import finite
from reports.verdict import Better, Figure, Verdict


class Reduced(StrEnum):
    """How several figures of one axis become the one of a run."""

    WORST = "worst"
    MEDIAN = "median"
    APART = "apart"
    """Objects of the axis are different things: each stands for itself, and repeated figures give their median."""


REDUCED: Final[Mapping[str, Reduced]] = {
    "downtime": Reduced.WORST,
    "total unavailability": Reduced.WORST,
    "outage": Reduced.WORST,
    "total outage": Reduced.WORST,
    "hypervisor downtime": Reduced.WORST,
    "recovery": Reduced.WORST,
    "restart": Reduced.WORST,
    "failed operations": Reduced.WORST,
    "longest I/O pause": Reduced.WORST,
    "flow control, baseline": Reduced.WORST,
    "flow control, disturbed": Reduced.WORST,
    "migration time": Reduced.MEDIAN,
    "migration preparation": Reduced.MEDIAN,
    "data moved": Reduced.MEDIAN,
    "drain time": Reduced.MEDIAN,
}
"""Of what clients suffer the worst of a run counts, of work that is done several times the median."""
BESIDE: Final[Mapping[str, str]] = {
    "bandwidth": "IOPS", "bandwidth against baseline": "IOPS against baseline", "time covered": "IOPS",
}
"""Axes that are details of others: with blocks of one size, bandwidth is IOPS told again."""
NO_FIGURE: Final = "the case has no such figure"


@dataclass(frozen=True, slots=True)
class Key:
    """What is compared."""

    case: str
    axis: str
    object: str
    """Empty: the axis as a whole, each run's figures of all its objects reduced to one."""
    unit: str
    better: Better


@dataclass(frozen=True, slots=True)
class Cell:
    """The one value of a run; None is missing, with the reason."""

    run: str
    group: str
    value: float | None
    reason: str = ""
    at_least: bool = False
    resolution: float = 0.0
    verdict: Verdict | None = None
    """Of the case; None when the run has no verdict about it. A failed case's figures count like any other's."""


@dataclass(frozen=True, slots=True)
class Line:
    """One key with a cell for every run, in the order of the runs."""

    key: Key
    cells: tuple[Cell, ...]
    leads: bool
    """Whether it answers for its axis; the others are details of one that does."""


def lines(runs: Sequence[GroupedRun]) -> list[Line]:
    """Every line of the table, by case, axis and object; what leads stands before its details."""
    found: list[Line] = []
    for case in sorted({case.case for run in runs for case in run.stored.cases}):
        columns = [(run, _figures(run, case)) for run in runs]
        of_case: list[Line] = []
        keys = sorted({key for _, figures in columns for key in figures}, key=_order)
        for _, objects in groupby(keys, key=lambda key: _order(key)[:3]):
            of_case += _led([_line(columns, key) for key in objects])
        found += _beside(of_case)
    return found


def _beside(of_case: Sequence[Line]) -> list[Line]:
    """The lines of a case with those of axes that are told beside others as details of these, where there are any."""
    found = [line for line in of_case if line.key.axis not in BESIDE]
    for line in (line for line in of_case if line.key.axis in BESIDE):
        places = [place for place, one in enumerate(found) if one.key.axis == BESIDE[line.key.axis]]
        alike = [place for place in places if found[place].key.object == line.key.object] or [
            place for place in places if _phase(found[place]) == _phase(line)
        ]
        if places:
            found.insert((alike or places)[0] + 1, replace(line, leads=False))
        else:
            found.append(line)
    return found


def _phase(line: Line) -> str:
    """What fio's object ends with: `migration` of `random read, migration`."""
    return line.key.object.rpartition(", ")[2]


def _order(key: Key) -> tuple[str, str, Better, str]:
    return key.axis, key.unit, key.better, key.object


def _led(details: Sequence[Line]) -> list[Line]:
    """The lines of an axis with the one that leads before them; objects that stand apart all lead."""
    rule = REDUCED.get(details[0].key.axis, Reduced.APART)
    if len(details) == 1 or rule is Reduced.APART:
        return [replace(line, leads=True) for line in details]
    key = replace(details[0].key, object="")
    columns = zip(*(line.cells for line in details), strict=True)
    cells = tuple(_reduced(cells, rule, key.better, [line.key.object for line in details]) for cells in columns)
    return [Line(key, cells, leads=True), *details]


def _line(columns: Sequence[tuple[GroupedRun, Mapping[Key, Sequence[Figure]]]], key: Key) -> Line:
    return Line(key, tuple(_cell(run, key, figures.get(key, ())) for run, figures in columns), leads=False)


def _cell(run: GroupedRun, key: Key, figures: Sequence[Figure]) -> Cell:
    case = run.case(key.case)
    if case is None:
        reason = run.stored.unjudged.get(key.case, "the run has no such case")
        return Cell(run.id, run.group, None, reason)
    cells = [_told_by(run, figure, case.verdict) for figure in figures]
    if not cells:
        return Cell(run.id, run.group, None, NO_FIGURE, verdict=case.verdict)
    rule = REDUCED.get(key.axis, Reduced.MEDIAN)
    return _reduced(cells, rule, key.better, [""] * len(cells)) if len(cells) > 1 else cells[0]


def _told_by(run: GroupedRun, figure: Figure, verdict: Verdict) -> Cell:
    """The cell of one figure; what is no number that can be computed with is missing."""
    value, resolution = finite(figure.value), finite(figure.resolution) or 0.0
    reason = figure.reason if value is not None or figure.value is None else f"its value is {figure.value}, no number"
    return Cell(run.id, run.group, value, reason, figure.at_least, resolution, verdict)


def _reduced(cells: Sequence[Cell], rule: Reduced, better: Better, names: Sequence[str]) -> Cell:
    """One cell of several of one run. A worst of which a part is missing is at least the worst of the rest."""
    known = [cell for cell in cells if cell.value is not None]
    missing = [_told(name, cell) for name, cell in zip(names, cells, strict=True) if cell.value is None]
    reasons = dict.fromkeys([*missing, *(cell.reason for cell in known if cell.reason)])
    first = cells[0]
    worst_is_known = rule is Reduced.WORST and better is Better.LESS
    if not known or (missing and not worst_is_known):
        return Cell(first.run, first.group, None, "; ".join(reasons), verdict=first.verdict)
    if rule is Reduced.WORST:
        pick = max if better is Better.LESS else min
        chosen = pick(known, key=lambda cell: cell.value or 0.0)
        value, resolution = chosen.value, chosen.resolution
    else:
        value = median(cell.value for cell in known if cell.value is not None)
        resolution = max(cell.resolution for cell in known)
    at_least = bool(missing) or any(cell.at_least for cell in known)
    told = "; ".join(reasons) if at_least else ""
    return Cell(first.run, first.group, value, told, at_least, resolution, first.verdict)


def _told(name: str, cell: Cell) -> str:
    return f"{name}: {cell.reason}" if name else cell.reason


def _figures(run: GroupedRun, case: str) -> Mapping[Key, Sequence[Figure]]:
    found: dict[Key, list[Figure]] = defaultdict(list)
    judged = run.case(case)
    for figure in judged.figures if judged else ():
        found[Key(case, figure.axis, figure.object, figure.unit, figure.better)].append(figure)
    return found
