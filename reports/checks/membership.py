"""The database's membership changed only where a fault explains it, and those who left came back in a known way."""

from __future__ import annotations

import numpy as np

from drainproof.record import Event, Outcome
from reports.evidence import Evidence, Fault
from reports.members import (
    NIL,
    SILENT_SECONDS,
    SOURCE,
    after_silence,
    all_states,
    asked,
    departures,
    reach,
    states,
    unwatched,
)
from reports.spans import Span
from reports.streams import SQL
from reports.verdict import Claim, Facts, Part, Verdict, sum_up

ID = "galera.membership"
TITLE = "One history throughout; every change of the membership is explained by a fault, and all members came back"
REFUSAL_SECONDS = 10.0
"""A minority may acknowledge until Galera has found out: its suspect timeout of 5 s, and as much again."""
FEWEST_WRITES = 3
"""With fewer writes tried, nothing shows that they were refused."""


def check(evidence: Evidence) -> Claim:
    """Judge the histories, the steps of the configuration, each member's comings and goings, and the end."""
    parts = [_history(evidence), _configuration(evidence)]
    parts += [_watched(evidence, vm.name) for vm in evidence.vms]
    parts += [_strays(evidence, vm.name) for vm in evidence.vms]
    for fault in evidence.faults:
        parts += [_left(evidence, fault, vm) for vm in sorted(_must_leave(fault))]
        parts += [_refused(evidence, fault, vm) for vm in fault.expects.refuses_writes]
    parts += [_end(evidence, vm.name) for vm in evidence.vms]
    summary = sum_up(parts, lambda _: _good(evidence), evidence.window.incomplete)
    return Claim(
        id=ID,
        title=TITLE,
        verdict=summary.verdict,
        measured=sum(part.measured or 0 for part in parts),
        limit=0,
        unit="unexplained changes",
        detection=f"each member is {asked(evidence)}; the configuration id counts what happens in between",
        reason=summary.reason,
        evidence=("events.jsonl: membership/state, membership/join, membership/looks, fault", "samples.parquet: sql/*"),
        hint="Read the members' error logs at that moment." if summary.verdict is Verdict.FAIL else "",
        parts=summary.parts,
    )


def _good(evidence: Evidence) -> str:
    joins = [event for event in evidence.of_kind(SOURCE, "join") if event.t_ns in evidence.window.span]
    told = ", ".join(_way(event) for event in joins) or "no member had to rejoin"
    return f"one history; {len(_steps(evidence))} changes of the configuration, all explained; {told}"


def _history(evidence: Evidence) -> Part:
    told: dict[str, str] = {}
    for state in all_states(evidence):
        if state.primary and state.history not in ("", NIL):
            told.setdefault(state.history, f"{state.vm} at {evidence.at(state.t_ns)}")
    name = "history"
    if not told:
        return Part(object=name, verdict=Verdict.UNKNOWN, reason="no member told which history it follows")
    if len(told) > 1:
        seen = ", ".join(f"{uuid} on {where}" for uuid, where in told.items())
        reason = f"the members follow different histories: {seen}"
        return Part(object=name, verdict=Verdict.FAIL, measured=len(told) - 1, reason=reason)
    return Part(object=name, verdict=Verdict.PASS, measured=0, reason=f"{next(iter(told))} on all members throughout")


def _steps(evidence: Evidence) -> list[tuple[int, int, str]]:
    """When each further configuration id was first told, and by whom."""
    seen: dict[int, tuple[int, int, str]] = {}
    for state in all_states(evidence):
        if state.primary:
            seen.setdefault(state.conf_id, (state.t_ns, state.conf_id, state.vm))
    return sorted(seen.values())[1:]


def _configuration(evidence: Evidence) -> Part:
    name = "configuration"
    if not any(state.primary for state in all_states(evidence)):
        return Part(object=name, verdict=Verdict.UNKNOWN, reason="no member told the id of its configuration")
    explained = [reach(evidence, fault) for fault in evidence.faults if fault.takes_away]
    steps = _steps(evidence)
    strange = [step for step in steps if not any(step[0] in span for span in explained)]
    facts: Facts = {"steps": len(steps)}
    if not strange:
        reason = f"{len(steps)} changes of its id, each while a fault explains it"
        return Part(object=name, verdict=Verdict.PASS, measured=0, reason=reason, facts=facts)
    time, conf_id, vm = strange[0]
    moment = evidence.at(time)
    reason = f"{len(strange)} changes that no fault explains, first {conf_id} on {vm} at {moment}"
    return Part(object=name, verdict=Verdict.FAIL, measured=len(strange), reason=reason, at=moment, facts=facts)


def _watched(evidence: Evidence, vm: str) -> Part:
    trouble = unwatched(evidence, vm)
    verdict = Verdict.UNKNOWN if trouble else Verdict.PASS
    return Part(object=f"looks at {vm}", verdict=verdict, reason=trouble or "looked at throughout")


def _strays(evidence: Evidence, vm: str) -> Part:
    """Whether a member left that no fault was to take away."""
    name = f"departures of {vm}"
    explained = [reach(evidence, fault) for fault in evidence.faults if vm in fault.members or fault.expects.outage]
    strange = [left for left in departures(evidence, vm) if not any(left.touches(span) for span in explained)]
    if strange:
        moment = evidence.at(strange[0].end)
        reason = f"it left the primary component, first seen at {moment}, and no fault was to expel it"
        return Part(object=name, verdict=Verdict.FAIL, measured=len(strange), reason=reason, at=moment)
    return Part(object=name, verdict=Verdict.PASS, measured=0, reason="none but what a fault explains")


