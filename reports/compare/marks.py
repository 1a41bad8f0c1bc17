"""Small drawings in the page's tables, readable without scripts and in print: every run as a dot, and the interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10
from typing import Final

from markupsafe import Markup

from reports.compare.comparison import Comparison, Row
from reports.compare.outcome import Effect
from reports.compare.words import value
from reports.text import clean
from reports.timeline import palette
from reports.verdict import Better

WIDTH, LANE, FOOT = 250, 17, 13
EDGE = 6
FOREST_WIDTH, FOREST_HEIGHT = 150, 20
FULL: Final = 1.0
"""A relative difference of 100 % reaches the edge of the interval's drawing."""
SQUEEZED: Final = 15.0
"""A value so many times the median would squeeze the rest: the scale is logarithmic then."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Where values lie on a drawing, from its left to its right edge."""

    low: float
    high: float
    logarithmic: bool

    @classmethod
    def of(cls, values: Sequence[float]) -> Scale:
        """A scale that holds all of some values."""
        low, high = min(values), max(values)
        middle = sorted(values)[len(values) // 2]
        return cls(low, high, low > 0 and high > SQUEEZED * middle)

    def at(self, number: float) -> float:
        """Where a value lies, from 0 to 1."""
        if self.high == self.low:
            return 0.5
        if self.logarithmic:
            return (log10(number) - log10(self.low)) / (log10(self.high) - log10(self.low))
        return (number - self.low) / (self.high - self.low)


def colour(comparison: Comparison, group: str) -> str:
    """The name of a group's colour in the page's palette."""
    return palette.machine(comparison.groups.index(group))


def strip(comparison: Comparison, row: Row) -> Markup:
    """A lane for each group: a dot for each run, the quartiles as a bar, the median as a tick."""
    known = [cell.value for cell in row.line.cells if cell.value is not None and cell.group in comparison.groups]
    if not known:
        return Markup()
    scale = Scale.of(known)
    lanes = [_lane(comparison, row, scale, number) for number in range(len(comparison.groups))]
    height = LANE * len(lanes) + FOOT
    ends = (value(scale.low, row.line.key.unit), value(scale.high, row.line.key.unit))
    told = Markup('<text class="end" x="{}" y="{}"{}>{}</text>')
    foot = told.format(EDGE, height - 2, "", ends[0])
    if scale.low < scale.high:
        foot += told.format(WIDTH - EDGE, height - 2, Markup(' text-anchor="end"'), ends[1])
    if scale.logarithmic:
        foot += told.format(WIDTH / 2, height - 2, Markup(' text-anchor="middle"'), "log scale")
    label = f"{len(known)} values from {ends[0]} to {ends[1]}"
    return Markup('<svg class="strip" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}</svg>').format(
        WIDTH, height, label, Markup().join(lanes), foot
    )


def _lane(comparison: Comparison, row: Row, scale: Scale, number: int) -> Markup:
    group = comparison.groups[number]
    spread, middle = row.spreads[group], LANE * number + LANE / 2
    if spread.quartiles is None or spread.median is None:
        return Markup('<text class="end" x="{}" y="{}">no value</text>').format(EDGE, middle + 4)
    low, tick, high = (_x(scale, one) for one in (spread.quartiles[0], spread.median, spread.quartiles[1]))
    dots = "".join(
        f"M{_x(scale, cell.value):.1f} {middle:g}h0"
        for cell in row.line.cells
        if cell.group == group and cell.value is not None
    )
    return Markup(
        '<g style="--c:var(--{})"><rect x="{:.1f}" y="{:g}" width="{:.1f}" height="9" rx="2"/>'
        '<path class="dots" d="{}"/><path class="tick" d="M{:.1f} {:g}v13"/></g>'
    ).format(colour(comparison, group), low, middle - 4.5, max(1.5, high - low), dots, tick, middle - 6.5)


def _x(scale: Scale, number: float) -> float:
    return EDGE + (WIDTH - 2 * EDGE) * scale.at(number)


def forest(comparison: Comparison, effect: Effect, better: Better, sides: tuple[str, str], group: str) -> Markup:
    """The interval of the relative difference beside the margin; to the right the candidate is better.

    `group` is the winner, whose colour it has; empty without one.
    """
    if effect.relative is None:
        return Markup()
    sign = -1 if better is Better.LESS else 1
    shift, low, high = (sign * share for share in effect.relative)
    low, high = min(low, high), max(low, high)
    scale = effect.relative[0] / effect.shift if effect.shift else 0.0
    margin = min(FULL, abs(effect.margin * scale))
    middle = FOREST_HEIGHT / 2
    told = clean(f"left: {sides[0]} is better; right: {sides[1]} is better; the edges are 100 %")
    shade = f"--c:var(--{colour(comparison, group)})" if group else "--c:var(--muted)"
    return Markup(
        '<svg class="forest" viewBox="0 0 {} {}" role="img" aria-label="{}" style="{}"><title>{}</title>'
        '<rect class="margin" x="{:.1f}" y="1" width="{:.1f}" height="{}"/><path class="zero" d="M{} 0v{}"/>'
        '<path class="interval" d="M{:.1f} {}H{:.1f}"/>{}<circle cx="{:.1f}" cy="{}" r="4"/></svg>'
    ).format(
        FOREST_WIDTH, FOREST_HEIGHT, told, shade, told, _place(-margin), max(1.0, _place(margin) - _place(-margin)),
        FOREST_HEIGHT - 2, FOREST_WIDTH / 2, FOREST_HEIGHT, _place(low), middle, _place(high),
        Markup().join(_arrow(edge) for edge in (low, high) if abs(edge) > FULL), _place(shift), middle,
    )


def _place(share: float) -> float:
    return FOREST_WIDTH / 2 + (FOREST_WIDTH / 2 - EDGE) * max(-FULL, min(FULL, share))


def _arrow(edge: float) -> Markup:
    """That the interval goes on beyond the edge."""
    tip, middle = (FOREST_WIDTH - 1, FOREST_HEIGHT / 2) if edge > 0 else (1, FOREST_HEIGHT / 2)
    back = tip - 5 if edge > 0 else tip + 5
    return Markup('<path class="arrow" d="M{} {}L{} {}L{} {}z"/>').format(
        back, middle - 4, tip, middle, back, middle + 4
    )
