"""Every fault proved that it happened and that it healed; without that nothing was shown to have been outlived."""

from __future__ import annotations

from reports.checks.migration import proof
from reports.evidence import Evidence, Fault
from reports.verdict import Claim, Part, Verdict, sum_up

ID = "faults.proved"
TITLE = "Every fault was seen to happen and seen to heal"


def check(evidence: Evidence) -> Claim:
    """Judge the proof of each fault, and of each drain among them."""
    parts = [_fault(evidence, fault) for fault in evidence.faults]
    parts += [proof(evidence, drain) for drain in evidence.drains]
    proved = sum(part.verdict is Verdict.PASS for part in parts)
    told = ", ".join(f"{fault.kind} of {fault.target}" for fault in evidence.faults)
    summary = sum_up(parts, lambda _: f"{proved} happened and healed: {told}", evidence.window.incomplete)
    return Claim(
        id=ID,
        title=TITLE,
        verdict=summary.verdict,
        measured=proved,
        limit=len(parts),
        bound="at least",
        unit="proved faults",
        detection="each fault looks for its own effect and for its end; what it looked at stands in the record",
        reason=summary.reason,
        evidence=("events.jsonl: fault/begin, fault/injected, fault/healed, fault/proof, drain/proof",),
        hint="Nothing below shows how the service outlives it." if summary.verdict is Verdict.UNKNOWN else "",
        parts=summary.parts,
    )


def _fault(evidence: Evidence, fault: Fault) -> Part:
    name = f"{fault.phase}, {fault.kind or 'a fault'} of {fault.target or 'an unnamed target'}"
    if not fault.proven:
        return Part(object=name, verdict=Verdict.UNKNOWN, reason="the fault ended without proof")
    lacking = [word for word, told in (("happened", fault.happened), ("healed", fault.healed)) if not told]
    if lacking or fault.reasons:
        told = f"not proved that the fault {' and '.join(lacking)}" if lacking else "the fault reported an error"
        reason = f"{told}: {'; '.join(fault.reasons) or 'no reason given'}"
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=reason, at=evidence.at(fault.span.begin))
    if fault.injected_ns is None or fault.over_ns is None or fault.healed_ns is None:
        reason = "it is told to be proved, but the record lacks when it was injected or healed"
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=reason)
    if not fault.begun_ns <= fault.injected_ns <= fault.over_ns <= fault.healed_ns:
        times = (fault.begun_ns, fault.injected_ns, fault.over_ns, fault.healed_ns)
        moments = ", ".join(evidence.at(moment) for moment in times)
        reason = f"it is told to have been ordered, injected, ended and healed in no possible order: {moments}"
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=reason)
    if not fault.lasted:
        reason = "it ended by itself before its end was ordered: nobody knows how long it lasted"
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=reason, at=evidence.at(fault.healed_ns))
    seconds = (fault.healed_ns - fault.injected_ns) / 1e9
    return Part(
        object=name,
        verdict=Verdict.PASS,
        reason=f"happened at {evidence.at(fault.injected_ns)} and healed after {seconds:.1f} s",
        at=evidence.at(fault.injected_ns),
        facts={"lasted_s": seconds},
    )