def _must_leave(fault: Fault) -> frozenset[str]:
    expects = fault.expects
    return frozenset((*expects.expelled, *expects.restarted, *expects.stays_down))


def _left(evidence: Evidence, fault: Fault, vm: str) -> Part:
    """Whether a member left because of a fault, and how it came back."""
    name, span = f"{vm} in {fault.phase}", Span(fault.span.begin, evidence.settled(fault))
    gone = [left for left in departures(evidence, vm) if left.touches(span)]
    if not gone and not _missed(evidence, vm, span):
        if trouble := unwatched(evidence, vm):
            return Part(object=name, verdict=Verdict.UNKNOWN, reason=trouble)
        reason = "it was to leave the primary component and never did"
        return Part(object=name, verdict=Verdict.FAIL, measured=1, reason=reason, at=evidence.at(fault.span.begin))
    joins = [event for event in evidence.of_kind(SOURCE, "join", vm) if event.t_ns in span]
    if not joins:
        reason = "it left, and how it came back is not recorded"
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=reason)
    last = joins[-1]
    facts: Facts = {name: last.data.get(name) for name in ("way", "seconds", "bytes")}
    reason = f"left, and {_way(last)} at {evidence.at(last.t_ns)}"
    return Part(object=name, verdict=Verdict.PASS, measured=0, reason=reason, at=evidence.at(last.t_ns), facts=facts)


def _missed(evidence: Evidence, vm: str, span: Span) -> bool:
    """Whether the member did not answer while another told of a smaller cluster."""
    silent = any(event.t_ns in span for event in evidence.of_kind(SOURCE, "lost", vm))
    full = len(evidence.vms)
    smaller = (state for state in all_states(evidence) if state.vm != vm and state.t_ns in span)
    return silent and any(state.primary and state.size < full for state in smaller)


def _way(event: Event) -> str:
    way, seconds, size = (event.data.get(name) for name in ("way", "seconds", "bytes"))
    if way == "none":
        return f"{event.object} came back and had missed nothing"
    took = f" in {float(seconds):.1f} s" if seconds is not None else ""
    moved = f", {int(size)} bytes" if size is not None else ""
    return f"{event.object} rejoined by {way}{took}{moved}"


def _refused(evidence: Evidence, fault: Fault, vm: str) -> Part:
    """A minority must not acknowledge: what it took alone would be lost or contradict the others."""
    name, stream = f"writes to {vm} in {fault.phase}", f"{SQL}/{vm}"
    if fault.injected_ns is None or fault.over_ns is None or not fault.lasted or stream not in evidence.samples:
        reason = f"the record lacks how long the fault lasted, or {stream}"
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=reason)
    span = Span(fault.injected_ns + int(REFUSAL_SECONDS * 1e9), fault.over_ns)
    samples = evidence.samples[stream]
    ended = (samples.end_ns >= span.begin) & (samples.end_ns <= span.end)
    taken = np.flatnonzero(ended & (samples.outcome == Outcome.OK))
    if len(taken):
        moment = evidence.at(int(samples.end_ns[taken[0]]))
        reason = f"{len(taken)} writes were acknowledged by a minority, first at {moment}"
        return Part(object=name, verdict=Verdict.FAIL, measured=len(taken), reason=reason, at=moment)
    tried = int(ended.sum()) if span.end > span.begin else 0
    if tried < FEWEST_WRITES:
        reason = f"only {tried} writes were tried from {REFUSAL_SECONDS:g} s after it was cut off until it healed"
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=reason)
    reason = f"none of {tried} writes was acknowledged from {evidence.at(span.begin)} until it healed"
    return Part(object=name, verdict=Verdict.PASS, measured=0, reason=reason)


def _end(evidence: Evidence, vm: str) -> Part:
    """How a member stood at the end; one that a fault held away, which never healed, is not accused."""
    name, told = f"{vm} at the end", states(evidence, vm)
    if not told:
        return Part(object=name, verdict=Verdict.UNKNOWN, reason="it never told how it stands in its cluster")
    lost, back = after_silence(evidence, vm)
    last, size = back or told[-1], len(evidence.vms)
    if lost and back is None:
        moment, accused = evidence.at(lost.t_ns), evidence.window.span.end - lost.t_ns > SILENT_SECONDS * 1e9
        reason = f"it did not answer any more from {moment} on: {lost.data.get('reason')}"
    elif last.synced and last.size == size:
        reason = f"Primary and Synced in a cluster of {size}"
        return Part(object=name, verdict=Verdict.PASS, measured=0, reason=reason, at=evidence.at(last.t_ns))
    else:
        moment, accused = evidence.at(last.t_ns), True
        status = "Primary" if last.primary else "not Primary"
        reason = f"{status}, {last.comment or last.local_state}, in a cluster of {last.size} at {moment}"
    lasting = [fault.phase for fault in evidence.faults if fault.takes_away and fault.healed_ns is None]
    if lasting:
        accused, reason = False, f"{reason}; {', '.join(lasting)} had not healed when the run ended"
    verdict = Verdict.FAIL if accused else Verdict.UNKNOWN
    return Part(object=name, verdict=verdict, measured=int(accused), reason=reason, at=moment)
