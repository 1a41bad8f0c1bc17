"""The timeline as inline SVG in light colours: for printing, and for browsers without JavaScript."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.dates import AutoDateLocator, DateFormatter
from matplotlib.figure import Figure

from reports.text import clean
from reports.timeline.beams import heights
from reports.timeline.layout import (
    CROSSES,
    HEAT,
    LEFT,
    RIGHT,
    WIDTH,
    Place,
    Sheet,
    decades,
    fits,
    lane_label,
    limits,
    pages,
    shares,
    ticks,
)
from reports.timeline.model import Bar, Floats, Gaps, Heat, Line, Row, Timeline, alone
from reports.timeline.palette import LIGHT

DOTS = 100
"""Pixels of the layout in an inch of the drawing."""
MOST_POINTS = 360
"""How finely curves are drawn; each point is the worst of what it stands for."""
BOLD_CHARACTER = 6.4
"""About how many pixels a character of a title takes."""
DAY_NS = 86_400e9
STYLE: Any = {
    "svg.hashsalt": "drainproof", "svg.fonttype": "none", "text.parse_math": False, "font.size": 7.6,
    "font.family": "sans-serif", "text.color": LIGHT["ink"], "xtick.color": LIGHT["muted"],
    "ytick.color": LIGHT["muted"], "axes.edgecolor": LIGHT["rule"], "axes.linewidth": 0.7, "timezone": "UTC",
}
DECIMALS = re.compile(r"(-?\d+\.\d)\d+")
DRAWN = re.compile(r'( d="| points="|x="|y=")([^"]*)"')


def picture(timeline: Timeline) -> str:
    """The rows that have something to draw, a drawing per page of paper; the same bytes for the same record."""
    with mpl.rc_context(STYLE):
        return "\n".join(_page(timeline, drawing) for drawing in pages(timeline))


def _page(timeline: Timeline, drawing: Sheet) -> str:
    figure = Figure(figsize=(WIDTH / DOTS, drawing.height / DOTS))
    for place in drawing.places:
        bottom = 1 - (place.top + place.height) / drawing.height
        box = (LEFT / WIDTH, bottom, (WIDTH - LEFT - RIGHT) / WIDTH, place.height / drawing.height)
        _row(figure.add_axes(box), timeline, place, place is drawing.places[-1])
    return _svg(figure)


def _row(axes: Axes, timeline: Timeline, place: Place, last: bool) -> None:
    row = place.row
    _frame(axes, timeline, last)
    _scale(axes, row)
    _words(axes, place)
    if row.heat is not None:
        _heat(axes, timeline, row.heat)
    _bars(axes, timeline, row.bars)
    for line in row.lines:
        _line(axes, timeline, line)
    for gaps, drawn in zip(row.gaps, heights(row), strict=True):
        _gaps(axes, timeline, gaps, drawn)
    for failures in row.failures:
        axes.plot(
            _days(timeline, failures.times), np.full(len(failures.times), CROSSES), linestyle="none", marker="x",
            color=LIGHT["fail"], markersize=4, markeredgewidth=1.1, transform=axes.get_xaxis_transform(),
        )
    for level in row.levels:
        dashes = (1, 2) if level.eased else (5, 3)
        axes.axhline(level.value, color=LIGHT["fail"], linewidth=0.8, linestyle=(0, dashes))


def _frame(axes: Axes, timeline: Timeline, last: bool) -> None:
    """The clock, and the disturbances as shaded time."""
    axes.set_xlim(_days(timeline, timeline.begin), _days(timeline, timeline.end))
    axes.spines[["top", "right", "bottom", "left"]].set_visible(False)
    axes.xaxis.set_major_locator(AutoDateLocator(minticks=5, maxticks=11))  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M:%S"))  # type: ignore[no-untyped-call]
    axes.set_axisbelow(True)
    for moment in timeline.moments:
        begin, end = (_days(timeline, edge) for edge in (moment.begin, moment.end))
        axes.axvspan(begin, end, color=LIGHT["drain"], alpha=0.1, linewidth=0, zorder=0)
    axes.tick_params(which="both", length=0, labelbottom=last)


def _scale(axes: Axes, row: Row) -> None:
    """Lanes, decades or shares."""
    axes.grid(True, axis="x" if row.lanes else "both", color=LIGHT["grid"], linewidth=0.7)
    if row.lanes:
        axes.set_ylim(len(row.lanes) - 0.5, -0.5)
        names = [lane_label(name) for name in row.lanes]
        axes.set_yticks(range(len(names)), names, fontsize=6.6 if row.heat else None)
    elif row.logarithmic:
        axes.set_yscale("log")
        axes.set_ylim(*(10**power for power in decades(row)))
        axes.set_yticks([value for value, _ in ticks(row)], [text for _, text in ticks(row)])
        axes.yaxis.set_minor_formatter(lambda _, __: "")
        axes.tick_params(which="both", length=0)
    else:
        axes.set_ylim(*shares(row))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} {row.unit}")


def _words(axes: Axes, place: Place) -> None:
    """The row's title, its note and its limit, above it."""
    row, inside = place.row, WIDTH - LEFT - RIGHT
    above = 1 + 6 / place.height
    style: Any = {"transform": axes.transAxes, "va": "bottom"}
    axes.text(-LEFT / inside, above, clean(row.title), weight="bold", **style)
    if row.note:
        begin = (len(row.title) * BOLD_CHARACTER + 14 - LEFT) / inside
        axes.text(begin, above, clean(row.note), color=LIGHT["muted"], **style)
    if row.levels:
        told = limits(row)
        axes.text(1, above, clean(told), color=LIGHT["fail"], ha="right", **style)


