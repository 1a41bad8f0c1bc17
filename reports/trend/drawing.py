"""A series as a small SVG that needs no script: values, fails, limit, levels, where versions changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from reports.text import clean
from reports.trend import words
from reports.trend.analysis import Line, StreamTrend
from reports.verdict import Better, Verdict

MOST_POINTS = 240
"""Points that are drawn; of longer series the worst of each stretch, so that no bad run is lost."""
CLASSES = {Verdict.PASS: "good", Verdict.FAIL: "bad", Verdict.UNKNOWN: "open", None: "good"}
EDGE = 4.0


@dataclass(frozen=True, slots=True)
class Frame:
    """From run and value to the place in the picture."""

    runs: int
    low: float
    high: float
    width: float
    height: float

    def x(self, at: float) -> float:
        """Of a run, by its index in the stream."""
        return EDGE + at / max(self.runs - 1, 1) * (self.width - 2 * EDGE)

    def y(self, value: float) -> float:
        """Of a value; SVG counts downwards."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.height - EDGE - share * (self.height - 2 * EDGE)


def drawing(one: StreamTrend, line: Line, width: int, height: int, detailed: bool) -> Markup:
    """The picture; `detailed` adds the limit, the levels, the marks and a label to each point."""
    series = line.series
    values = [value for at in series.told if (value := series.value(at)) is not None]
    limit = series.newest.limit if detailed and values else None
    low, high = min(values, default=0.0), max(values, default=0.0)
    if limit is not None and limit <= 3 * max(high, 1e-12):
        high, low = max(high, limit), min(low, limit)
    frame = Frame(len(one.stream.rows), low, high, width, height)
    parts = [*(_background(one, line, frame, limit) if detailed else ()), *_points(one, line, frame, detailed)]
    name = escape(clean(f"{words.label(line.key)}, {len(series.told)} runs"))
    return Markup('<svg viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">{}</svg>').format(
        width, height, width, height, name, Markup().join(parts)
    )


def _background(one: StreamTrend, line: Line, frame: Frame, limit: float | None) -> Iterator[Markup]:
    for mark in one.marks[-MOST_POINTS:]:
        told = clean("; ".join(str(difference) for difference in mark.differences[: words.NAMED_CAUSES]))
        yield Markup('<line class="mark" x1="{0}" x2="{0}" y1="0" y2="{1}"><title>{2}</title></line>').format(
            f"{frame.x(mark.at - 0.5):.1f}", f"{frame.height:.0f}", told
        )
    if limit is not None and frame.low <= limit <= frame.high:
        told = clean(f"limit {words.amount(limit, line.series.newest.unit)}")
        yield _level("limit", frame, 0, frame.runs - 1, (limit, told))
    measured = line.series.measured
    if not line.steps:
        return
    ends = [measured[0], *(step.at for step in line.steps), measured[-1] + 1]
    levels = [line.steps[0].change.before, *(step.change.after for step in line.steps)]
    for begin, end, level in zip(ends, ends[1:], levels, strict=False):
        yield _level("level", frame, begin, end - 1, (level, f"median {words.amount(level, line.series.newest.unit)}"))


def _level(kind: str, frame: Frame, begin: float, end: float, what: tuple[float, str]) -> Markup:
    value, told = what
    return Markup('<line class="{}" x1="{}" x2="{}" y1="{}" y2="{}"><title>{}</title></line>').format(
        kind, f"{frame.x(begin):.1f}", f"{frame.x(end):.1f}", f"{frame.y(value):.1f}", f"{frame.y(value):.1f}", told
    )


def _points(one: StreamTrend, line: Line, frame: Frame, detailed: bool) -> Iterator[Markup]:
    series = line.series
    shown = _thinned(line, series.told)
    placed = [(at, frame.x(at), frame.y(value)) for at in shown if (value := series.value(at)) is not None]
    if len(placed) > 1:
        yield Markup('<polyline points="{}"/>').format(" ".join(f"{x:.1f},{y:.1f}" for _, x, y in placed))
    heights = {at: y for at, _, y in placed}
    for at in shown:
        kind = "apart" if at in line.apart and series.verdict(at) is not Verdict.FAIL else CLASSES[series.verdict(at)]
        if kind == "good" and at in heights and not detailed:
            continue
        radius = 2.4 if detailed or kind in ("bad", "open") else 1.2
        title = Markup("<title>{}</title>").format(_label(one, line, at)) if detailed else Markup()
        yield Markup('<circle class="{}" cx="{}" cy="{}" r="{}">{}</circle>').format(
            kind, f"{frame.x(at):.1f}", f"{heights.get(at, frame.height / 2):.1f}", radius, title
        )


def _label(one: StreamTrend, line: Line, at: int) -> str:
    entry = line.series.entry(at)
    verdict = f", {entry.verdict}" if entry.verdict else ""
    return clean(f"{words.run(one.stream.rows[at])}: {words.amount(entry.value, entry.unit)}{verdict}")


def _thinned(line: Line, told: Sequence[int]) -> list[int]:
    if len(told) <= MOST_POINTS:
        return list(told)
    size = -(-len(told) // MOST_POINTS)
    return [max(told[begin : begin + size], key=lambda at: _badness(line, at)) for begin in range(0, len(told), size)]


def _badness(line: Line, at: int) -> tuple[int, float]:
    order = {Verdict.FAIL: 2, Verdict.UNKNOWN: 1}
    verdict, value = line.series.verdict(at), line.series.value(at)
    sign = 1 if line.series.newest.better is Better.LESS else -1
    return order.get(verdict, 0) if verdict else 0, sign * value if value is not None else float("-inf")
