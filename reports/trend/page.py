"""The trend as one self-contained HTML page: tables first, readable without scripts; charts on top of them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from reports.text import clean
from reports.trend import charts, proposals, words
from reports.trend.analysis import Line, StreamTrend, Trend
from reports.trend.changes import ENOUGH
from reports.trend.drawing import drawing
from reports.trend.findings import EARLIER, Answer, Finding, Group, grouped
from reports.trend.terminal import GROUPS, summary
from reports.verdict import Verdict

TEMPLATES = Path(__file__).parent / "templates"
MEANING: Final[Mapping[Verdict, str]] = {
    Verdict.PASS: "The newest runs hold, and no worsening stands out of the noise.",
    Verdict.FAIL: "A claim does not hold in its newest run, or a measured value has become worse and stays so.",
    Verdict.UNKNOWN: "Nothing is shown to be worse, but evidence is missing: what is not known is not good.",
}
LARGE, SMALL = (560, 96), (150, 24)
"""Width and height of the pictures, in pixels."""


@dataclass(frozen=True)
class Row:
    """A series in a table."""

    stream: int
    number: int
    """Of the series in its stream, by which the script finds its points."""
    line: Line
    picture: Markup


@dataclass(frozen=True)
class Told:
    """A finding with the picture of its series."""

    finding: Finding
    row: Row | None


@dataclass(frozen=True)
class Block:
    """A group of findings."""

    group: Group
    tone: str
    label: str
    begin: str
    causes: str
    told: tuple[Told, ...]


@dataclass(frozen=True)
class Section:
    """A stream."""

    one: StreamTrend
    period: str
    blocks: tuple[Block, ...]
    earlier: tuple[Block, ...]
    rows: tuple[Row, ...]
    toml: str
    policy: str


def write(trend: Trend, answer: Answer, path: Path) -> None:
    """Write the page in one step."""
    own = Markup((TEMPLATES / "trend.js").read_text(encoding="utf-8"))
    scripts = [Markup(get_plotlyjs()), own]
    content = _environment().get_template("trend.html.j2").render(
        trend=trend,
        answer=answer,
        meaning=MEANING[answer.verdict],
        decision=words.DECISION[answer.verdict],
        summary=summary(trend, answer),
        sections=[_section(trend, answer, number) for number in range(len(trend.streams))],
        enough=ENOUGH,
        data=charts.data(trend),
        scripts=scripts,
        script_sources=" ".join(_source(script) for script in scripts),
    )
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(content, encoding="utf-8")
    temporary.replace(path)


def _section(trend: Trend, answer: Answer, number: int) -> Section:
    one, found = trend.streams[number], answer.by_stream[number]
    places = {line.key: place for place, line in enumerate(one.lines)}

    def row(line: Line, size: tuple[int, int]) -> Row:
        return Row(number, places[line.key], line, drawing(one, line, *size, detailed=size == LARGE))

    def block(group: Group) -> Block:
        told = tuple(
            Told(finding, row(one.lines[places[finding.key]], LARGE) if finding.key else None)
            for finding in group.findings
        )
        begin = f"since run {words.run(one.stream.rows[group.at])}" if group.at is not None else ""
        before = one.stream.rows[group.since] if group.since is not None else None
        causes = words.causes(group.causes, before) if before is not None else ""
        causes = causes[:1].upper() + causes[1:]
        tone = group.weight.value if group.weight else "note"
        return Block(group, tone, GROUPS[group.weight].lower(), begin, causes, told)

    return Section(
        one=one,
        period=words.period(one.stream),
        blocks=tuple(block(group) for group in grouped(finding for finding in found if finding.kind != EARLIER)),
        earlier=tuple(block(group) for group in grouped(finding for finding in found if finding.kind == EARLIER)),
        rows=tuple(row(line, SMALL) for line in one.lines),
        toml=proposals.toml(one),
        policy=proposals.policy(one),
    )


def _source(script: str) -> str:
    """How the page's own policy names a script that may run: by its digest."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}'"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_shown,
    )
    environment.filters |= {
        "amount": words.amount, "label": words.label, "moment": words.moment, "level": _level, "span": _span,
    }
    environment.globals["newline"] = Markup("\n")
    return environment


def _level(line: Line) -> str:
    """The median since the last change."""
    series = line.series
    if line.steps:
        return words.amount(line.steps[-1].change.after, series.newest.unit)
    return words.amount(float(np.median(series.values)) if len(series.values) else None, series.newest.unit)


def _span(line: Line) -> str:
    """From the smallest to the largest value, which the small picture has no axis for."""
    series = line.series
    if not len(series.values):
        return f"{len(series.told)} runs, no values"
    low, high = (words.amount(float(end), series.newest.unit) for end in (series.values.min(), series.values.max()))
    return f"{low} to {high} in {len(series.told)} runs"


def _shown(value: object) -> object:
    """What a template prints: markup as it is, anything else without control characters (and then escaped)."""
    return value if isinstance(value, Markup) else clean(value)
