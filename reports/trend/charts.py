"""What the page's script draws: the points of every series as JSON that is safe between script tags."""

from __future__ import annotations

import json
from typing import Any

from markupsafe import Markup

from reports.text import clean
from reports.trend import words
from reports.trend.analysis import Line, StreamTrend, Trend
from reports.verdict import Verdict

LETTERS = {Verdict.PASS: "p", Verdict.FAIL: "f", Verdict.UNKNOWN: "u", None: "n"}
DIGITS = 6


def data(trend: Trend) -> Markup:
    """All streams and their series, in the order of the trend."""
    content = json.dumps([_stream(one) for one in trend.streams], allow_nan=False, separators=(",", ":"))
    # Inside a script element only "</script" and "<!--" are read by the browser; without "<" there is neither.
    return Markup(content.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _stream(one: StreamTrend) -> dict[str, Any]:
    return {
        "runs": [_text(row.id) for row in one.stream.rows],
        "times": [row.started.strftime("%Y-%m-%d %H:%M:%S") for row in one.stream.rows],
        "marks": [
            {"at": mark.at, "told": [_text(str(one)) for one in mark.differences[: words.NAMED_CAUSES]]}
            for mark in one.marks
        ],
        "series": [_series(line) for line in one.lines],
    }


def _series(line: Line) -> dict[str, Any]:
    series = line.series
    return {
        "name": _text(f"{line.key.case} · {words.label(line.key)}"),
        "unit": _text(series.newest.unit),
        "at": list(series.told),
        "values": [None if (value := series.value(at)) is None else round(value, DIGITS) for at in series.told],
        "verdicts": "".join(LETTERS[series.verdict(at)] for at in series.told),
        "limit": series.newest.limit,
        "apart": list(line.apart),
        "steps": [[step.at, step.change.before, step.change.after, step.worse] for step in line.steps],
    }


def _text(text: str) -> str:
    """Plotly reads some tags in its labels, and TeX between dollars: what looks like either must not be it."""
    return clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("$", "&#36;")
