"""Judging: all checks over the record of one case, the worst decides."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from drainproof.errors import RecordError
from drainproof.record.case import VERDICT, read_json, write_json
from drainproof.settings import Limits
from reports.checks import CHECKS, VERSION, Check
from reports.evidence import Evidence
from reports.figures import VERSION as FIGURES
from reports.figures import figures
from reports.verdict import CaseVerdict, Claim, guarded, worst


def judge(case: Path, limits: Limits | None = None) -> CaseVerdict:
    """Conclude from a case's record and write verdict.json: the same bytes whenever the same checks judge it.

    Raises RecordError when the run's description or the case's events cannot be read.
    """
    verdict = conclude(case, limits)
    write_verdict(case, verdict)
    return verdict


def conclude(case: Path, limits: Limits | None = None) -> CaseVerdict:
    """Conclude from a case's record, by the run's own limits or by others, and write nothing.

    Raises RecordError when the run's description or the case's events cannot be read.
    """
    evidence = Evidence.of(case, limits)
    claims = tuple(
        guarded(check.id, check.title, partial(_claim, check, evidence, case))
        for check in CHECKS
        if _applies(check, evidence)
    )
    return CaseVerdict(
        case=evidence.case,
        title=evidence.title,
        verdict=worst(claim.verdict for claim in claims),
        limits=evidence.limits.model_dump(),
        claims=claims,
        judged_by={"version": VERSION, "figures": FIGURES},
        # A file that a figure cannot read is named as in the case, like that of a claim.
        figures=tuple(replace(one, reason=one.reason.replace(f"{case}/", "")) for one in figures(evidence)),
    )


def _applies(check: Check, evidence: Evidence) -> bool:
    """Whether a claim belongs to the certificate; where the record cannot tell, it does, and will be unknown."""
    try:
        return check.applies(evidence)
    except Exception:  # noqa: BLE001 - a record of an odd shape must not keep the verdict from being told
        return True


def _claim(check: Check, evidence: Evidence, case: Path) -> Claim:
    """What a check claims. A file that it cannot read is named as in the case: a verdict is the same everywhere."""
    try:
        return check.judge(evidence)
    except RecordError as error:
        raise RecordError(str(error).replace(f"{case}/", "")) from error


def write_verdict(case: Path, verdict: CaseVerdict) -> None:
    """Write verdict.json; the record's manifest does not cover it."""
    write_json(case / VERDICT, verdict.as_json())


def read_verdict(case: Path) -> CaseVerdict:
    """What verdict.json holds. Raises RecordError when it is missing, damaged or of another format."""
    try:
        return CaseVerdict.of_json(read_json(case / VERDICT))
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"{case / VERDICT}: not a verdict: {error}") from error
