"""The database's own behaviour: what Galera does without any fault stands beside the claims, and decides nothing."""

from __future__ import annotations

from reports.checks.consistency import CLAIMS, EVIDENCE, MODEL, Claimed, accusing, settings_of
from reports.consistency import counters
from reports.consistency.findings import BEHAVIOUR, FAILURES, Kind
from reports.evidence import Evidence
from reports.verdict import Claim, MissingEvidenceError, Part, Verdict, sum_up

ID = "database.behaviour"
TITLE = "What the database is known to do without any fault, as far as it was seen"
COUNTER = Claimed(
    ID, TITLE, counters.WORKLOAD, "counters", lambda evidence: counters.check(evidence.history, evidence.at)
)


def check(evidence: Evidence) -> Claim:
    """Count what Galera allows without any fault, each kind with a witness. It informs and never decides."""
    parts = [_behaved(evidence, claimed) for claimed in (*CLAIMS, COUNTER)]
    settings = settings_of(evidence)
    if not settings:
        raise MissingEvidenceError("no member's settings are in the record: nobody can tell which model was promised")
    told = ", ".join(f"{name} {value}" for name, value in settings.items())
    configured = Part(object="settings", verdict=Verdict.PASS, reason=told, facts=settings)
    summary = sum_up([*parts, configured], _seen)
    return Claim(
        id=ID,
        title=TITLE,
        verdict=summary.verdict,
        measured=sum(part.measured or 0 for part in parts),
        bound="",
        unit="anomalies",
        reason=summary.reason,
        evidence=EVIDENCE,
        hint=MODEL,
        parts=summary.parts,
    )


def _behaved(evidence: Evidence, claimed: Claimed) -> Part:
    """What one workload shows of the database's behaviour."""
    report = claimed.check(evidence)
    if not report.writes:
        reason = "no transaction that writes was acknowledged"
        return Part(object=claimed.workload, verdict=Verdict.UNKNOWN, reason=reason)
    found = report.of((BEHAVIOUR | FAILURES) - accusing(evidence))
    told = "; ".join(f"{finding.count} x {finding.kind}: {finding.witness}" for finding in found)
    return Part(
        object=claimed.workload,
        verdict=Verdict.PASS,
        measured=sum(finding.count for finding in found),
        reason=told or f"nothing of the kind in {report.acknowledged} acknowledged transactions",
        facts={"acknowledged": report.acknowledged, **{finding.kind: finding.count for finding in found}},
    )


def _seen(parts: tuple[Part, ...]) -> str:
    found = [f"{count} x {kind} ({part.object})" for part in parts for kind, count in part.facts.items()
             if kind in {*BEHAVIOUR, Kind.WRONG_TOTAL}]
    return ", ".join(found) or "nothing of what it is known to do was seen"