def _heat(axes: Axes, timeline: Timeline, heat: Heat) -> None:
    lanes, columns = heat.shares.shape
    edges = (_days(timeline, heat.begin), _days(timeline, heat.begin + heat.width * columns))
    colours = LinearSegmentedColormap.from_list("rate", [(share, LIGHT[shade]) for share, shade in HEAT])
    axes.imshow(
        heat.shares, aspect="auto", interpolation="nearest", cmap=colours, vmin=0, vmax=2,
        extent=(*edges, lanes - 0.5, -0.5), zorder=1,
    )
    for lane in range(1, lanes):
        axes.axhline(lane - 0.5, color=LIGHT["paper"], linewidth=0.9, zorder=2)


def _bars(axes: Axes, timeline: Timeline, bars: Sequence[Bar]) -> None:
    scale = (WIDTH - LEFT - RIGHT) / (timeline.end - timeline.begin)
    for bar in bars:
        begin, end = _days(timeline, bar.begin), _days(timeline, bar.end)
        least = 1.6 / scale / DAY_NS if bar.thin else 0.0
        axes.barh(
            bar.lane, max(end - begin, least), left=begin, height=0.36 if bar.thin else 0.84, color=LIGHT[bar.colour],
            edgecolor=LIGHT["pause" if bar.thin else "paper"], linewidth=0.4, zorder=3 if bar.thin else 2,
        )
        label = clean(bar.label)
        if label and fits(timeline, bar):
            axes.text(begin + 3 / scale / DAY_NS, bar.lane, label, color=LIGHT["on-tone"], va="center_baseline",
                      fontsize=7.2, zorder=4, clip_on=True)


def _line(axes: Axes, timeline: Timeline, line: Line) -> None:
    times, values = _coarser(line)
    style: Any = {"linestyle": "none", "marker": "o", "markersize": 1.8, "markeredgewidth": 0} if line.dots else {
        "linewidth": 0.9, "linestyle": ":" if line.dashed else "-"}
    axes.plot(_days(timeline, times), values, color=LIGHT[line.colour], **style)
    single = alone(values)
    if single.any() and not line.dots:  # a line through a value that stands alone shows nothing
        axes.plot(
            _days(timeline, times[single]), values[single], color=LIGHT[line.colour], linestyle="none", marker="o",
            markersize=1.8, markeredgewidth=0,
        )


def _coarser(line: Line) -> tuple[Floats, Floats]:
    """The worst of neighbours, so that no more points are drawn than a page shows."""
    together = -(-len(line.values) // MOST_POINTS)
    if together <= 1:
        return line.times, line.values
    count = -(-len(line.values) // together)
    padded = np.full(count * together, np.nan)
    padded[: len(line.values)] = line.values
    values: Floats = np.fmax.reduce(padded.reshape(count, together), axis=1)
    times: Floats = np.asarray(line.begin + (np.arange(count) + 0.5) * line.width * together, np.float64)
    return times, values


def _gaps(axes: Axes, timeline: Timeline, gaps: Gaps, drawn: Floats) -> None:
    """Beams with an upright mark at both ends, as most are shorter than a point on paper; red if they may not be."""
    begins, ends = _days(timeline, gaps.begins), _days(timeline, gaps.ends)
    axes.hlines(drawn, begins, ends, color=LIGHT[gaps.colour], linewidth=2.4, zorder=3)
    for rows, colour in ((~gaps.over, gaps.colour), (gaps.over, "fail")):
        axes.plot(
            np.concatenate((begins[rows], ends[rows])), np.tile(drawn[rows], 2), color=LIGHT[colour], linestyle="none",
            marker="|", markersize=5.5, markeredgewidth=1.1, zorder=3,
        )


def _days(timeline: Timeline, t_ns: Any) -> Any:
    """Instants as matplotlib counts time: days since the epoch."""
    return timeline.wall_ms(t_ns) / 86_400_000


def _svg(figure: Figure) -> str:
    """The drawing without XML prologue, scaled to the page, numbers as fine as a page shows them."""
    target = io.StringIO()
    figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = target.getvalue()
    drawn = text[text.index("<svg") :]
    return DRAWN.sub(lambda found: f'{found.group(1)}{DECIMALS.sub(_short, found.group(2))}"', drawn)


def _short(found: re.Match[str]) -> str:
    return found.group(1)
