"""Snapshots, restores, clones and boot storms were done within their limits, and each made what it is for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports.disks import CLONE, RESTORE, SNAPSHOT, STORM, injected
from reports.evidence import Evidence, Fault
from reports.verdict import Claim, Facts, Part, Verdict, sum_up

ID = "storage.operations"
TITLE = "Snapshots, restores, clones and boot storms were done within their limits"
KINDS = {
    SNAPSHOT: "snapshot_seconds", RESTORE: "restore_seconds", CLONE: "clone_seconds", STORM: "boot_storm_seconds"
}
"""The limit of each kind of operation."""


def applies(evidence: Evidence) -> bool:
    """Whether any was asked for."""
    return any(fault.kind in KINDS for fault in evidence.faults)


def check(evidence: Evidence) -> Claim:
    """Judge the time that each took."""
    parts = [_operation(evidence, fault) for fault in evidence.faults if fault.kind in KINDS]
    within = sum(part.verdict is Verdict.PASS for part in parts)
    told = ", ".join(f"{part.object} {part.reason}" for part in parts)
    summary = sum_up(parts, lambda _: told, evidence.window.incomplete)
    return Claim(
        id=ID,
        title=TITLE,
        verdict=summary.verdict,
        measured=within,
        limit=len(parts),
        bound="at least",
        unit="operations within their limits",
        detection="from the request until the object, or the guest, was seen to be done; looked at four times a second",
        reason=summary.reason,
        evidence=("events.jsonl: fault/begin, fault/injected",),
        parts=summary.parts,
    )


def seconds_of(evidence: Evidence, fault: Fault) -> float | None:
    """How long an operation took from its request to its end; None when it did not come to one."""
    told = injected(evidence, fault)
    begin, ends = told.get("requested_ns"), _ends(told)
    if not isinstance(begin, int) or not ends or not all(isinstance(end, int) for end in ends):
        return None
    return (max(ends) - begin) / 1e9


def _ends(told: Mapping[str, Any]) -> list[int]:
    answered = told.get("answered_ns", told.get("ready_ns"))
    if isinstance(answered, Mapping):
        return list(answered.values())
    return [] if answered is None else [answered]


def _operation(evidence: Evidence, fault: Fault) -> Part:
    name = f"{fault.phase}, {fault.kind} of {fault.target}"
    limit = float(getattr(evidence.limits, KINDS[fault.kind]))
    seconds = seconds_of(evidence, fault)
    if seconds is None or seconds < 0:
        reason = "the record does not tell how long it took"
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=f"{reason}: {'; '.join(fault.reasons) or 'no proof'}")
    facts: Facts = {"limit_s": limit}
    if fault.kind == CLONE and (trouble := _same_mac(injected(evidence, fault))):
        verdict, reason = trouble
        return Part(object=name, verdict=verdict, reason=reason, measured=seconds, facts=facts)
    verdict = Verdict.PASS if seconds <= limit else Verdict.FAIL
    return Part(
        object=name, verdict=verdict, reason=f"took {seconds:.1f} s; {limit:g} s allowed", measured=seconds, facts=facts
    )


def _same_mac(told: Mapping[str, Any]) -> tuple[Verdict, str] | None:
    """What is wrong with the network addresses of a clone and its original, or None: two alike break both."""
    addresses = told.get("mac")
    values = [str(value) for value in addresses.values()] if isinstance(addresses, Mapping) else []
    if len(values) < 2 or not all(values):
        return Verdict.UNKNOWN, "the record does not tell the MAC of the clone and of its original"
    if len(set(values)) < len(values):
        return Verdict.FAIL, f"the clone has the MAC of its original, {values[0]}"
    return None
