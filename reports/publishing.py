"""Publishing: report.html, junit.xml and drainproof.prom of a run, and its verdicts on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from drainproof.record import Run, RunInfo
from drainproof.record.case import VERDICT
from reports import junit, render, terminal, textfile
from reports.judge import judge, read_verdict
from reports.skipped import skipped
from reports.verdict import CaseVerdict, Verdict, worst

REPORT, JUNIT, TEXTFILE = "report.html", "junit.xml", "drainproof.prom"


def judged(run: Path) -> Iterator[tuple[Path, CaseVerdict]]:
    """The cases of a run with their verdicts; beside judged ones, one whose test broke off is judged now.

    None when no case was judged at all: there is nothing to certify. Raises RecordError when the record cannot be read.
    """
    cases = Run(run).cases()
    if any((case / VERDICT).exists() for case in cases):
        for case in cases:
            yield case, read_verdict(case) if (case / VERDICT).exists() else judge(case)


def publish(run: Path, stream: TextIO | None = None) -> Verdict | None:
    """Write the renderings of a run beside its cases, print the verdicts to `stream`, and return the worst.

    What was never judged is judged as `judged` does; returns None when there is nothing to certify. Raises RecordError
    when the record cannot be read.
    """
    pairs, left_out = list(judged(run)), skipped(run)
    if stream is not None:
        terminal.show_skipped(left_out, stream)
    if not pairs:
        return None
    verdicts = [verdict for _, verdict in pairs]
    described = RunInfo.read(run)
    (run / REPORT).unlink(missing_ok=True)  # an older page must not stand beside newer verdicts
    # What machines read comes first: the page reads every sample, and whatever breaks in it must not cost the others.
    junit.write(verdicts, run / JUNIT, left_out)
    textfile.write(described, verdicts, run / TEXTFILE)
    if stream is not None:
        for case, verdict in pairs:
            terminal.show(verdict, case, stream)
    render.write(described, pairs, run / REPORT, left_out)
    if stream is not None:
        terminal.say(f"report: {terminal.shown(run / REPORT)}", stream)
    return worst(verdict.verdict for verdict in verdicts)
