"""Machines of others on the nodes that were disturbed: which there were, and that they were unharmed."""

from __future__ import annotations

from reports.evidence import Evidence
from reports.verdict import Claim, MissingEvidenceError, Part, Verdict, sum_up

ID = "bystanders.unharmed"
TITLE = "Machines of others on the disturbed nodes were unharmed"
SOURCE = "bystander"


def applies(evidence: Evidence) -> bool:
    """Whether there were any; a run on nodes of its own claims nothing of them."""
    return any(evidence.of_kind(SOURCE, kind) for kind in ("present", "arrived", "harmed"))


def check(evidence: Evidence) -> Claim:
    """What the watch over them has seen. Harm stops a run, and leaves open what did it: never more than unknown."""
    ends = evidence.of_kind(SOURCE, "watched")
    if not ends:
        raise MissingEvidenceError("events.jsonl does not say how the machines of others fared until the end")
    harmed = {str(event.object): event for event in evidence.of_kind(SOURCE, "harmed")}
    names = sorted({str(event.object) for kind in ("present", "arrived") for event in evidence.of_kind(SOURCE, kind)})
    proven, stopped = bool(ends[-1].data.get("proven")), str(ends[-1].data.get("harm") or "")
    parts = []
    for name in sorted({*names, *harmed}):
        event = harmed.get(name)
        what = str(event.data.get("what", "")) if event else "" if proven else "how it fared to the end was not seen"
        # One that came where none may be has stopped the run, and nothing was looked at any more.
        what = what or (stopped if stopped and not harmed else "")
        parts.append(Part(
            object=f"machine {name}",
            verdict=Verdict.UNKNOWN if what else Verdict.PASS,
            measured=1 if event else 0,
            reason=what or "the same instance, Ready or Ready again in time",
            at=evidence.at(event.t_ns) if event else "",
        ))
    summary = sum_up(parts, lambda _: f"{len(parts)} machines of others were watched over and are unharmed")
    return Claim(
        id=ID, title=TITLE, verdict=summary.verdict, measured=sum(part.measured or 0 for part in summary.parts),
        limit=0, unit="machines", reason=summary.reason, parts=summary.parts,
        detection="compared are instance, phase and readiness, as Kubernetes tells them; not what their clients see",
        evidence=("events.jsonl: bystander",),
        hint="" if summary.verdict is Verdict.PASS else "Ask their owners; use nodes without machines of others",
    )
