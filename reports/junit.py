"""The verdicts of a run as JUnit XML: a test case per claim, fail as failure, unknown as error.

What was measured and allowed are properties of the test case. A case that was skipped is one test case, skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from junitparser import Error, Failure, JUnitXml, Properties, Property, TestCase, TestSuite
from junitparser import Skipped as Left

from reports.skipped import Skipped
from reports.terminal import failure_lines
from reports.text import allowed, clean, measured, of_what
from reports.verdict import CaseVerdict, Claim, Verdict


def write(verdicts: Sequence[CaseVerdict], path: Path, left_out: Sequence[Skipped] = ()) -> None:
    """Write the file in one step."""
    report = JUnitXml(name="drainproof")
    for verdict in verdicts:
        suite = TestSuite(clean(verdict.case))
        suite.add_property("title", clean(verdict.title))
        suite.add_property("verdict", verdict.verdict.value)
        suite.add_property("judged_by", clean(verdict.judged_by.get("version", "")))
        suite.add_testcases([_case(verdict.case, claim) for claim in verdict.claims])
        report.add_testsuite(suite)
    for one in left_out:
        suite = TestSuite(clean(one.case))
        suite.add_testcase(_skipped(one))
        report.add_testsuite(suite)
    temporary = path.with_name(path.name + ".tmp")
    report.write(str(temporary), pretty=True)
    temporary.replace(path)


def _case(case: str, claim: Claim) -> TestCase:
    made = TestCase(clean(f"{claim.id}: {claim.title}"), classname=clean(case))
    properties = Properties()  # type: ignore[no-untyped-call]
    for name, value in _properties(claim):
        properties.add_property(Property(name, value))
    made.append(properties)  # type: ignore[no-untyped-call]
    figures = f"{of_what(claim)} {measured(claim)}, allowed {allowed(claim)}"
    made.system_out = clean(f"{figures}: {claim.reason}")
    if claim.verdict is not Verdict.PASS:
        kind = Failure if claim.verdict is Verdict.FAIL else Error
        result = kind(clean(claim.reason), claim.verdict.value)
        result.text = "\n".join(failure_lines(claim, case))
        made.result = [result]
    return made


def _skipped(one: Skipped) -> TestCase:
    made = TestCase(clean(one.case), classname=clean(one.case))
    made.result = [Left(clean(one.reason))]
    return made


def _properties(claim: Claim) -> Iterator[tuple[str, str]]:
    """What was found and what was allowed; a number that is not there is left out, never zero."""
    yield "claim", clean(claim.id)
    yield "verdict", claim.verdict.value
    numbers = {"measured": claim.measured, "limit": claim.limit, "detection_limit": claim.detection_limit}
    yield from ((name, f"{value:.9g}") for name, value in numbers.items() if value is not None)
    words = {"bound": claim.bound, "unit": claim.unit, "detection": claim.detection}
    yield from ((name, clean(value)) for name, value in words.items() if value)
    yield from (("evidence", clean(place)) for place in claim.evidence)
