"""The guest's writes never stood still for longer than the limit, and the disk refused none of them.

How long a write waited for its disk lies between two figures: how long the disk had it by the guest's own clock,
without the time in which the guest itself did not run, and how long the client heard of no other. The second is longer
when the guest stood still, or its network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from reports.disks import FAILOVER, PAUSE, RESTORE, Session, ranges, read_backs, sessions
from reports.evidence import Evidence, Fault
from reports.spans import Span, outside
from reports.verdict import Claim, Part, Verdict, sum_up

ID = "storage.continuity"
TITLE = "The guest's writes never stood still for longer than the limit, and none was refused"
SHORTEST_PERIODS = 1.5
"""A server that stood still for less than the time between two writes might not have been noticed."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A time without an acknowledgement."""

    span: Span
    """On the client's clock: from one acknowledgement to the next."""
    held_s: float
    """For how long of it the disk had a write while the guest itself ran, by the guest's clock."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A part of the run that is judged by one limit."""

    name: str
    spans: tuple[Span, ...]
    limit_s: float
    why: str = ""
    least_s: float = 0.0
    """So long the writes must have stood still if what was done reached this disk at all."""
    may_rest: bool = False
    """Whether nothing need be written meanwhile: the machine is stopped, or nothing is done to it."""


def check(evidence: Evidence) -> Claim:
    """Judge the longest pause of each disturbance and of the rest of the time, then refusals and restarts."""
    known = sessions(evidence)
    parts = [_stretch(evidence, known, stretch) for stretch in _stretches(evidence)]
    parts += [_session(evidence, one) for one in known]
    parts += [_same_boot(evidence, known), _writable(evidence)]
    judged = [part for part in parts if part.measured is not None]
    worst = max(judged, key=lambda part: (part.measured or 0) / float(part.facts["limit_s"] or 1), default=None)
    period = max(one.period_s for one in known)
    count = sum(int(one.taken.sum()) for one in known)
    good = f"{count} writes acknowledged; {worst.object}: {worst.reason}" if worst else f"{count} writes acknowledged"
    summary = sum_up(parts, lambda _: good, evidence.window.incomplete)
    return Claim(
        id=ID,
        title=TITLE,
        verdict=summary.verdict,
        measured=worst.measured if worst else None,
        limit=float(worst.facts["limit_s"] or 0) if worst else evidence.limits.io_pause_seconds,
        unit="s, longest time without an acknowledged write",
        detection_limit=period,
        detection=f"a write is due every {period:g} s, so that a shorter pause may lie between two of them",
        reason=summary.reason,
        evidence=("events.jsonl: io-ledger/begin, io-ledger/writes, io-ledger/end, io-ledger/verified",),
        hint="See the path to the storage, and the timeouts of its driver." if summary.verdict is Verdict.FAIL else "",
        parts=summary.parts,
    )


def pauses(session: Session) -> list[Pause]:
    """All times between two acknowledgements of a session, from its begin to its end."""
    rows = np.flatnonzero(session.taken)
    found: list[Pause] = []
    since, following = session.span.begin, 0
    for row in rows.tolist():
        held = session.completed_us[row] - session.submitted_us[following] - session.own_us[following : row + 1].sum()
        found.append(Pause(Span(since, int(session.arrived_ns[row])), max(0, int(held)) / 1e6))
        since, following = int(session.arrived_ns[row]), row + 1
    # Nobody knows when a write was refused, or asked for in vain, that none followed.
    return [*found, Pause(Span(since, max(since, session.span.end)), 0.0)]


def longest_pause(evidence: Evidence) -> float:
    """The longest time in the window in which the client heard of no acknowledged write, in seconds."""
    window = evidence.window.span
    found = [pause.span.seconds for one in sessions(evidence) for pause in pauses(one) if pause.span.touches(window)]
    return max(found, default=0.0)


def _stretches(evidence: Evidence) -> Iterator[_Stretch]:
    """The baseline, each disturbance with the settling after it, and what is left of the window."""
    limit, window, baseline = evidence.limits.io_pause_seconds, evidence.window.span, evidence.window.baseline
    yield _Stretch("baseline", (baseline,), limit)
    disturbed = [Span(drain.span.begin, _settled(evidence, drain.phase, drain.span)) for drain in evidence.drains]
    for drain, span in zip(evidence.drains, disturbed, strict=True):
        yield _Stretch(f"{drain.phase} of {drain.node}", (span,), limit)
    for fault in evidence.faults:
        span = Span(fault.span.begin, evidence.settled(fault))
        disturbed.append(span)
        yield _of_fault(evidence, fault, span)
    if rest := outside([window], sorted([baseline, *disturbed])):
        yield _Stretch("undisturbed", tuple(rest), limit, may_rest=True)


def _settled(evidence: Evidence, phase: str, span: Span) -> int:
    settle = evidence.phases.get(f"settle/{phase.rpartition('/')[2]}")
    return settle.end if settle else span.end


