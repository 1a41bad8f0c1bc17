"""Publishing: report.html, junit.xml and drainproof.prom of a run, and its verdicts on a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from drainproof.record import Run, RunInfo
from drainproof.record.case import VERDICT
from reports import junit, render, terminal, textfile
from reports.judge import judge, read_verdict
from reports.verdict import Verdict, worst

REPORT, JUNIT, TEXTFILE = "report.html", "junit.xml", "drainproof.prom"


def publish(run: Path, stream: TextIO | None = None) -> Verdict | None:
    """Write the renderings of a run beside its cases, print the verdicts to `stream`, and return the worst.

    Beside judged cases, one that was never judged (its test broke off) is judged now. Returns None when no case was
    judged at all: there is nothing to certify. Raises RecordError when the record cannot be read.
    """
    cases = Run(run).cases()
    if not any((case / VERDICT).exists() for case in cases):
        return None
    verdicts = [read_verdict(case) if (case / VERDICT).exists() else judge(case) for case in cases]
    described = RunInfo.read(run)
    render.write(described, list(zip(cases, verdicts, strict=True)), run / REPORT)
    junit.write(verdicts, run / JUNIT)
    textfile.write(described, verdicts, run / TEXTFILE)
    if stream is not None:
        for case, verdict in zip(cases, verdicts, strict=True):
            terminal.show(verdict, case, stream)
        print(f"report: {terminal.shown(run / REPORT)}", file=stream)
    return worst(verdict.verdict for verdict in verdicts)
