"""While faults take machines away the service goes on: those who are left take over within the limits of a failover."""

from __future__ import annotations

from functools import cache

from drainproof.record import Outcome, Samples
from drainproof.streams import TCP_NEW, VIRTUAL_IP, Stream
from reports.absences import excused, takeovers
from reports.checks.continuity import clinic_at_work
from reports.checks.outages import interval, stopwatch
from reports.completeness import complete
from reports.evidence import Evidence
from reports.operations import damage, failures, figures, overlapping, without
from reports.outages.outage import Outage
from reports.outages.reading import Reading
from reports.spans import Span
from reports.streams import (
    CLINIC,
    HTTP_NEW,
    OBSERVERS,
    SQL,
    kind_of,
    kinds_of,
    reported_stalls,
    started_in,
    target_of,
    timed_streams,
)
from reports.timed import Allowance, timed
from reports.verdict import Claim, MissingEvidenceError, Part, Verdict, sum_up

ID = "service.survives"
TITLE = "The service went on from those who were left, within the limits of a failover"


def check(evidence: Evidence) -> Claim:
    """Judge every stream: those of machines that were taken away only while they were there."""
    samples = evidence.samples
    clinic = [samples[stream] for stream in sorted(samples) if kind_of(stream) == CLINIC]
    parts = [
        timed(evidence, samples.get(stream), stream, _allowance(evidence, stream)) for stream in timed_streams(evidence)
    ]
    web = [stream for stream in timed_streams(evidence) if target_of(stream) == VIRTUAL_IP and stream in samples]
    parts += [_budget(evidence, f"failures of {stream}", [samples[stream]]) for stream in web]
    parts += [*_clinic(evidence, clinic), *_connections(evidence)]
    parts += [complete(evidence, observer, kinds_of(observer)) for observer in sorted(set(OBSERVERS.values()))]
    summary = sum_up(parts, lambda parts: _good(evidence, parts), evidence.window.incomplete or damage(evidence))
    gaps = [part for part in parts if part.measured is not None and part.facts.get("limit_s")]
    worst_part = max(gaps, key=lambda part: (part.measured or 0.0) / _number(part, "limit_s"), default=None)
    return Claim(
        id=ID,
        title=TITLE,
        verdict=summary.verdict,
        measured=worst_part.measured if worst_part else None,
        limit=_number(worst_part, "limit_s") if worst_part else None,
        unit="s, longest gap of those who were left",
        detection_limit=max((_number(part, "detection_limit_s") for part in gaps), default=None),
        detection="the longest time between two looks of an observer that were on time, over all streams",
        reason=summary.reason,
        evidence=("samples.parquet", "events.jsonl: run/phase, fault/begin, */stall, */stop, observer/ended"),
        hint="Compare the moment with the fault's." if summary.verdict is Verdict.FAIL else "",
        parts=summary.parts,
    )


def _good(evidence: Evidence, parts: tuple[Part, ...]) -> str:
    operations = sum(int(_number(part, "samples")) for part in parts if "limit_s" in part.facts)
    seconds = sum(span.seconds for span in takeovers(evidence))
    shares = [part.measured for part in parts if part.measured is not None and "share_limit" in part.facts]
    return (
        f"{operations} operations through {len(evidence.faults)} faults, of which others had to take over for "
        f"{seconds:.1f} s; at most {max(shares, default=0):.2%} of requests through the virtual address failed"
    )


def _allowance(evidence: Evidence, stream: str) -> Allowance:
    limits, own, others = evidence.limits, excused(evidence, stream), takeovers(evidence)
    is_sql = kind_of(stream) == SQL
    lenient = is_sql or target_of(stream) == VIRTUAL_IP
    return Allowance(
        excused=own,
        eased=others,
        eased_limit=limits.failover_sql_gap_seconds if is_sql else limits.failover_gap_seconds,
        forgiven=others if lenient else (),
    )


