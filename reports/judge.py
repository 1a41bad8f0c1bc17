"""Judging: all checks over the record of one case, the worst decides."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from drainproof.errors import RecordError
from drainproof.record.case import VERDICT, read_json, write_json
from drainproof.settings import Limits
from reports.checks import CHECKS, VERSION
from reports.evidence import Evidence
from reports.verdict import CaseVerdict, guarded, worst


def judge(case: Path, limits: Limits | None = None) -> CaseVerdict:
    """Conclude from a case's record and write verdict.json: the same bytes whenever the same checks judge it.

    Raises RecordError when the run's description or the case's events cannot be read.
    """
    verdict = conclude(case, limits)
    write_json(case / VERDICT, verdict.as_json())
    return verdict


def conclude(case: Path, limits: Limits | None = None) -> CaseVerdict:
    """Conclude from a case's record, by the run's own limits or by others, and write nothing.

    Raises RecordError when the run's description or the case's events cannot be read.
    """
    evidence = Evidence.of(case, limits)
    claims = tuple(guarded(check.id, check.title, partial(check.judge, evidence)) for check in CHECKS)
    return CaseVerdict(
        case=evidence.case,
        title=evidence.title,
        verdict=worst(claim.verdict for claim in claims),
        limits=evidence.limits.model_dump(),
        claims=claims,
        judged_by={"version": VERSION},
    )


def read_verdict(case: Path) -> CaseVerdict:
    """What verdict.json holds. Raises RecordError when it is missing, damaged or of another format."""
    try:
        return CaseVerdict.of_json(read_json(case / VERDICT))
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"{case / VERDICT}: not a verdict: {error}") from error
