"""Snapshots, restores, clones and boot storms were done within their limits, and each made what it is for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports.disks import CLONE, DATA, RESTORE, SNAPSHOT, STORM, injected, sessions
from reports.evidence import Evidence, Fault
from reports.verdict import Claim, Facts, Part, Verdict, sum_up

ID = "storage.operations"
TITLE = "Snapshots, restores, clones and boot storms were done within their limits"
KINDS = {
    SNAPSHOT: "snapshot_seconds", RESTORE: "restore_seconds", CLONE: "clone_seconds", STORM: "boot_storm_seconds"
}
"""The limit of each kind of operation."""
_Trouble = tuple[Verdict, str]
OBJECT_SECONDS, GUEST_SECONDS = 0.25, 2.2
"""How often an object is looked at; after how long at the latest a guest that boots is tried anew."""


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
        detection=(
            "from the request until the object, or the guest, was seen to be done; objects were looked at four times a "
            f"second, a guest that boots was tried anew after {GUEST_SECONDS:g} s at the latest"
        ),
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


def resolution_of(fault: Fault) -> float:
    """How much longer than it took an operation may seem to have taken, in seconds."""
    return OBJECT_SECONDS if fault.kind == SNAPSHOT else GUEST_SECONDS


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
    if trouble := _trouble(evidence, fault, injected(evidence, fault)):
        verdict, reason = trouble
        return Part(object=name, verdict=verdict, reason=reason, measured=seconds, facts=facts)
    verdict = Verdict.PASS if seconds <= limit else Verdict.FAIL
    return Part(
        object=name, verdict=verdict, reason=f"took {seconds:.1f} s; {limit:g} s allowed", measured=seconds, facts=facts
    )


def _trouble(evidence: Evidence, fault: Fault, told: Mapping[str, Any]) -> _Trouble | None:
    """What an operation made is not what it is for, or is not told; None when all is well."""
    if fault.kind == SNAPSHOT:
        return _without_disk(told)
    if fault.kind == CLONE:
        # Records from before the claims were told are known to be of two disks by what each holds.
        return _shared(told, "mac", "MAC") or (_shared(told, "claims", "claim") if "claims" in told else None)
    if fault.kind == STORM:
        return _unanswered(evidence, fault, told)
    return None


def _without_disk(told: Mapping[str, Any]) -> _Trouble | None:
    """A snapshot says which volumes it holds: the disk has to be among them."""
    volumes = told.get("volumes")
    included, excluded = (
        volumes.get(name) if isinstance(volumes, Mapping) else None for name in ("includedVolumes", "excludedVolumes")
    )
    if isinstance(excluded, list) and DATA in excluded:
        return Verdict.FAIL, "the snapshot leaves the disk out"
    if not isinstance(included, list) or DATA not in included:
        return Verdict.UNKNOWN, "the snapshot does not tell that it holds the disk"
    return None


def _shared(told: Mapping[str, Any], key: str, what: str) -> _Trouble | None:
    """What a clone shares with its original breaks both."""
    found = told.get(key)
    values = [str(value) for value in found.values()] if isinstance(found, Mapping) else []
    if len(values) < 2 or not all(values):
        return Verdict.UNKNOWN, f"the record does not tell the {what} of the clone and of its original"
    if len(set(values)) < len(values):
        return Verdict.FAIL, f"the clone has the {what} of its original, {values[0]}"
    return None


def _unanswered(evidence: Evidence, fault: Fault, told: Mapping[str, Any]) -> _Trouble | None:
    """Every machine of a storm has to have answered, each as a guest of its own where that is told."""
    answered, boots = told.get("answered_ns"), told.get("boot_ids")
    lacking = sorted(set(fault.targets) - set(answered if isinstance(answered, Mapping) else ()))
    if lacking:
        return Verdict.UNKNOWN, f"the record has no answer of {', '.join(lacking)}"
    if isinstance(boots, Mapping):
        known = [*(str(boot) for boot in boots.values()), *{one.boot_id for one in sessions(evidence)}]
        if set(boots) != set(fault.targets) or not all(known) or len(set(known)) < len(known):
            return Verdict.UNKNOWN, "the answers are not told to be of different guests"
    return None
