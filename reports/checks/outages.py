"""The stopwatch's claims: on each of its streams no outage was longer than the limit, and what could have hidden."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from drainproof.streams import HEARTBEAT, OUTSIDE, TCP_KEPT, TCP_NEW, UDP, VIRTUAL_IP, Stream
from reports.evidence import Evidence
from reports.migrations import migrations
from reports.outages.bounds import failure_rate, hidden_share
from reports.outages.outage import Outage
from reports.outages.reading import SOURCE, Reading, Stopwatch
from reports.verdict import Claim, Facts, MissingEvidenceError, Part, Verdict, sum_up

ENOUGH = 0.5
"""A stream with a smaller share of its planned probes is not the instrument that the certificate speaks of."""
LISTED = 5
"""How many outages of a stream a part lists."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One kind of probe, as the certificate speaks of it."""

    kind: str
    sentence: str
    detection: str


PROBES = (
    Probe(UDP, "No echo over UDP was missing for longer than the limit",
          "two periods, or two deadlines if those are longer; what is shorter may be missed"),
    Probe(HEARTBEAT, "No guest's own heartbeat was missing for longer than the limit",
          "one period and a half and the slack of its rhythm"),
    Probe(TCP_KEPT, "No kept TCP connection stalled for longer than the limit",
          "a stall includes TCP's wait until it sends again: 0.2 s and doubling"),
    Probe(TCP_NEW, "New TCP connections were never refused or delayed for longer than the limit",
          "one random moment in each slot: two slots apart at most, twice"),
)


def check_of(probe: Probe) -> Callable[[Evidence], Claim]:
    """The check of one kind of probe."""
    return lambda evidence: _check(evidence, probe)


def looked_at(probe: Probe) -> Callable[[Evidence], bool]:
    """Whether a kind of probe belongs to the certificate: where none can be kept there are only new connections."""
    return lambda evidence: probe.kind == TCP_NEW or not evidence.load.only_opens


def kinds(evidence: Evidence | None = None) -> list[str]:
    """The kinds of streams that the stopwatch judges by itself; of a case, those that it looked at."""
    return [probe.kind for probe in PROBES if evidence is None or looked_at(probe)(evidence)]


def claim_id(probe: Probe) -> str:
    return f"outage.{probe.kind}"


def stopwatch(evidence: Evidence) -> Stopwatch:
    """The stopwatch's part of the evidence; what it has read it reads once for all checks."""
    return evidence.once(
        SOURCE, lambda: Stopwatch(evidence.samples, evidence.events, evidence.load, evidence.window.baseline)
    )


def expected(evidence: Evidence, kind: str) -> list[Stream]:
    """The streams of a kind that must exist: from the clients to each machine, and from wherever else was looked."""
    targets = [vm.name for vm in evidence.vms] + ([VIRTUAL_IP] if kind == TCP_NEW else [])
    started = [event.data.get("streams") or () for event in evidence.of_kind(SOURCE, "start")]
    told = {Stream.of(str(name)) for names in started for name in names}
    outside = {Stream(kind, target) for target in targets}
    return sorted(outside | {stream for stream in told if stream.kind == kind}, key=lambda one: (one.vantage, one))


def _check(evidence: Evidence, probe: Probe) -> Claim:
    streams = expected(evidence, probe.kind)
    watch = stopwatch(evidence)
    read = [_reading(evidence, watch, stream) for stream in streams]
    parts = [part for part, _ in read]
    readings = [reading for _, reading in read if reading is not None]
    summary = sum_up(parts, lambda _: _good(evidence, readings), evidence.window.incomplete)
    return Claim(
        id=claim_id(probe),
        title=probe.sentence,
        verdict=summary.verdict,
        measured=max((part.measured for part in parts if part.measured is not None), default=None),
        limit=evidence.limits.outage_seconds,
        unit="s, longest possible outage",
        detection_limit=max((reading.detection_ns / 1e9 for reading in readings), default=None),
        detection=probe.detection,
        reason=summary.reason,
        evidence=("samples.parquet", "events.jsonl: stopwatch"),
        hint=_hint(summary.verdict),
        parts=summary.parts,
    )


def _hint(verdict: Verdict) -> str:
    if verdict is not Verdict.UNKNOWN:
        return ""
    return "Give the clients a processor of their own, or look into the stopwatch's log, and measure again."


def _reading(evidence: Evidence, watch: Stopwatch, stream: Stream) -> tuple[Part, Reading | None]:
    try:
        reading = watch.read(stream, evidence.window.span)
    except MissingEvidenceError as error:
        return Part(object=stream.name, verdict=Verdict.UNKNOWN, reason=str(error)), None
    return _part(evidence, reading), reading


