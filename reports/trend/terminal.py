"""The trend on a terminal: the answer, what is worse or undecided and since when, and proposed limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from reports.terminal import console_of
from reports.text import clean
from reports.trend import proposals, words
from reports.trend.analysis import Line, StreamTrend, Trend
from reports.trend.changes import ENOUGH
from reports.trend.entries import Key
from reports.trend.findings import EARLIER, Answer, Finding, Group, grouped
from reports.trend.sparkline import sparkline
from reports.verdict import Verdict

STYLES = {Verdict.PASS: "green", Verdict.FAIL: "bold red", Verdict.UNKNOWN: "bold yellow", None: "bold"}
GROUPS = {Verdict.PASS: "BETTER", Verdict.FAIL: "WORSE", Verdict.UNKNOWN: "UNDECIDED", None: "TO KNOW"}
LONGEST = 300
"""Characters of a sentence that are printed."""
MOST = 12
"""Findings of one group that are printed; the page and the JSON have all."""


def show(trend: Trend, answer: Answer, stream: TextIO) -> None:
    """Print the trend, as plain lines where there is no terminal; the record's words cannot steer it."""
    console = console_of(stream)
    decision = words.DECISION[answer.verdict]
    console.print(Text.assemble((decision, STYLES[answer.verdict]), f": {summary(trend, answer)}"))
    for finding in answer.general:
        _print(console, 2, _plain(finding))
    for one, found in zip(trend.streams, answer.by_stream, strict=True):
        console.print()
        console.print(Text(clean(f"{one.stream.title}: {words.period(one.stream)}"), style="bold"))
        for indent, line in _stream(one, found):
            _print(console, indent, line)


def _print(console: Console, indent: int, line: Text) -> None:
    """A terminal wraps a line within its indentation; elsewhere, or if it is to be copied, a line stays one."""
    if console.is_terminal and not line.no_wrap:
        console.print(Padding(line, (0, 0, 0, indent)))
    else:
        console.print(Text(" " * indent).append_text(line), soft_wrap=True)


def summary(trend: Trend, answer: Answer) -> str:
    """How many series are worse or undecided, of how many."""
    series = sum(len(one.lines) for one in trend.streams)
    runs = sum(len(one.stream.rows) for one in trend.streams)
    worse = _count(answer, Verdict.FAIL)
    undecided = _count(answer, Verdict.UNKNOWN)
    told = [f"{worse} worse" if worse else "none worse", *([f"{undecided} undecided"] if undecided else [])]
    return f"{series} series over {runs} runs: {', '.join(told)}"


def _count(answer: Answer, weight: Verdict) -> int:
    weighing = [
        (number, finding.key or finding.headline)
        for number, several in enumerate((answer.general, *answer.by_stream))
        for finding in several
        if finding.weight is weight
    ]
    return len(set(weighing))


def _stream(one: StreamTrend, found: tuple[Finding, ...]) -> Iterator[tuple[int, Text]]:
    lines = {line.key: line for line in one.lines}
    told = [finding for finding in found if finding.kind != EARLIER]
    for group in grouped(told):
        yield from _group(one, group, lines)
    if earlier := len(found) - len(told):
        yield 2, Text(f"{earlier} earlier or small changes: see the page (--out) or the JSON (--json)")
    touched = {finding.key for finding in told}
    quiet = [line for line in one.lines if line.key not in touched]
    short = sum(len(line.series.measured) < ENOUGH for line in quiet)
    few = f"; {short} of them have too few values to tell a change" if short else ""
    yield 2, Text(f"{len(quiet)} of {len(one.lines)} series hold, without news{few}")
    if snippet := proposals.toml(one):
        yield 2, Text("limits that history proposes (for a profile; nothing applies them):", style="bold")
        yield from ((4, Text(line, no_wrap=True)) for line in snippet.splitlines())


def _group(one: StreamTrend, group: Group, lines: dict[Key, Line]) -> Iterator[tuple[int, Text]]:
    since = f" since run {words.run(one.stream.rows[group.at])}" if group.at is not None else ""
    yield 2, Text.assemble((GROUPS[group.weight], STYLES[group.weight]), clean(since))
    if group.since is not None:
        yield 4, Text(clean(words.causes(group.causes, one.stream.rows[group.since])))
    for finding in group.findings[:MOST]:
        if finding.key is not None:
            yield 4, _title(lines[finding.key])
        yield (6 if finding.key else 4), Text(_short(finding.headline))
        yield from ((8, Text(_short(sentence), style="dim")) for sentence in finding.told)
    if len(group.findings) > MOST:
        yield 4, Text(f"and {len(group.findings) - MOST} more")


def _title(line: Line) -> Text:
    newest = line.series.newest
    name, value = clean(f"{line.key.case}  {words.label(line.key)}"), clean(words.amount(newest.value, newest.unit))
    return Text.assemble(f"{name}  ", sparkline(line), f"  {value}")


def _plain(finding: Finding) -> Text:
    return Text(clean(finding.headline), style=STYLES[finding.weight] if finding.weight else "")


def _short(sentence: str) -> str:
    shown = clean(sentence)
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST - 1]}…"
