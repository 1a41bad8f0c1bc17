"""The verdicts of a run as JUnit XML: a test case per claim, unknown as error, fail as failure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from reports.terminal import failure_lines
from reports.text import allowed, clean, measured, of_what
from reports.verdict import CaseVerdict, Claim, Verdict


def write(verdicts: Sequence[CaseVerdict], path: Path) -> None:
    """Write the file in one step."""
    report = JUnitXml(name="drainproof")
    for verdict in verdicts:
        suite = TestSuite(clean(verdict.case))
        suite.add_testcases([_case(verdict.case, claim) for claim in verdict.claims])
        report.add_testsuite(suite)
    temporary = path.with_name(path.name + ".tmp")
    report.write(str(temporary), pretty=True)
    temporary.replace(path)


def _case(case: str, claim: Claim) -> TestCase:
    made = TestCase(clean(f"{claim.id}: {claim.title}"), classname=clean(case))
    figures = f"{of_what(claim)} {measured(claim)}, allowed {allowed(claim)}"
    made.system_out = clean(f"{figures}: {claim.reason}")
    if claim.verdict is not Verdict.PASS:
        kind = Failure if claim.verdict is Verdict.FAIL else Error
        result = kind(clean(claim.reason), claim.verdict.value)
        result.text = "\n".join(failure_lines(claim, case))
        made.result = [result]
    return made
