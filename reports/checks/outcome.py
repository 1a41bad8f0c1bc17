"""Each migration's end against what was expected of it: phases, data moved, rates, downtime, what clients noticed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from drainproof.streams import HEARTBEAT, TCP_KEPT, TCP_NEW, UDP, Stream
from reports.checks.hypervisor import about, downtime
from reports.checks.outages import stopwatch
from reports.evidence import STORAGE, Evidence
from reports.migrations import FINAL, Migration, migrations
from reports.outages.bounds import CONFIDENCE, failure_rate
from reports.outages.reading import Reading
from reports.spans import Span
from reports.streams import HTTP_NEW, HTTP_REUSED, SQL, longest
from reports.verdict import Claim, Facts, MissingEvidenceError, Part, Verdict, sum_up

ID = "migration.outcome"
TITLE = "Each migration ended as it was expected to"
SUCCEEDED, FAILED = FINAL
AROUND_SECONDS = 1.0
"""How far around a migration its client gaps are looked for."""
REQUESTS = (HTTP_NEW, HTTP_REUSED, SQL)
PROBES = (UDP, HEARTBEAT, TCP_KEPT, TCP_NEW)
MEBI = 2**20
FIGURES = (
    ("iterations", "iterations", 1.0),
    ("data_processed_bytes", "moved_mib", MEBI),
    ("data_remaining_bytes", "remaining_mib", MEBI),
    ("dirty_rate_bytes", "dirtied_mib_per_s", MEBI),
    ("bandwidth", "bandwidth_mib_per_s", MEBI),
    ("throttle_percent", "throttled_percent", 1.0),
    ("postcopy_requests", "postcopy_requests", 1.0),
)
"""Of the hypervisor's figures: the name in the record, the name with its unit here, and the divisor."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """One migration, the phase in which it had to end, and the verdict about it."""

    migration: Migration
    wanted: str
    first: bool
    """Whether it was the machine's first: a guest that has never moved is colder."""
    part: Part


def applies(evidence: Evidence) -> bool:
    """Whether any migration was seen or expected."""
    return any(fault.expects.moved for fault in evidence.faults) or bool(migrations(evidence))


def check(evidence: Evidence) -> Claim:
    """Judge each migration by what its fault, or else its drain, expected; and miss those that were never seen."""
    judged = _judged(evidence)
    missing = _missing(evidence, judged)
    if not judged and not missing:
        raise MissingEvidenceError("the record has no migration, and none was expected")
    parts = [one.part for one in judged] + missing
    wrong = [part for part in parts if part.verdict is Verdict.FAIL]
    summary = sum_up(parts, lambda _: _sentence(judged), evidence.window.incomplete)
    return Claim(
        id=ID,
        title=TITLE,
        verdict=summary.verdict,
        measured=len(wrong),
        limit=0,
        unit="migrations that ended otherwise than expected",
        detection=_detection(judged),
        reason=summary.reason,
        evidence=("events.jsonl: watch/vmim, migrate/outcome, drain/migrated, hypervisor/downtime", "samples.parquet"),
        parts=(*summary.parts, *_groups(judged)),
    )


def _judged(evidence: Evidence) -> list[_Judged]:
    readings = _Readings(evidence)
    found: list[_Judged] = []
    for migration in migrations(evidence):
        wanted = _wanted(evidence, migration)
        first = all(one.migration.vm != migration.vm for one in found if one.migration.phase == SUCCEEDED)
        found.append(_Judged(migration, wanted, first, _part(evidence, readings, migration, wanted)))
    return found


def _wanted(evidence: Evidence, migration: Migration) -> str:
    """In which phase a migration had to end; one that nobody spoke of has to succeed."""
    for fault in evidence.faults:
        reach = Span(fault.span.begin, evidence.settled(fault))
        if migration.vm in fault.expects.moved and (migration.span.begin in reach or migration.span.overlaps(reach)):
            return fault.expects.moved[migration.vm]
    return SUCCEEDED


def _part(evidence: Evidence, readings: _Readings, migration: Migration, wanted: str) -> Part:
    verdict, reason = _verdict(migration, wanted)
    return Part(
        object=f"{migration.vm} / {migration.vmim}",
        verdict=verdict,
        reason=reason,
        at=evidence.at(migration.span.end),
        facts={
            "from": migration.source, "to": migration.target, "mode": migration.mode, "expected": wanted,
            **_phases(migration), **_figures(evidence, migration), **_clients(evidence, readings, migration),
        },
    )


