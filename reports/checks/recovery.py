"""How long each machine that was lost took to be noticed, fenced, restarted and to serve again; the last is limited."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reports.absences import absence
from reports.evidence import Evidence, Fault
from reports.returns import Lost
from reports.spans import Span
from reports.streams import VIRTUAL_IP
from reports.verdict import Claim, Part, Verdict, sum_up
from reports.watches import blind

ID = "recovery.times"
TITLE = "Each machine that was lost served again within the recovery time objective, and none was started twice"
UNNAMED = "the record does not tell which instance it was before the fault"
DOCUMENTED = "nobody fenced node {node}; this is KubeVirt's documented behaviour"
RETURNING_NS = 5_000_000_000
"""A node that comes back may end its old pods so long before it is seen ready: what follows is its return's doing."""
ORDINARY = {"node_grace_seconds": 50.0, "toleration_seconds": 300.0, "unhealthy_seconds": 300.0}
"""A cluster's own timers, which a lab may scale down."""


def check(evidence: Evidence) -> Claim:
    """Judge every machine of every fault, each step of its return by its own evidence."""
    lost = [Lost(evidence, fault, vm) for fault in evidence.faults for vm in sorted(_taken(evidence, fault))]
    parts = [part for one in lost for part in _parts(one)]
    parts += [_served(Lost(evidence, fault, VIRTUAL_IP)) for fault in evidence.faults if fault.expects.outage]
    if not lost and not evidence.window.incomplete:
        parts = [Part(object="machines", verdict=Verdict.PASS, reason="no fault was to take one away")]
    serving = [part.measured for part in parts if part.measured is not None]
    slowest = f"the slowest served again after {max(serving, default=0):.1f} s"
    good = f"{len(lost)} machines lost, {slowest}; {_timers(evidence)}"
    summary = sum_up(parts, lambda _: good, evidence.window.incomplete)
    return Claim(
        id=ID,
        title=TITLE,
        verdict=summary.verdict,
        measured=max(serving, default=None),
        limit=evidence.limits.rto_seconds,
        unit="s, from the loss of a machine until it served again",
        detection=f"each step when the first evidence of it was seen; {_timers(evidence)}",
        reason=summary.reason,
        evidence=("events.jsonl: watch/node, watch/vmi, watch/pod, witness/identity", "samples.parquet"),
        hint="See the fencing operator and the runStrategy." if summary.verdict is Verdict.FAIL else "",
        parts=summary.parts,
    )


def _taken(evidence: Evidence, fault: Fault) -> frozenset[str]:
    return frozenset(vm.name for vm in evidence.vms) if fault.expects.outage else fault.away


def _timers(evidence: Evidence) -> str:
    """The timers that decide how soon a loss is noticed and answered; a lab's are scaled."""
    told = evidence.run.target.get("timers") or evidence.run.settings.get("lab_timers")
    if not isinstance(told, Mapping) or not (evidence.run.target.get("is_lab") or evidence.run.target.get("timers")):
        return "by the cluster's own timers"
    scaled = [
        f"{name.removesuffix('_seconds').replace('_', ' ')} {value:g} s"
        + (f" (ordinarily {ORDINARY[name]:g})" if ORDINARY.get(name, value) != value else "")
        for name, value in told.items()
        if isinstance(value, int | float)
    ]
    return f"timers: {', '.join(scaled)}"


def _parts(one: Lost) -> Iterator[Part]:
    expects = one.fault.expects
    if one.vm in expects.restarted:
        yield _noticed(one)
        if one.with_its_node:
            yield _fenced(one)
        yield _restarted(one)
    elif one.vm in expects.stays_down:
        yield _noticed(one)
        yield _stayed_down(one)
    yield _served(one)


def _named(one: Lost, step: str) -> str:
    return f"{one.vm} in {one.fault.phase}, {step}"


def _seen(one: Lost, step: str, when: int, told: str) -> Part:
    seconds = max(0, when - one.lost_ns) / 1e9
    moment = one.evidence.at(when)
    reason = f"{told} after {seconds:.1f} s, at {moment}"
    facts = {"after_s": seconds}
    return Part(object=_named(one, step), verdict=Verdict.PASS, reason=reason, at=moment, facts=facts)


def _unseen(one: Lost, step: str, kinds: tuple[str, ...], told: str) -> Part:
    """A step of which the record has no evidence, with the reason if a watch was blind."""
    found = [blind(one.evidence, kind, one.span) for kind in kinds]
    reason = "; ".join([told, *(trouble for trouble in found if trouble)])
    return Part(object=_named(one, step), verdict=Verdict.UNKNOWN, reason=reason)


