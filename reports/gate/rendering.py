"""The answer as a person reads it: tables on a terminal, otherwise one plain line for each reason."""

from __future__ import annotations

from typing import TextIO

from rich import box
from rich.table import Table
from rich.text import Text

from reports.gate.answer import WORDS, Answer, Reason, Tally
from reports.terminal import STYLES, console_of
from reports.text import clean


def show(answer: Answer, stream: TextIO) -> None:
    """Print the answer and every reason; the record's words cannot steer a terminal."""
    console = console_of(stream)
    head = f": {clean(answer.policy)}, at {answer.now}: {_count(answer)}"
    console.print(Text.assemble((WORDS[answer.verdict], STYLES[answer.verdict]), head))
    if console.is_terminal:
        for table in (_tallies(answer), _reasons(answer)):
            if table.row_count:
                console.print(table)
    else:
        for tally in answer.tallies:
            console.print(Text(_tally_line(tally)))
        for reason in answer.reasons:
            console.print(Text(_reason_line(reason)))
    for note in answer.notes:
        console.print(Text(f"note: {clean(note)}"))


def _count(answer: Answer) -> str:
    against = sum(reason.against for reason in answer.reasons)
    if not answer.reasons:
        return "everything that the policy wants is shown" if answer.tallies else "nothing was counted"
    return f"reasons: {against} against, {len(answer.reasons) - against} for lack of evidence"


def _reason_line(reason: Reason) -> str:
    told = f"{reason.object}: expected: {reason.expected}; seen: {reason.seen}; remedy: {reason.remedy}"
    return f"{WORDS[reason.answer]:8}{clean(told)}"


def _tally_line(tally: Tally) -> str:
    return clean(f"{'count':8}{tally.test} on storage class {tally.storage_class}: {_runs(tally)}; {_rate(tally)}")


def _runs(tally: Tally) -> str:
    told = f"{tally.passed} of {tally.wanted} runs passed"
    told += f", {tally.failed} failed" if tally.failed else ""
    return told + (f", {tally.undecided} undecided" if tally.undecided else "")


def _rate(tally: Tally) -> str:
    return f"at most {tally.fault_rate:.1%} of runs fail ({tally.confidence:.0%} confidence)"


def _tallies(answer: Answer) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("test", "storage class", "runs", "what that shows"):
        table.add_column(heading, overflow="fold")
    for tally in answer.tallies:
        table.add_row(*(Text(clean(cell)) for cell in (tally.test, tally.storage_class, _runs(tally), _rate(tally))))
    return table


def _reasons(answer: Answer) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, show_lines=True)
    for heading in ("", "object", "expected", "seen", "remedy"):
        table.add_column(heading, overflow="fold")
    for reason in answer.reasons:
        cells = (reason.object, reason.expected, reason.seen, reason.remedy)
        mark = Text(WORDS[reason.answer], style=STYLES[reason.answer])
        table.add_row(mark, *(Text(clean(cell)) for cell in cells))
    return table
