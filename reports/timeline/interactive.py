"""The timeline as a figure of plotly.js: plain JSON, colours as names of the page's palette, foreign strings escaped.

plotly.js reads a subset of HTML and `%{...}` in labels; `terms.literal` makes any string stand for itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from reports.text import clean
from reports.timeline.layout import LEFT, RIGHT, Place, Sheet, decades, lane_label, limits, shares, sheet, ticks
from reports.timeline.model import Timeline
from reports.timeline.terms import Json, colour, literal
from reports.timeline.traces import traces

MARGIN = {"l": LEFT, "r": RIGHT, "t": 0, "b": 0}
FONT = "Inter, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"


def figure(timeline: Timeline) -> Json:
    """Traces and layout of the rows that have something to draw, and the moments to go to."""
    drawing = sheet(timeline.drawn)
    data: list[Json] = [_ruler(timeline)]
    for number, place in enumerate(drawing.places, 1):
        data += [{**trace, "yaxis": _axis_name("y", number)} for trace in traces(timeline, place.row)]
    moments = [
        {"label": clean(moment.label), "range": timeline.wall_ms([moment.begin, moment.end]).tolist()}
        for moment in timeline.moments
    ]
    return {"data": data, "layout": _layout(timeline, drawing), "moments": moments}


def _ruler(timeline: Timeline) -> Json:
    """What the clock above the first row needs to exist."""
    edges = _edges(timeline)
    return {"type": "scatter", "x": edges, "y": [None, None], "xaxis": "x2", "yaxis": "y", "hoverinfo": "skip"}


def _edges(timeline: Timeline) -> list[int]:
    """Begin and end in whole milliseconds: a clock of fractions would write 59.999 as 59."""
    begin, end = timeline.wall_ms([timeline.begin, timeline.end])
    return [int(begin), int(-(-end // 1))]


def _layout(timeline: Timeline, drawing: Sheet) -> Json:
    edges = _edges(timeline)
    clock = {
        "type": "date", "range": edges, "showgrid": True, "gridcolor": colour("grid"), "tickformatstops": _formats(),
        "tickcolor": colour("rule"), "ticks": "outside", "ticklen": 4, "showline": False, "zeroline": False,
        "tickfont": {"size": 11, "color": colour("muted")}, "minallowed": edges[0], "maxallowed": edges[1],
        "nticks": 12, "automargin": False,
    }
    layout: Json = {
        "height": drawing.height, "margin": MARGIN, "barmode": "overlay", "showlegend": False, "hovermode": "closest",
        "dragmode": "zoom", "paper_bgcolor": colour("paper"), "plot_bgcolor": colour("paper"), "hoverdistance": 24,
        "font": {"color": colour("ink"), "size": 11, "family": FONT},
        "hoverlabel": {"bgcolor": colour("paper"), "bordercolor": colour("muted"), "align": "left",
                       "font": {"color": colour("ink"), "size": 12}},
        "xaxis": {**clock, "anchor": _axis_name("y", len(drawing.places)), "showspikes": True, "spikemode": "across",
                  "spikesnap": "cursor", "spikethickness": 1, "spikedash": "solid", "spikecolor": colour("muted")},
        "xaxis2": {**clock, "anchor": "y", "side": "top", "matches": "x", "overlaying": "x", "tickmode": "auto",
                   "showgrid": False},
        "shapes": [*_shades(timeline), *_levels(drawing)], "annotations": [*_titles(drawing)],
    }
    for number, place in enumerate(drawing.places, 1):
        layout[_axis_name("yaxis", number)] = _axis(drawing, place)
    return layout


def _axis_name(kind: str, number: int) -> str:
    """How plotly.js calls an axis: the first of a kind has no number."""
    return kind if number == 1 else f"{kind}{number}"


def _formats() -> list[Json]:
    return [
        {"dtickrange": [None, 1000], "value": "%H:%M:%S.%L"}, {"dtickrange": [1000, 60_000], "value": "%H:%M:%S"},
        {"dtickrange": [60_000, None], "value": "%H:%M"},
    ]


def _axis(drawing: Sheet, place: Place) -> Json:
    row = place.row
    axis: Json = {
        "domain": [*_domain(drawing, place)], "fixedrange": True, "zeroline": False, "gridcolor": colour("grid"),
        "tickfont": {"size": 10 if row.heat else 11, "color": colour("muted")}, "ticks": "", "anchor": "x",
        "automargin": False, "ticklabelstandoff": 4,
    }
    if row.lanes:
        lanes = len(row.lanes)
        return axis | {"type": "linear", "range": [lanes - 0.5, -0.5], "tickvals": [*range(lanes)], "showgrid": False,
                       "ticktext": [literal(lane_label(name)) for name in row.lanes]}
    if row.logarithmic:
        marks = ticks(row)
        return axis | {"type": "log", "range": [*decades(row)], "tickvals": [value for value, _ in marks],
                       "ticktext": [text for _, text in marks]}
    return axis | {"range": [*shares(row)], "ticksuffix": f" {row.unit}", "nticks": 4}


def _domain(drawing: Sheet, place: Place) -> tuple[float, float]:
    bottom = (drawing.height - place.top - place.height) / drawing.height
    return bottom, (drawing.height - place.top) / drawing.height


def _shades(timeline: Timeline) -> Iterable[Json]:
    for moment in timeline.moments:
        begin, end = timeline.wall_ms([moment.begin, moment.end]).tolist()
        yield {"type": "rect", "xref": "x", "yref": "paper", "x0": begin, "x1": end, "y0": 0, "y1": 1, "layer": "below",
               "line": {"width": 0}, "fillcolor": colour("drain"), "opacity": 0.1}


def _levels(drawing: Sheet) -> Iterable[Json]:
    for number, place in enumerate(drawing.places, 1):
        for level in place.row.levels:
            yield {"type": "line", "xref": "paper", "yref": _axis_name("y", number), "x0": 0, "x1": 1,
                   "y0": level.value, "y1": level.value,
                   "line": {"color": colour("fail"), "width": 1, "dash": "dot" if level.eased else "dash"}}


def _titles(drawing: Sheet) -> Iterable[Json]:
    common: Json = {"showarrow": False, "xref": "paper", "yref": "paper", "yanchor": "bottom"}
    for place in drawing.places:
        row, top = place.row, _domain(drawing, place)[1]
        shift = 24 if place is drawing.places[0] else 4
        text = f"<b>{literal(row.title)}</b>" + (f"   {literal(row.note)}" if row.note else "")
        yield {**common, "x": 0, "xanchor": "left", "xshift": -MARGIN["l"], "y": top, "yshift": shift, "text": text,
               "font": {"size": 12, "color": colour("ink")}}
        if row.levels:
            yield {**common, "x": 1, "xanchor": "right", "y": top, "yshift": 4, "text": literal(limits(row)),
                   "font": {"size": 11, "color": colour("fail")}}