def _budget(evidence: Evidence, name: str, streams: list[Samples]) -> Part:
    """The share of requests through the virtual address that failed, those of an expected outage left out."""
    sent = failed = 0
    for samples in streams:
        asked = started_in(samples, evidence.window.span)
        counted = without(asked, overlapping(asked, _outages(evidence)))
        sent += len(counted)
        failed += int((counted.outcome != Outcome.OK).sum())
    if not sent:
        return Part(object=name, verdict=Verdict.UNKNOWN, reason="no request was sent")
    share, allowed = failed / sent, evidence.limits.error_budget
    return Part(
        object=name,
        verdict=Verdict.PASS if share <= allowed else Verdict.FAIL,
        measured=share,
        reason=f"{failed} of {sent} failed, {share:.2%}; the budget is {allowed:.2%}",
        facts={"requests": sent, "failed_requests": failed, "share_limit": allowed},
    )


def _outages(evidence: Evidence) -> tuple[Span, ...]:
    """When the whole service was expected to be away."""
    return excused(evidence, f"{HTTP_NEW}/{VIRTUAL_IP}")


def _clinic(evidence: Evidence, streams: list[Samples]) -> list[Part]:
    """Clinic staff go through the virtual address: in a failover their failures count against the budget."""
    ended = []
    parts = [clinic_at_work(evidence, streams)]
    for samples in streams:
        sent = started_in(samples, evidence.window.span)
        ended.append(without(sent, sent.outcome == Outcome.INDETERMINATE))
        counted = without(ended[-1], overlapping(ended[-1], [*takeovers(evidence), *_outages(evidence)]))
        verdict, reason = failures(evidence, counted, reported_stalls(evidence, OBSERVERS[CLINIC]))
        told = figures(ended[-1]) if len(ended[-1]) else {"samples": 0, "failed": 0}
        good = f"{len(ended[-1])} operations, {told['failed']:.0f} failed, none outside a failover"
        parts.append(Part(object=samples.stream, verdict=verdict, reason=reason or good, facts={**told}))
    return [*parts, _budget(evidence, "failures of clinic staff", ended)]


def _connections(evidence: Evidence) -> list[Part]:
    """New connections to the virtual address and to each machine, as the stopwatch saw them."""
    watch = stopwatch(evidence)
    read = cache(lambda stream: watch.read(stream, evidence.window.span))
    streams = [Stream(TCP_NEW, target) for target in (*(vm.name for vm in evidence.vms), VIRTUAL_IP)]
    parts = []
    for stream in streams:
        try:
            parts.append(_connected(evidence, read(stream)))
        except MissingEvidenceError as error:
            parts.append(Part(object=stream.name, verdict=Verdict.UNKNOWN, reason=str(error)))
    return parts


def _connected(evidence: Evidence, reading: Reading) -> Part:
    name, target = reading.stream.name, reading.stream.target
    own, others = excused(evidence, f"{HTTP_NEW}/{target}"), takeovers(evidence)
    found = [one for one in reading.finding.outages if not any(_whole(one).overlaps(span) for span in own)]
    ordinary = evidence.limits.outage_seconds
    eased = max(ordinary, evidence.limits.failover_gap_seconds)
    limits = [eased if any(_whole(one).overlaps(span) for span in others) else ordinary for one in found]
    facts = {"outages": len(found), "detection_ms": reading.detection_ns / 1e6, "void_ms": reading.void_ns / 1e6}
    for outage, limit in zip(found, limits, strict=True):
        if outage.lo_ns > limit * 1e9:
            reason = f"down for {interval(outage)} from {evidence.at(outage.begin_hi)} on, {limit:g} s allowed"
            return Part(object=name, verdict=Verdict.FAIL, reason=reason, at=evidence.at(outage.begin_hi), facts=facts)
    void = reading.void_ns / 1e9 / max(evidence.window.span.seconds, 1e-9)
    if void > evidence.limits.void_share:
        reason = f"the stopwatch itself was away for {100 * void:.1f} % of the window"
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=reason, facts=facts)
    for outage, limit in zip(found, limits, strict=True):
        if outage.hi_ns > limit * 1e9:
            reason = f"down for {interval(outage)}, which the limit of {limit:g} s lies in"
            return Part(object=name, verdict=Verdict.UNKNOWN, reason=reason, facts=facts)
    worst = max((outage.hi_ns for outage in found), default=0) / 1e6
    reason = f"{len(found)} outages of those that count, {worst:.1f} ms at most"
    return Part(object=name, verdict=Verdict.PASS, reason=reason, facts=facts)


def _whole(outage: Outage) -> Span:
    return Span(outage.begin_lo, outage.end_hi)


def _number(part: Part, name: str) -> float:
    value = part.facts.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
