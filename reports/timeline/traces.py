"""The marks of a row as traces of plotly.js: bars, curves, beams, crosses and lanes of a rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from reports.timeline.beams import heights
from reports.timeline.layout import CROSSES, HEAT, decades, fits
from reports.timeline.model import Bar, Failures, Floats, Gaps, Heat, Line, Row, Timeline, alone
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
    for line in row.lines:
        yield from _line(timeline, row, line)
    for gaps, drawn in zip(row.gaps, heights(row), strict=True):
        if len(gaps.begins):
            yield _gaps(timeline, gaps, drawn)
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


def _line(timeline: Timeline, row: Row, line: Line) -> Iterator[Json]:
    """The curve, and a dot wherever a value stands alone, which no line would show."""
    start = float(timeline.wall_ms(line.begin + line.width / 2))
    told = f"%{{y:.1f}} {row.unit}"
    if row.logarithmic:
        told = "answer after %{y:.3s}s" + ("" if line.dots else f", worst in {line.width / 1e9:.2g} s")
    stroke = {"color": colour(line.colour), "width": 1.3, "dash": "dot" if line.dashed else "solid"}
    dots = {"color": colour(line.colour), "size": 4, "opacity": 0.75}
    look: Json = {"mode": "markers", "marker": dots} if line.dots else {"mode": "lines", "line": stroke}
    common: Json = {
        "type": "scatter", "legendgroup": line.colour,
        "hovertemplate": f"<b>{literal(line.name)}</b>  {told}<br>{MOMENT}",
    }
    yield {
        **common, "x0": start, "dx": line.width / 1e6, "y": packed(line.values, "f4"), "connectgaps": False, **look
    }
    single = alone(line.values)
    if single.any() and not line.dots:
        yield {
            **common, "x": packed(timeline.wall_ms(line.times[single]), "f8"), "y": packed(line.values[single], "f4"),
            "mode": "markers", "marker": {"color": colour(line.colour), "size": 4},
        }


def _gaps(timeline: Timeline, gaps: Gaps, drawn: Floats) -> Json:
    """Each gap as a beam from its begin to its end, about as high as it is long; its ends are red if it may not be."""
    lengths = gaps.seconds
    blank = np.full(len(lengths), np.nan)
    begins, ends = timeline.wall_ms(gaps.begins), timeline.wall_ms(gaps.ends)
    times = np.stack((begins, (begins + ends) / 2, ends, blank), axis=1).ravel()
    tips: Any = colour(gaps.colour)
    if gaps.over.any():
        tips = [colour("fail" if over else gaps.colour) for over in gaps.over.tolist() for _ in BEAM]
    told = f"<b>{literal(gaps.name)}</b>  no answer for %{{customdata:.4s}}s"
    told += f"<br>longer than {gaps.normal:.3g} s is not normal"
    words = _allowed(gaps)
    alike = len({*words}) == 1  # as it is of most streams: then it need not be written with each gap
    told += words[0] if alike else "%{text}"
    return {
        "type": "scatter", "mode": "lines+markers", "x": packed(times, "f8"),
        "y": packed(np.stack((drawn, drawn, drawn, blank), axis=1).ravel(), "f4"),
        "customdata": packed(np.stack((lengths, lengths, lengths, blank), axis=1).ravel(), "f4"),
        **({} if alike else {"text": [text for one in words for text in (one, one, one, "")]}),
        "line": {"color": colour(gaps.colour), "width": 3.5},
        "marker": {"symbol": "line-ns-open", "size": packed(np.tile(BEAM, len(lengths)), "f4"),
                   "color": tips, "line": {"width": 2.2}},
        "hovertemplate": f"{told}<br>{MOMENT}", "legendgroup": gaps.colour,
    }


def _allowed(gaps: Gaps) -> list[str]:
    """What the judge's rules say of each gap."""
    if gaps.limits is None:
        return [""] * len(gaps.begins)
    pairs = zip(gaps.seconds.tolist(), gaps.limits.tolist(), strict=True)
    return [
        f"; {limit:.3g} s allowed then{', which is exceeded' if seconds > limit else ''}"
        if np.isfinite(limit) else "; no limit holds for it"
        for seconds, limit in pairs
    ]


def _failures(timeline: Timeline, row: Row, failures: Failures) -> Json:
    low, high = decades(row)
    top = 10 ** (low + CROSSES * (high - low))
    return {
        "type": "scatter", "mode": "markers", "x": packed(timeline.wall_ms(failures.times), "f8"),
        "y": packed(np.full(len(failures.times), top), "f4"), "text": [*failures.told], "cliponaxis": False,
        "marker": {"symbol": "x-thin-open", "size": 7, "color": colour("fail"), "line": {"width": 1.8}},
        "hovertemplate": f"<b>{literal(failures.name)}</b>  failed: %{{text}}<br>{MOMENT}",
        **({"legendgroup": failures.colour} if failures.colour else {}),
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
