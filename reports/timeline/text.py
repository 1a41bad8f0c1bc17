"""The timeline on a terminal: a line per lane and stream, a column per stretch of time; or a line per event."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import numpy as np
from rich.text import Text

from reports.text import clean, number
from reports.timeline.model import Failures, Gaps, Line, Row, Timeline

LABEL, VALUE = 22, 10
"""Columns of a line's name and of its worst value."""
STEPS = " ▁▂▃▄▅▆▇█"
FLOOR = 1e-3
"""Seconds at which a column begins to show, on a logarithmic scale up to twice the limit."""
STYLES = {
    "calm": "dim", "drain": "yellow", "fault": "red", "copy": "blue", "prepare": "cyan", "wait": "dim", "pause": "bold",
    "whole": "green", "reduced": "red",
}
MACHINES = ("cyan", "yellow", "green", "magenta", "bright_yellow", "bright_magenta", "blue", "bright_cyan", "white")
TICK = 20
"""Columns between two times of day."""


def drawn(timeline: Timeline, width: int) -> Iterator[Text]:
    """The timeline for a terminal of that width."""
    columns = max(20, width - LABEL - VALUE - 2)
    yield _ruler(timeline, columns)
    for row in timeline.drawn:
        if row.heat is not None or not (row.lanes or row.logarithmic):
            continue
        yield _title(row, width)
        if row.lanes:
            yield from (_lane(timeline, row, lane, columns) for lane in range(len(row.lanes)))
        else:
            yield from _streams(timeline, row, columns)


def _title(row: Row, width: int) -> Text:
    """What the row shows, then what its marks mean and its limits, as far as there is room."""
    title = clean(row.title)
    more = "; ".join(clean(text) for text in (*(level.label for level in row.levels), row.note) if text)
    room = width - len(title) - 2
    shown = more if len(more) <= room else f"{more[: max(0, room - 1)]}…"
    return Text.assemble((title, "bold"), (f"  {shown}", "dim")) if more and room > 1 else Text(title, style="bold")


def told(timeline: Timeline) -> Iterator[str]:
    """What happened, a line for each bar and gap by time, for files and pipes."""
    found: list[tuple[int, str]] = []
    for row in timeline.drawn:
        for bar in row.bars:
            seconds = f"{(bar.end - bar.begin) / 1e9:9.3f} s"
            found.append((bar.begin, f"{seconds}  {row.title}: {row.lanes[bar.lane]}: {bar.told}"))
        for gaps in row.gaps:
            for begin, end in zip(gaps.begins.tolist(), gaps.ends.tolist(), strict=True):
                found.append((begin, f"{(end - begin) / 1e9:9.3f} s  {row.title}: {gaps.name}: no answer"))
        for failures in row.failures:
            for begin, what in zip(failures.times.tolist(), failures.told, strict=True):
                found.append((begin, f"{'':>11}  {failures.name}: failed: {what}"))
    for begin, line in sorted(found):
        yield clean(f"{_clock(timeline, begin)}  {line}")
    for row in timeline.drawn:
        for gaps in row.gaps:
            if gaps.left_out:
                yield clean(f"{row.title}: {gaps.name}: {gaps.left_out} shorter gaps are not told")


def _clock(timeline: Timeline, t_ns: float, digits: int = 3) -> str:
    moment = datetime.fromtimestamp(float(timeline.wall_ms(t_ns)) / 1000, tz=UTC)
    return moment.strftime("%H:%M:%S.%f")[: 8 + (digits + 1 if digits else 0)]


def _ruler(timeline: Timeline, columns: int) -> Text:
    length = timeline.end - timeline.begin
    marks = [
        f"|{_clock(timeline, timeline.begin + length * column / columns, 0)}".ljust(TICK)
        for column in range(0, columns - 9, TICK)
    ]
    return Text(" " * LABEL + "".join(marks), style="dim")


def _name(name: str) -> str:
    shown = clean(name)
    return (shown if len(shown) < LABEL else f"{shown[: LABEL - 2]}…").ljust(LABEL)


