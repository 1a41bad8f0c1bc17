"""The verdict on a terminal: a table of all claims, then four lines for each that does not hold."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.skipped import Skipped
from reports.text import DECISION, allowed, clean, measured, of_what, summary, with_symbol
from reports.verdict import CaseVerdict, Claim, Verdict

WIDE = 100
"""From so many columns on the detection limit has a column of its own."""
STYLES = {Verdict.PASS: "green", Verdict.FAIL: "bold red", Verdict.UNKNOWN: "bold yellow"}


def show(verdict: CaseVerdict, case: Path, stream: TextIO) -> None:
    """Print a case's verdict, as plain lines where there is no terminal; the record's words cannot steer it."""
    console = console_of(stream)
    console.print(headline(verdict))
    claims(console, verdict)
    failures(console, verdict, case)


def show_skipped(left_out: Sequence[Skipped], stream: TextIO) -> None:
    """A line for each case that was asked for and did not begin."""
    console = console_of(stream)
    for one in left_out:
        console.print(Text(clean(f"NOT CERTIFIED (skipped): {one.case}: {one.reason}"), style=STYLES[Verdict.UNKNOWN]))


def say(text: str, stream: TextIO) -> None:
    """Print a line of our own; whoever reads along may have gone."""
    console_of(stream).print(Text(clean(text)))


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Whoever reads along may stop; that changes no verdict, so the exit code stays that of the verdict."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def console_of(stream: TextIO, width: int | None = None) -> Console:
    """A console that takes nothing for markup, and wraps nothing where there is no terminal, unless a width is told."""
    soft = width is None and not stream.isatty()
    return _Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=soft, width=width)


def claims(console: Console, verdict: CaseVerdict) -> None:
    """All claims, as a table on a terminal and a line each elsewhere."""
    if console.is_terminal:
        console.print(_table(verdict, console.width))
        return
    for claim in verdict.claims:
        console.print(_line(claim))


def failures(console: Console, verdict: CaseVerdict, case: Path) -> None:
    """Four lines for each claim that does not hold."""
    for claim in verdict.claims:
        if claim.verdict is not Verdict.PASS:
            for line in failure_lines(claim, shown(case)):
                console.print(Text(line, style=STYLES[claim.verdict] if not line.startswith(" ") else ""))


def failure_lines(claim: Claim, record: str) -> list[str]:
    """What happened in four lines: the finding, the first witness, the others, and where to look further."""
    deciding = [part for part in claim.parts if part.verdict is claim.verdict]
    finding = f"{claim.id}  {claim.verdict.upper()}  {_finding(claim)}"
    first = f"{deciding[0].object}: {deciding[0].reason}" if deciding else claim.reason
    more = ", ".join(part.object for part in deciding[1:6])
    others = f"likewise: {more}" if more else f"claim: {claim.title}"
    where = f"record: {record}   re-judge: {rejudging(record)}"
    hint = f"   hint: {claim.hint}" if claim.hint else ""
    return [clean(finding), *(f"  {clean(line)}" for line in (first, others, where + hint))]


def shown(path: Path) -> str:
    """A path as short as it can be typed from here; no program takes it for an option."""
    path = path.resolve()
    short = str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
    return f"./{short}" if short.startswith("-") else short


def rejudging(record: str) -> str:
    """The command that judges a record again, as a shell takes it."""
    return shlex.join(["python", "-m", "reports.rejudge", record])


def _finding(claim: Claim) -> str:
    if claim.measured is None:
        return "not measured"
    finding = f"{of_what(claim)}: {measured(claim)}"
    return f"{finding}, {allowed(claim)} allowed" if claim.bound else finding


def headline(verdict: CaseVerdict) -> Text:
    """The decision, what was certified, and how many claims hold."""
    decision = f"{DECISION[verdict.verdict]} ({verdict.verdict})"
    told = f": {clean(verdict.title)}\n{clean(verdict.case)}: {summary(verdict.claims)}"
    return Text.assemble((decision, STYLES[verdict.verdict]), told)


def _table(verdict: CaseVerdict, width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("verdict")
    table.add_column("claim", ratio=2)
    table.add_column("measured", justify="right", max_width=22)
    table.add_column("allowed", justify="right")
    if width >= WIDE:
        table.add_column("sees from", justify="right")
    for claim in verdict.claims:
        name = Text.assemble(clean(claim.id), "\n", (clean(claim.reason), "dim"))
        mark = Text(claim.verdict.upper(), style=STYLES[claim.verdict])
        figure = Text.assemble(clean(measured(claim)), "\n", (clean(of_what(claim)), "dim"))
        more = [Text(_sees_from(claim) or "–")] if width >= WIDE else []
        table.add_row(mark, name, figure, Text(clean(allowed(claim))), *more)
    return table


def _sees_from(claim: Claim) -> str:
    return clean(with_symbol(claim.detection_limit, claim)) if claim.detection_limit is not None else ""


def _line(claim: Claim) -> Text:
    figures = f"{of_what(claim)} {measured(claim)} ({allowed(claim)})" if claim.measured is not None else "not measured"
    sees = f", sees from {_sees_from(claim)}" if _sees_from(claim) else ""
    return Text(clean(f"{claim.verdict.upper():8}{claim.id:26}{figures}{sees}: {claim.reason}"))
