"""The marks of a row as traces of plotly.js: bars, curves, beams, crosses and lanes of a rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from reports.timeline.layout import HEAT, decades, fits
from reports.timeline.model import Bar, Failures, Gaps, Heat, Line, Row, Timeline
from reports.timeline.terms import Json, colour, literal, packed

MOMENT = "%{x|%H:%M:%S.%L} UTC<extra></extra>"
BEAM = (9, 0, 9, 0)
"""How large the marks of a beam are: its ends, not its middle, which is there to be pointed at."""


def traces(timeline: Timeline, row: Row) -> Iterator[Json]:
    if row.heat is not None:
        yield from (_heat(timeline, row.heat, lane, name) for lane, name in enumerate(row.lanes))
    for thin in (False, True):
        if bars := [bar for bar in row.bars if bar.thin is thin]:
            yield _bars(timeline, bars, thin)
    yield from (_line(timeline, row, line) for line in row.lines)
    yield from (_gaps(timeline, gaps) for gaps in row.gaps if len(gaps.begins))
    yield from (_failures(timeline, row, failures) for failures in row.failures)


def _bars(timeline: Timeline, bars: Sequence[Bar], thin: bool) -> Json:
    """Bars of one weight; thin ones keep a width that can be seen, however short they are."""
    begins = np.array([bar.begin for bar in bars], np.int64)
    ends = np.array([bar.end for bar in bars], np.int64)
    colours = [colour(bar.colour) for bar in bars]
    edge = {"width": 2, "color": colours} if thin else {"width": 0.6, "color": colour("paper")}
    return {
        "type": "bar", "orientation": "h", "base": packed(timeline.wall_ms(begins), "f8"),
        "x": packed((ends - begins) / 1e6, "f8"), "y": [bar.lane for bar in bars], "width": 0.36 if thin else 0.84,
        "marker": {"color": colours, "line": edge},
        "text": [literal(bar.label) if fits(timeline, bar) else "" for bar in bars],
        "textposition": "inside", "insidetextanchor": "start", "textangle": 0,
        "insidetextfont": {"color": colour("on-tone"), "size": 11},
        "hovertext": [f"{literal(bar.told)}<br>{_times(timeline, bar)}" for bar in bars], "hoverinfo": "text",
    }


def _times(timeline: Timeline, bar: Bar) -> str:
    begin, end = (np.datetime64(round(float(timeline.wall_ms(edge))), "ms") for edge in (bar.begin, bar.end))
    seconds = (bar.end - bar.begin) / 1e9
    return f"{_clock(begin)} to {_clock(end)} UTC, {seconds:.3f} s" if seconds < 10 else (
        f"{_clock(begin)} to {_clock(end)} UTC, {seconds:.1f} s")


def _clock(moment: np.datetime64) -> str:
    return str(moment)[11:]


def _line(timeline: Timeline, row: Row, line: Line) -> Json:
    start = float(timeline.wall_ms(line.begin + line.width / 2))
    told = f"%{{y:.1f}} {row.unit}"
    if row.logarithmic:
        told = "answer after %{y:.3s}s" + ("" if line.dots else f", worst in {line.width / 1e9:.2g} s")
    stroke = {"color": colour(line.colour), "width": 1.3, "dash": "dot" if line.dashed else "solid"}
    dots = {"color": colour(line.colour), "size": 4, "opacity": 0.75}
    look: Json = {"mode": "markers", "marker": dots} if line.dots else {"mode": "lines", "line": stroke}
    return {
        "type": "scatter", "x0": start, "dx": line.width / 1e6, "y": packed(line.values, "f4"), "connectgaps": False,
        "legendgroup": line.colour, "hovertemplate": f"<b>{literal(line.name)}</b>  {told}<br>{MOMENT}", **look,
    }


def _gaps(timeline: Timeline, gaps: Gaps) -> Json:
    """Each gap as a beam from its begin to its end, as high as it is long."""
    lengths = (gaps.ends - gaps.begins) / 1e9
    blank = np.full(len(lengths), np.nan)
    begins, ends = timeline.wall_ms(gaps.begins), timeline.wall_ms(gaps.ends)
    times = np.stack((begins, (begins + ends) / 2, ends, blank), axis=1).ravel()
    heights = np.stack((lengths, lengths, lengths, blank), axis=1).ravel()
    told = f"<b>{literal(gaps.name)}</b>  no answer for %{{y:.3s}}s<br>longer than {gaps.normal:.3g} s is not normal"
    return {
        "type": "scatter", "mode": "lines+markers", "x": packed(times, "f8"), "y": packed(heights, "f4"),
        "line": {"color": colour(gaps.colour), "width": 3.5},
        "marker": {"symbol": "line-ns-open", "size": packed(np.tile(BEAM, len(lengths)), "f4"),
                   "color": colour(gaps.colour), "line": {"width": 2.2}},
        "hovertemplate": f"{told}<br>{MOMENT}", "legendgroup": gaps.colour,
    }


def _failures(timeline: Timeline, row: Row, failures: Failures) -> Json:
    top = 10 ** (decades(row)[1] - 0.16)
    return {
        "type": "scatter", "mode": "markers", "x": packed(timeline.wall_ms(failures.times), "f8"),
        "y": packed(np.full(len(failures.times), top), "f4"), "text": [*failures.told], "cliponaxis": False,
        "marker": {"symbol": "x-thin-open", "size": 7, "color": colour("fail"), "line": {"width": 1.8}},
        "hovertemplate": f"<b>{literal(failures.name)}</b>  failed: %{{text}}<br>{MOMENT}",
    }


def _heat(timeline: Timeline, heat: Heat, lane: int, name: str) -> Json:
    """One lane: a trace of its own, so that pointing at it names it."""
    told = f"<b>{literal(name)}</b>  %{{customdata:.2f}} {heat.unit}, %{{z:.0%}} of the baseline"
    return {
        "type": "heatmap", "x0": float(timeline.wall_ms(heat.begin + heat.width / 2)), "dx": heat.width / 1e6,
        "y0": lane, "dy": 1, "z": packed(heat.shares[lane : lane + 1], "f4"),
        "customdata": packed(heat.told[lane : lane + 1], "f4"), "zmin": 0, "zmax": 2, "showscale": False, "ygap": 1.5,
        "colorscale": [[place, colour(shade)] for place, shade in HEAT],
        "hovertemplate": f"{told}<br>{MOMENT}",
    }