def _lane(timeline: Timeline, row: Row, lane: int, columns: int) -> Text:
    """The bars of a lane, each with as much of its label as it has room for."""
    cells, styles = [" "] * columns, [""] * columns
    for bar in sorted((bar for bar in row.bars if bar.lane == lane), key=lambda bar: (bar.thin, bar.begin)):
        first, last = (_column(timeline, edge, columns) for edge in (bar.begin, bar.end))
        fill = "█" if bar.thin else "━"
        label = clean(bar.label) if not bar.thin else ""
        length = last - first + 1
        shown = label[: length - 1] if len(label) < length or length > 6 else ""
        for place, character in enumerate(shown.ljust(length, fill) if shown else fill * length):
            cells[first + place] = character
            styles[first + place] = _style(bar.colour)
    return _line_of(_name(row.lanes[lane]), cells, styles, "")


def _streams(timeline: Timeline, row: Row, columns: int) -> Iterator[Text]:
    limit = min((level.value for level in row.levels), default=1.0)
    lines, gaps = {one.name: one for one in row.lines}, {one.name: one for one in row.gaps}
    for name in {**lines, **gaps}:
        failed = [one for one in row.failures if one.name.partition("/")[2] == name]
        yield _stream(timeline, name, lines.get(name), gaps.get(name), failed, limit, columns)


def _stream(
    timeline: Timeline, name: str, line: Line | None, gaps: Gaps | None, failed: Sequence[Failures], limit: float,
    columns: int,
) -> Text:
    """The worst answer of each column, or the gap that covers it; a cross where operations failed.

    A gap is red if it lasted longer than it may, else yellow.
    """
    worst, silent, over = np.zeros(columns), np.zeros(columns), np.zeros(columns, np.bool_)
    if line is not None:
        for bucket, value in enumerate(line.values.tolist()):
            if value == value:
                first = _column(timeline, line.begin + bucket * line.width, columns)
                last = _column(timeline, line.begin + (bucket + 1) * line.width - 1, columns)
                worst[first : last + 1] = np.fmax(worst[first : last + 1], value)
    spans = zip(gaps.begins.tolist(), gaps.ends.tolist(), gaps.over.tolist(), strict=True) if gaps is not None else ()
    for begin, end, too_long in spans:
        first, last = (_column(timeline, edge, columns) for edge in (begin, end))
        silent[first : last + 1] = np.fmax(silent[first : last + 1], (end - begin) / 1e9)
        over[first : last + 1] |= too_long
    crossed = {_column(timeline, time, columns) for one in failed for time in one.times.tolist()}
    cells = [_cell(value, limit) for value in np.fmax(worst, silent)]
    styles = ["red" if bad else "yellow" if value else "" for value, bad in zip(silent, over, strict=True)]
    for place in crossed:
        cells[place], styles[place] = "x", "bold red"
    most = float(np.fmax(worst, silent).max())
    return _line_of(_name(f"  {name}"), cells, styles, f"{number(most)} s")


def _cell(value: float, limit: float) -> str:
    if value <= FLOOR:
        return STEPS[0]
    share = math.log(value / FLOOR) / math.log(2 * limit / FLOOR)
    return STEPS[min(len(STEPS) - 1, max(1, math.ceil(share * (len(STEPS) - 1))))]


def _column(timeline: Timeline, t_ns: float, columns: int) -> int:
    share = (t_ns - timeline.begin) / (timeline.end - timeline.begin)
    return min(columns - 1, max(0, int(share * columns)))


def _style(colour: str) -> str:
    return MACHINES[int(colour[2:])] if colour.startswith("vm") else STYLES.get(colour, "")


def _line_of(name: str, cells: Sequence[str], styles: Sequence[str], value: str) -> Text:
    found = Text(name)
    for cell, style in zip(cells, styles, strict=True):
        found.append(cell, style or None)
    return found.append(f" {value:>{VALUE - 1}}" if value else "")