def _part(evidence: Evidence, reading: Reading) -> Part:
    worst, limit = reading.worst, evidence.limits.outage_seconds
    verdict, reason = _verdict(evidence, reading, limit)
    longest = max(worst.hi_ns if worst else 0, reading.finding.longest_gap_ns) / 1e9
    return Part(
        object=reading.stream.name,
        verdict=verdict,
        reason=reason or _told(evidence, reading),
        measured=longest,
        at=evidence.at(worst.begin_lo) if worst else "",
        facts=_facts(evidence, reading),
    )


def _verdict(evidence: Evidence, reading: Reading, limit: float) -> tuple[Verdict, str]:
    """Whether the stream stayed within the limit; certain failure first, then every reason not to know."""
    finding, seconds = reading.finding, evidence.window.span.seconds
    longest = max(finding.outages, key=lambda outage: outage.lo_ns, default=None)
    if longest is not None and longest.lo_ns > limit * 1e9:
        return Verdict.FAIL, f"down for {interval(longest)} from {evidence.at(longest.begin_hi)} on"
    void = reading.void_ns / 1e9 / seconds if seconds else 1.0
    if void > evidence.limits.void_share:
        return Verdict.UNKNOWN, f"the stopwatch itself was away for {100 * void:.1f} % of the window"
    if finding.longest_gap_ns > limit * 1e9:
        gap = finding.longest_gap_ns / 1e9
        return Verdict.UNKNOWN, f"for {gap:.3f} s nothing was answered that could have accused or acquitted the service"
    planned = seconds * evidence.load.stopwatch_rate(reading.stream)
    if finding.probes < ENOUGH * planned:
        return Verdict.UNKNOWN, f"only {finding.probes} of {planned:.0f} planned probes are in the window"
    worst = reading.worst
    if worst is not None and worst.hi_ns > limit * 1e9:
        return Verdict.UNKNOWN, f"down for {interval(worst)}, which the limit of {limit:g} s lies in"
    return Verdict.PASS, ""


def _told(evidence: Evidence, reading: Reading) -> str:
    finding = reading.finding
    hidden = 1000 * hidden_share(finding.good) * evidence.window.span.seconds
    rest = f"none hid that was longer than {finding.longest_gap_ns / 1e6:.1f} ms, nor {hidden:.1f} ms in all (95 %)"
    if reading.worst is None:
        return f"no outage of {reading.detection_ns / 1e6:.1f} ms or more; {rest}"
    return f"{len(finding.outages)} outages, the longest {interval(reading.worst)}; {rest}"


def interval(outage: Outage) -> str:
    return f"{outage.lo_ns / 1e6:.1f} to {outage.hi_ns / 1e6:.1f} ms (likely {outage.mid_ns / 1e6:.1f})"


def _facts(evidence: Evidence, reading: Reading) -> Facts:
    finding = reading.finding
    longest = sorted(finding.outages, key=lambda outage: -outage.hi_ns)[:LISTED]
    listed = "; ".join(f"{evidence.at(one.begin_lo)} {interval(one)}{_kind(one)}" for one in longest)
    return {
        "probes": finding.probes,
        "lost": finding.lost,
        "late": finding.late,
        "neutral": finding.neutral,
        "outages": len(finding.outages),
        "longest": listed,
        "void_ms": reading.void_ns / 1e6,
        "detection_ms": reading.detection_ns / 1e6,
        "longest_gap_ms": finding.longest_gap_ns / 1e6,
        "hidden_95_ms": 1000 * hidden_share(finding.good) * evidence.window.span.seconds,
    }


def _kind(outage: Outage) -> str:
    frozen = f", guest's clock stood for {outage.frozen_ns / 1e6:.1f} ms" if outage.frozen_ns is not None else ""
    return (" held" if outage.held else f" {outage.lost} lost" if outage.lost else "") + frozen


def _good(evidence: Evidence, readings: list[Reading]) -> str:
    """What all streams together say, never a bare zero."""
    seen = sum(len(reading.finding.outages) for reading in readings)
    moved = len(migrations(evidence))
    fine = max((reading.detection_ns for reading in readings), default=0) / 1e6
    outside = [one for reading in readings if reading.stream.vantage == OUTSIDE for one in reading.finding.outages]
    worst = max(outside, key=lambda outage: outage.hi_ns, default=None)
    told = f"the longest for clients {interval(worst)}" if worst else "none for clients"
    if not seen:
        rate = f"so at most {100 * failure_rate(0, moved):.0f} % of migrations have one (95 %, n = {moved})"
        return f"none of {fine:.1f} ms or more on {len(readings)} streams, {rate}"
    outages = "1 outage" if seen == 1 else f"{seen} outages"
    return f"{outages} on {len(readings)} streams, {told}; every one of {fine:.1f} ms or more was seen"