def _verdict(migration: Migration, wanted: str) -> tuple[Verdict, str]:
    way = f"{migration.source or '?'} to {migration.target or '?'}"
    if migration.phase not in FINAL:
        seen = f"it was last seen in phase {migration.phase}" if migration.phase else "it was never watched"
        return Verdict.UNKNOWN, f"how the migration {way} ended is not known: {seen}"
    why = migration.failure or "no reason given"
    if migration.phase == wanted == SUCCEEDED:
        mode = f", {migration.mode}" if migration.mode else ""
        return Verdict.PASS, f"{way} in {migration.span.seconds:.1f} s{mode}"
    if migration.phase == wanted:
        return Verdict.PASS, f"failed as it was expected to: {why}"
    if wanted == FAILED:
        return Verdict.FAIL, f"{way} was expected to fail, and succeeded"
    return Verdict.FAIL, f"the migration {way} failed: {why}"


def _missing(evidence: Evidence, judged: list[_Judged]) -> list[Part]:
    """The machines that a fault had to move, and of which no migration was seen then."""
    parts = []
    for fault in evidence.faults:
        reach = Span(fault.span.begin, evidence.settled(fault))
        seen = {one.migration.vm for one in judged if one.migration.span.begin in reach}
        for vm in fault.expects.moved:
            if vm not in seen:
                reason = f"{fault.phase} had to migrate it, and no migration of it was seen"
                parts.append(Part(object=vm, verdict=Verdict.UNKNOWN, reason=reason))
    return parts


def _phases(migration: Migration) -> Facts:
    return {f"{phase.lower()}_s": seconds for phase, seconds in migration.phases}


def _figures(evidence: Evidence, migration: Migration) -> Facts:
    """What the hypervisor says of it, to who made it or in the line about its downtime."""
    told = [event.data for event in evidence.of_kind("hypervisor", "downtime") if about(event, migration)]
    source = migration.figures or (told[-1] if told else {})
    facts: dict[str, float | str | None] = {
        "total_s": float(source["total_ms"]) / 1e3 if source.get("total_ms") is not None else None,
        "downtime_ms": downtime(source),
    }
    for name, shown, unit in FIGURES:
        if source.get(name) is not None:
            facts[shown] = float(source[name]) / unit
    if source.get("policy"):
        facts["policy"] = str(source["policy"])
    return facts


class _Readings:
    """The stopwatch's readings of a case, each made once; None where a stream cannot be judged."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self.of = cache(self._read)

    def _read(self, stream: Stream) -> Reading | None:
        try:
            return stopwatch(self._evidence).read(stream, self._evidence.window.span)
        except MissingEvidenceError:
            return None


def _clients(evidence: Evidence, readings: _Readings, migration: Migration) -> Facts:
    """What clients of the machine noticed meanwhile: the longest gap between answers, and the longest outage."""
    if evidence.kind == STORAGE:
        return {}
    span = migration.span.widened(AROUND_SECONDS).within(evidence.window.span)
    facts: dict[str, float | str | None] = {}
    for kind in REQUESTS:
        samples = evidence.samples.get(f"{kind}/{migration.vm}")
        if samples is not None and len(samples):
            facts[f"{kind}_gap_s"] = longest(samples, span)
    for kind in PROBES:
        if reading := readings.of(Stream(kind, migration.vm)):
            outages = [one for one in reading.finding.outages if one.begin_lo <= span.end and span.begin <= one.end_hi]
            facts[f"{kind}_outage_ms"] = max((one.mid_ns / 1e6 for one in outages), default=0.0)
    return facts


def _groups(judged: list[_Judged]) -> Iterable[Part]:
    """First and later successes apart: under emulation a guest that moves anew translates its code anew."""
    for name, first in (("first migrations of a machine", True), ("later migrations", False)):
        group = [one for one in judged if one.first is first and one.migration.phase == SUCCEEDED]
        if group:
            downtimes = [ms for one in group if isinstance(ms := one.part.facts.get("downtime_ms"), float)]
            slowest = max(one.migration.span.seconds for one in group)
            told = f", paused for {max(downtimes):.0f} ms at most" if downtimes else ""
            facts: Facts = {"migrations": len(group), "slowest_s": slowest, "downtime_ms": max(downtimes, default=None)}
            reason = f"{len(group)} succeeded, the slowest in {slowest:.1f} s{told}"
            yield Part(object=name, verdict=Verdict.PASS, reason=reason, facts=facts)


def _sentence(judged: list[_Judged]) -> str:
    failed = sum(one.migration.phase == FAILED for one in judged)
    told = f", {failed} of them failed as they had to" if failed else ""
    return f"{len(judged)} migrations ended as expected{told}; {_bound(judged)}"


def _bound(judged: list[_Judged]) -> str:
    """What so few migrations can say about the next."""
    tried = [one for one in judged if one.wanted == SUCCEEDED and one.migration.phase in FINAL]
    failures = sum(one.migration.phase == FAILED for one in tried)
    share = failure_rate(failures, len(tried))
    return f"{failures} of {len(tried)} failed that had to succeed, so at most {share:.1%} do ({CONFIDENCE:.0%} bound)"


def _detection(judged: list[_Judged]) -> str:
    return f"so few migrations bound the rate of failure, they do not exclude it: {_bound(judged)}"