def _noticed(one: Lost) -> Part:
    when = one.noticed()
    if when is None:
        kinds = ("node",) if one.with_its_node else ("vmi",)
        return _unseen(one, "noticed", kinds, "nothing in the record shows that the cluster noticed")
    return _seen(one, "noticed", when, f"node {one.node} not ready" if one.with_its_node else "gone or not ready")


def _fenced(one: Lost) -> Part:
    when = one.fenced()
    if when is None:
        return _unseen(one, "fenced", ("node", "pod"), "no out-of-service taint and no end of its pod seen")
    return _seen(one, "fenced", when, f"out of service, or its pod gone from {one.node}")


def _restarted(one: Lost) -> Part:
    """It must have been started anew; where nothing was fenced two guests may have run on one disk."""
    when, rebooted = one.restarted(), one.rebooted()
    if when is None and rebooted is None:
        if trouble := _unsure(one, one.span):
            return Part(object=_named(one, "restarted"), verdict=Verdict.UNKNOWN, reason=trouble)
        waited, limit = (one.span.end - one.lost_ns) / 1e9, one.evidence.limits.rto_seconds
        verdict = Verdict.FAIL if waited > limit else Verdict.UNKNOWN
        reason = f"never started anew in {waited:.1f} s; {limit:g} s allowed until it serves again"
        return Part(object=_named(one, "restarted"), verdict=verdict, reason=reason)
    if when is None:
        return _seen(one, "restarted", rebooted or 0, "the guest was back in another boot")
    return _seen(one, "restarted", when, "another instance of it was running")


def _unsure(one: Lost, span: Span) -> str:
    """Why another instance may have gone unseen in a span, or empty."""
    return blind(one.evidence, "vmi", span) or ("" if one.uid else UNNAMED)


def _stayed_down(one: Lost) -> Part:
    """Whoever restarts a machine of a node that nobody fenced may run two guests on one disk."""
    name = _named(one, "not restarted")
    ends = [one.fault.healed_ns or one.fault.span.end, (one.node_returned() or one.span.end) - RETURNING_NS]
    until = max(one.fault.span.begin, min(ends))
    again, fenced = one.recreated(), one.declared_off()
    if again is not None and again < until and (fenced is None or fenced > again):
        moment = one.evidence.at(again)
        reason = f"restarted at {moment} although nobody fenced node {one.node}: two guests may have run on one disk"
        return Part(object=name, verdict=Verdict.FAIL, reason=reason, at=moment)
    if trouble := _unsure(one, Span(one.fault.span.begin, until)):
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=trouble)
    if again is not None and again < until:
        moment = one.evidence.at(again)
        reason = f"restarted at {moment}: node {one.node} was fenced, which this fault was to be without"
        return Part(object=name, verdict=Verdict.FAIL, reason=reason, at=moment)
    reason = f"not restarted: {DOCUMENTED.format(node=one.node)}"
    return Part(object=name, verdict=Verdict.PASS, reason=reason, at=one.evidence.at(until))


def _served(one: Lost) -> Part:
    """When all of its streams served again; of one that stays down, from its node's return."""
    name, limit = _named(one, "serves again"), one.evidence.limits.rto_seconds
    missing = [stream for stream in one.streams if stream not in one.evidence.samples]
    if missing:
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=f"the record has no sample of {', '.join(missing)}")
    found = {stream: absence(one.evidence, one.fault, stream) for stream in one.streams}
    away = {stream: gone for stream, gone in found.items() if gone is not None}
    since = one.fault.healed_ns or one.fault.span.end if one.vm in one.fault.expects.stays_down else one.lost_ns
    open_ended = [stream for stream, gone in away.items() if gone.end is None]
    if open_ended:
        return _still_away(one, name, open_ended, since)
    ends = {stream: gone.end or 0 for stream, gone in away.items()}
    if not ends:
        reason = "its own streams were never away for longer than their limit"
        return Part(object=name, verdict=Verdict.PASS, reason=reason, measured=0.0, facts={"limit_s": limit})
    facts = {f"{stream.partition('/')[0]}_s": max(0, end - since) / 1e9 for stream, end in ends.items()}
    seconds, moment = max(facts.values()), one.evidence.at(max(ends.values()))
    return Part(
        object=name,
        verdict=Verdict.PASS if seconds <= limit else Verdict.FAIL,
        measured=seconds,
        reason=f"served again after {seconds:.1f} s, at {moment}; {limit:g} s allowed",
        at=moment,
        facts={**facts, "limit_s": limit},
    )


def _still_away(one: Lost, name: str, streams: list[str], since: int) -> Part:
    waited, limit = max(0, one.span.end - since) / 1e9, one.evidence.limits.rto_seconds
    reason = f"{', '.join(streams)} had not come back {waited:.1f} s later, when the record of it ends"
    verdict = Verdict.FAIL if waited > limit else Verdict.UNKNOWN
    return Part(object=name, verdict=verdict, reason=reason, measured=waited if waited > limit else None)