def _of_fault(evidence: Evidence, fault: Fault, span: Span) -> _Stretch:
    limits, name = evidence.limits, f"{fault.phase}, {fault.kind} of {fault.target}"
    if fault.kind == FAILOVER:
        return _Stretch(name, (span,), limits.io_recovery_seconds, "the recovery limit")
    if fault.kind == PAUSE:
        over = fault.over_ns or fault.span.end
        away = (over - fault.begun_ns) / 1e9
        sure = (over - (fault.injected_ns or over)) / 1e9
        why = f"{away:.1f} s of its server's pause and {limits.io_recovery_seconds:g} s to recover"
        return _Stretch(name, (span,), away + limits.io_recovery_seconds, why, least_s=sure)
    return _Stretch(name, (span,), limits.io_pause_seconds, may_rest=fault.kind == RESTORE)


def _stretch(evidence: Evidence, known: list[Session], stretch: _Stretch) -> Part:
    facts: dict[str, float | str | None] = {"limit_s": stretch.limit_s}
    found = [
        pause for one in known for pause in pauses(one) if any(pause.span.overlaps(span) for span in stretch.spans)
    ]
    unseen = outside(stretch.spans, [one.span for one in sorted(known, key=lambda one: one.span)])
    if not found or (unseen and not stretch.may_rest):
        when = evidence.at(unseen[0].begin) if unseen else evidence.at(stretch.spans[0].begin)
        reason = f"nothing was written from {when} on: whether the disk was there then is not known"
        return Part(object=stretch.name, verdict=Verdict.UNKNOWN, reason=reason, facts=facts)
    longest, held = max(found, key=lambda pause: pause.span.seconds), max(found, key=lambda pause: pause.held_s)
    period = max(one.period_s for one in known)
    facts |= {"disk_held_s": held.held_s, "acknowledgements": len(found)}
    verdict, reason = _judged(stretch, longest.span.seconds, held.held_s, period)
    at = evidence.at((held if verdict is Verdict.FAIL else longest).span.begin)
    return Part(
        object=stretch.name, verdict=verdict, reason=reason, measured=longest.span.seconds, at=at, facts=facts
    )


def _judged(stretch: _Stretch, silent_s: float, held_s: float, period_s: float) -> tuple[Verdict, str]:
    allowed = f"{stretch.limit_s:.4g} s allowed" + (f" ({stretch.why})" if stretch.why else "")
    if held_s > stretch.limit_s:
        return Verdict.FAIL, f"the disk held a write for {held_s:.3f} s; {allowed}"
    if silent_s > stretch.limit_s:
        told = f"no write was acknowledged for {silent_s:.3f} s, of which the disk held one for {held_s:.3f} s at most"
        return Verdict.UNKNOWN, f"{told}: the rest is the guest's own or its network's; {allowed}"
    if stretch.least_s > SHORTEST_PERIODS * period_s and silent_s < stretch.least_s - period_s:
        told = f"the server stood still for {stretch.least_s:.1f} s, and the writes for {silent_s:.3f} s only"
        return Verdict.UNKNOWN, f"{told}: it does not serve this disk, or something else answers for it"
    return Verdict.PASS, f"never longer than {silent_s:.3f} s without an acknowledged write; {allowed}"


def _session(evidence: Evidence, session: Session) -> Part:
    """Whether a session is whole, and nothing in it was refused."""
    name = f"writes of {session.vm}, session {session.number}"
    if session.errors:
        codes = ", ".join(sorted({f"error {code}" for code in session.errors.values()}))
        reason = f"the disk refused {len(session.errors)} writes ({codes}): {ranges(set(session.errors))}"
        return Part(object=name, verdict=Verdict.FAIL, reason=reason, at=evidence.at(session.span.begin))
    if session.trouble:
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=session.trouble)
    return Part(object=name, verdict=Verdict.PASS, reason=f"{len(session.seq)} writes, none refused")


def _same_boot(evidence: Evidence, known: list[Session]) -> Part:
    """The guest is restarted by nothing but a restore."""
    name = f"guest of {known[0].vm}"
    restores = [fault for fault in evidence.faults if fault.kind == RESTORE]
    boots = [(one.span.begin, one.boot_id) for one in known]
    boots += [(one.t_ns, one.boot_id) for one in read_backs(evidence) if one.vm == known[0].vm]
    boots.sort()
    for (before, old), (after, new) in pairwise(boots):
        if old != new and not any(Span(before, after).touches(fault.span) for fault in restores):
            reason = f"the guest restarted: boot id {new} at {evidence.at(after)}, {old} before"
            return Part(object=name, verdict=Verdict.FAIL, reason=reason, at=evidence.at(after))
    return Part(object=name, verdict=Verdict.PASS, reason=f"{len(boots)} readings, no restart that was not asked for")


def _writable(evidence: Evidence) -> Part:
    bad = [one for one in read_backs(evidence) if not one.writable]
    name = "file system of the disk"
    if bad:
        reason = f"that of {bad[0].vm} was read-only at {evidence.at(bad[0].t_ns)}"
        return Part(object=name, verdict=Verdict.FAIL, reason=reason, at=evidence.at(bad[0].t_ns))
    return Part(object=name, verdict=Verdict.PASS, reason="never found read-only")
