"""Judge a stored record again, with the checks of this version: `python -m reports.rejudge RUN_OR_CASE_DIR [--write]`.

A record that was changed since it was sealed is judged all the same, but the claim record.intact is unknown then.
Exit codes: 0 pass, 1 fail, 2 unknown, 3 the record cannot be read.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from drainproof.errors import DrainproofError, RecordError
from drainproof.record import Run
from drainproof.record.case import EVENTS, VERDICT
from drainproof.record.run import RUN_FILE
from drainproof.record.run_manifest import renewable
from drainproof.record.signature import renew
from reports import terminal
from reports.judge import conclude, read_verdict, write_verdict
from reports.publishing import judged, publish
from reports.text import clean
from reports.verdict import CaseVerdict, worst

UNREADABLE = 3


@click.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.option("--write", is_flag=True, help="replace verdict.json and the reports by the new ones")
def rejudge(record: Path, write: bool) -> int:
    """Judge a run, or one of its cases, from its record alone.

    Exit codes: 0 pass, 1 fail, 2 unknown, 3 the record cannot be read.
    """
    cases = _cases(record)
    run = cases[0].resolve().parent
    obstacles = renewable(run, cases) if write else []
    verdicts = []
    for case in cases:
        verdict = conclude(case)
        verdicts.append(verdict)
        terminal.show(verdict, case, sys.stdout)
        terminal.say(_compared(case, verdict), sys.stdout)
        if write:
            write_verdict(case, verdict)
    if write:
        for _ in judged(run):
            pass  # a case that broke off is judged before the seal, not when the page is made
        # Judging takes its time: whatever has changed meanwhile must not be covered up either.
        terminal.say(_renewed(run, list(dict.fromkeys([*obstacles, *renewable(run, cases)]))), sys.stdout)
        publish(run)
    return worst(verdict.verdict for verdict in verdicts).exit_code


def _cases(record: Path) -> list[Path]:
    if (record / EVENTS).exists():
        return [record]
    if not (record / RUN_FILE).exists():
        raise RecordError(f"{record}: holds neither a run ({RUN_FILE}) nor a case ({EVENTS}); name such a directory")
    cases = Run(record).cases()
    if not cases:
        raise RecordError(f"{record}: this run has no case that could be judged")
    return cases


def _renewed(run: Path, obstacles: Sequence[str]) -> str:
    """Seal the run with its new verdicts, unless that would cover up another change."""
    if obstacles:
        return f"The run's manifest stays as it is: {'; '.join(obstacles)}"
    if renew(run):
        return "The run was sealed anew. Its signature was of other verdicts and is removed: sign it again."
    return "The run was sealed anew."


def _compared(case: Path, verdict: CaseVerdict) -> str:
    """Whether the stored verdict says the same."""
    if not (case / VERDICT).exists():
        return "There was no verdict before."
    try:
        stored = read_verdict(case).as_json()
    except RecordError as error:
        return f"The stored verdict cannot be read: {error}"
    same = stored == verdict.as_json()
    return "The stored verdict is the same." if same else "The stored verdict differs from this one."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; what cannot be read is told in a sentence."""
    try:
        code = rejudge.main(arguments, prog_name="python -m reports.rejudge", standalone_mode=False)
    except (click.ClickException, DrainproofError) as error:
        message = error.format_message() if isinstance(error, click.ClickException) else str(error)
        print(f"could not judge: {clean(message)}", file=sys.stderr)
        return UNREADABLE
    except Exception as error:  # noqa: BLE001 - a record that breaks the judge must not look like a refuted claim
        told = f"could not judge: the judge itself broke: {type(error).__name__}: {error}"
        print(clean(told), file=sys.stderr)
        return UNREADABLE
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
