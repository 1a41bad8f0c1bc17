"""Show a run on the terminal: verdict, claims, figures, timeline, environment.

`python -m reports.show RUN [--case NAME]`; what it shows is what is stored, nothing is judged anew.
Exit codes: those of the stored verdict: 0 pass, 1 fail, 2 unknown; 3 the record cannot be read.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from drainproof.errors import DrainproofError, RecordError
from drainproof.record import Run, RunInfo
from drainproof.record.case import EVENTS, VERDICT
from drainproof.record.run import RUN_FILE
from reports import environment, terminal
from reports.environment import Section
from reports.evidence import Evidence
from reports.judge import read_verdict
from reports.skipped import skipped
from reports.text import DECISION, clean, summary, value
from reports.timeline import text as drawing
from reports.timeline.build import timeline
from reports.verdict import CaseVerdict, Figure, Verdict, worst

UNREADABLE: Final = 3
NARROW: Final = 100
"""Below so many columns, facts stand one below the other."""

LEGEND: Final = (
    "Height: the worst answer of a column, or the time without one; yellow: not normal, red: over the limit, x: failed."
)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--case", "name", default="", help="this case in full; by default the only one, or a line for each")
def show(run: Path, name: str) -> int:
    """Show the stored verdict and the timeline of a run, or of one of its cases.

    Exit codes: 0 pass, 1 fail, 2 unknown, 3 the record cannot be read.
    """
    run, name = (run.parent, run.name) if (run / EVENTS).exists() and not name else (run, name)
    described, cases, unjudged = _cases(run, name)
    console = terminal.console_of(sys.stdout)
    terminal.show_skipped([one for one in skipped(run) if name in ("", one.case)], sys.stdout)
    verdicts = [(case, read_verdict(case)) for case in cases]
    overall = worst([*(verdict.verdict for _, verdict in verdicts), *([Verdict.UNKNOWN] if unjudged else [])])
    if len(verdicts) == 1 and not unjudged:
        _case(console, *verdicts[0])
        _run(console, described)
    else:
        _overview(console, described, verdicts, unjudged, overall)
    return overall.exit_code


def _cases(run: Path, name: str) -> tuple[RunInfo, list[Path], list[Path]]:
    """The run, the judged cases that are asked for, and those that broke off before they were judged."""
    if not (run / RUN_FILE).exists():
        raise RecordError(f"{run}: is not a run, it holds no {RUN_FILE}; name the directory of one")
    there = Run(run).cases()
    judged = [case for case in there if (case / VERDICT).exists()]
    chosen = [case for case in judged if name in ("", case.name)]
    if not chosen:
        known = ", ".join(case.name for case in judged) or "none"
        raise RecordError(f"{run}: has no judged case {name}".rstrip() + f"; judged are: {known}")
    return RunInfo.read(run), chosen, [case for case in there if case not in judged and not name]


def _overview(
    console: Console, run: RunInfo, verdicts: Sequence[tuple[Path, CaseVerdict]], unjudged: Sequence[Path],
    overall: Verdict,
) -> None:
    """A line for each case, and what does not hold."""
    number, cluster = len(verdicts) + len(unjudged), run.target.get("name", "an unnamed cluster")
    title = f": {number} cases of run {run.run_id} on {cluster}"
    console.print(Text.assemble((f"{DECISION[overall]} ({overall})", terminal.STYLES[overall]), clean(title)))
    for case, verdict in verdicts:
        mark = Text(f"{verdict.verdict.upper():8}", style=terminal.STYLES[verdict.verdict])
        console.print(Text.assemble(mark, clean(case.name), "  ", (summary(verdict.claims), "dim")))
    for case in unjudged:
        mark = Text(f"{Verdict.UNKNOWN.upper():8}", style=terminal.STYLES[Verdict.UNKNOWN])
        console.print(Text.assemble(mark, clean(case.name), ("  it broke off and was never judged", "dim")))
    for case, verdict in verdicts:
        terminal.failures(console, verdict, case)
    console.print(Text("One case in full: --case NAME"))


def _case(console: Console, case: Path, verdict: CaseVerdict) -> None:
    console.print(terminal.headline(verdict))
    terminal.claims(console, verdict)
    terminal.failures(console, verdict, case)
    _figures(console, verdict.figures)
    try:
        evidence = Evidence.of(case)
        _timeline(console, evidence)
        for section in environment.of_case(evidence):
            _section(console, section)
    except Exception as error:  # noqa: BLE001 - a timeline that cannot be drawn must not hide the verdict
        console.print(Text(clean(f"The timeline cannot be drawn: {type(error).__name__}: {error}")))
    _heading(console, "Judge for yourself")
    console.print(Text(clean(terminal.rejudging(terminal.shown(case)))))


def _timeline(console: Console, evidence: Evidence) -> None:
    found = timeline(evidence)
    _heading(console, "Timeline (UTC)")
    if console.is_terminal:
        for line in drawing.drawn(found, console.width):
            console.print(line, no_wrap=True, crop=True)
        console.print(Text(LEGEND, style="dim"))
    else:
        for event in drawing.told(found):
            console.print(Text(event))
    for row in found.drawn:
        if row.lacking:
            console.print(Text(clean(f"not drawn in {row.title}: {row.lacking}"), style="dim"))
    for row in found.missing:
        console.print(Text(clean(f"not drawn: {row.title}: {row.missing}"), style="dim"))


def _figures(console: Console, figures: Sequence[Figure]) -> None:
    if not figures:
        return
    _heading(console, "Figures")
    if not console.is_terminal:
        for figure in figures:
            console.print(Text(clean(f"{figure.axis}, {figure.object}: {value(figure)}")))
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("what")
    table.add_column("of")
    table.add_column("value", justify="right")
    for figure in figures:
        table.add_row(*(Text(clean(part)) for part in (figure.axis, figure.object, value(figure))))
    console.print(table)


def _run(console: Console, run: RunInfo) -> None:
    for section in environment.of_run(run):
        _section(console, section)
    for note in run.notes:
        console.print(Text(clean(note), style="dim"))
    _heading(console, "Repeat the run")
    console.print(Text(clean(run.command)))


def _section(console: Console, section: Section) -> None:
    _heading(console, section.title)
    if section.missing:
        console.print(Text(clean(section.missing)))
    elif not console.is_terminal or console.width < NARROW:
        for name, told in section.pairs:
            console.print(Text(clean(f"{name}: {told}")))
    else:
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", max_width=44)
        table.add_column()
        for name, told in section.pairs:
            table.add_row(Text(clean(name)), Text(clean(told)))
        console.print(table)


def _heading(console: Console, title: str) -> None:
    console.print()
    console.print(Text(clean(title), style="bold underline"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; what cannot be read is told in a sentence."""
    try:
        code = show.main(arguments, prog_name="drainproof show", standalone_mode=False)
    except (click.ClickException, DrainproofError) as error:
        message = error.format_message() if isinstance(error, click.ClickException) else str(error)
        print(clean(f"could not show: {message}"), file=sys.stderr)
        return UNREADABLE
    except Exception as error:  # noqa: BLE001 - a record of an odd shape must not look like a refuted claim
        print(clean(f"could not show: the record is of an odd shape: {type(error).__name__}: {error}"), file=sys.stderr)
        return UNREADABLE
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
