"""The guest's writes never stood still for longer than the limit, and the disk refused none of them.

How long a write waited for its disk lies between two figures: how long the disk had it by the guest's own clock,
without the time in which the guest itself did not run, and how long the client heard of no other. The second is longer
when the guest stood still, or its network.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from reports import fio
from reports.disk_stretches import Stretch, stretches
from reports.disks import Session, ranges, read_backs, restarts, sessions
from reports.evidence import Evidence
from reports.spans import Span, outside
from reports.verdict import Claim, Part, Verdict, sum_up

ID = "storage.continuity"
TITLE = "The guest's writes never stood still for longer than the limit, and none was refused"
SHORTEST_PERIODS = 1.5
"""A server that stood still for less than the time between two writes might not have been noticed."""
FELT_TIMES = 2.0
"""A write that waited so many times longer than any undisturbed one felt what was done."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A time without an acknowledgement."""

    span: Span
    """On the client's clock: from one acknowledgement to the next."""
    held_s: float
    """For how long of it the disk had a write while the guest itself ran, by the guest's clock."""


def check(evidence: Evidence) -> Claim:
    """Judge the longest pause of each disturbance and of the rest of the time, then refusals and restarts."""
    known = sessions(evidence)
    parts = [_stretch(evidence, known, stretch) for stretch in stretches(evidence)]
    parts += [_session(evidence, one) for one in known]
    parts += [*_measured_under(evidence), _same_boot(evidence, known), _writable(evidence)]
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
    # Of a write that was still out the guest told as long as it could; of one that was refused nobody knows.
    held, out = 0, session.outstanding
    if out is not None:
        first = int(session.submitted_us[following]) if following < len(session.seq) else out.submitted_us
        held = out.told_us - first - out.own_us - int(session.own_us[following:].sum())
    return [*found, Pause(Span(since, max(since, session.span.end)), max(0, held) / 1e6)]


def _stretch(evidence: Evidence, known: list[Session], stretch: Stretch) -> Part:
    facts: dict[str, float | str | None] = {"limit_s": stretch.limit_s}
    found = _pauses(known, stretch.spans)
    longest = max(found, key=lambda pause: pause.span.seconds, default=None)
    held = max(found, key=lambda pause: pause.held_s, default=None)
    unseen = outside(stretch.spans, [one.span for one in sorted(known, key=lambda one: one.span)])
    # What failed has failed: a disk that hangs for ever ends the ledger, and with it what is seen.
    failed = held is not None and held.held_s > stretch.limit_s
    if longest is None or held is None or (unseen and not stretch.may_rest and not failed):
        when = evidence.at(unseen[0].begin) if unseen else evidence.at(stretch.spans[0].begin)
        reason = f"nothing was written from {when} on: whether the disk was there then is not known"
        return Part(object=stretch.name, verdict=Verdict.UNKNOWN, reason=reason, facts=facts)
    behind = max((one.behind_s(span.end) for one in known for span in stretch.spans if span.end in one.span), default=0)
    facts |= {"disk_held_s": held.held_s, "acknowledgements": len(found), "behind_s": behind}
    verdict, reason = _judged(evidence, known, stretch, longest.span.seconds, held.held_s)
    if verdict is Verdict.PASS and stretch.settles and behind > stretch.limit_s:
        verdict = Verdict.UNKNOWN
        reason = f"it ended with the writes {behind:.1f} s behind their schedule: the disk is too slow for it"
    at = evidence.at((held if verdict is Verdict.FAIL else longest).span.begin)
    return Part(
        object=stretch.name, verdict=verdict, reason=reason, measured=longest.span.seconds, at=at, facts=facts
    )


def _pauses(known: list[Session], spans: tuple[Span, ...]) -> list[Pause]:
    return [pause for one in known for pause in pauses(one) if any(pause.span.overlaps(span) for span in spans)]


def _judged(
    evidence: Evidence, known: list[Session], stretch: Stretch, silent_s: float, held_s: float
) -> tuple[Verdict, str]:
    allowed = f"{stretch.limit_s:.4g} s allowed" + (f" ({stretch.why})" if stretch.why else "")
    shortest = SHORTEST_PERIODS * max(one.period_s for one in known)
    if held_s > stretch.limit_s:
        return Verdict.FAIL, f"the disk held a write for {held_s:.3f} s; {allowed}"
    if silent_s > stretch.limit_s:
        told = f"no write was acknowledged for {silent_s:.3f} s, of which the disk held one for {held_s:.3f} s at most"
        return Verdict.UNKNOWN, f"{told}: the rest is the guest's own or its network's; {allowed}"
    if stretch.least_s > shortest and silent_s < stretch.least_s - shortest / SHORTEST_PERIODS:
        told = f"the server stood still for {stretch.least_s:.1f} s, and the writes for {silent_s:.3f} s only"
        return Verdict.UNKNOWN, f"{told}: it does not serve this disk, or something else answers for it"
    if stretch.doubt:
        return Verdict.UNKNOWN, stretch.doubt
    if stretch.unless_felt:
        usual = max((pause.held_s for pause in _pauses(known, (evidence.window.baseline,))), default=0.0)
        if held_s <= FELT_TIMES * usual + shortest:
            told = f"no write waited for longer than {held_s:.3f} s; undisturbed it was {usual:.3f} s"
            return Verdict.UNKNOWN, f"{stretch.unless_felt}: {told}"
    return Verdict.PASS, f"never longer than {silent_s:.3f} s without an acknowledged write; {allowed}"


def _measured_under(evidence: Evidence) -> list[Part]:
    """Whether fio worked while that was done under which the disk was to be busy."""
    parts = []
    for begin, result in fio.asked(evidence):
        job, during = str(begin.data.get("job")), str(begin.data.get("during"))
        if during == fio.BASELINE:
            continue
        name = f"fio {job} during {during}"
        error = result.data.get("error") if result else "it told no result"
        if result is None or error:
            reason = f"the disk was not shown to be busy: {error}"
            parts.append(Part(object=name, verdict=Verdict.UNKNOWN, reason=reason, at=evidence.at(begin.t_ns)))
        elif not fio.meets(evidence, result, during):
            reason = f"the disk was not shown to be busy: no {during} took place while fio measured"
            parts.append(Part(object=name, verdict=Verdict.UNKNOWN, reason=reason, at=evidence.at(begin.t_ns)))
        else:
            reason = f"it kept the disk busy for a part of the {during}"
            parts.append(Part(object=name, verdict=Verdict.PASS, reason=reason))
    return parts


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
    """The guest is restarted by nothing but restores and power cuts."""
    name = f"guest of {known[0].vm}"
    on_purpose = restarts(evidence, known[0].vm)
    boots = [(one.span.begin, one.boot_id) for one in known]
    boots += [(one.t_ns, one.boot_id) for one in read_backs(evidence) if one.vm == known[0].vm]
    boots.sort()
    for (before, old), (after, new) in pairwise(boots):
        if old != new and not any(Span(before, after).touches(span) for span in on_purpose):
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
