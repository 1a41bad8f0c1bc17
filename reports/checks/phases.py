"""The phases of each migration's downtime on one clock: the guest's pause, the network, TCP, the application."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from drainproof.record import Event, Outcome
from drainproof.streams import HEARTBEAT, HTTP_NEW, HTTP_REUSED, TCP_KEPT, TCP_NEW, UDP, Stream
from reports.checks.hypervisor import about, downtime
from reports.checks.outages import stopwatch
from reports.evidence import Evidence
from reports.migrations import Migration, migrations
from reports.outages.outage import Outage
from reports.outages.reading import SOURCE, Reading
from reports.spans import Span
from reports.verdict import Claim, Facts, MissingEvidenceError, Part, Verdict, sum_up

ID = "downtime.phases"
TITLE = "What clients lost in each migration is explained by its phases"
SLACK_NS = 2_000_000
"""What clients lose may be shorter than the pause by so much: two hosts' instants of one event differ."""
AROUND_SECONDS = 10.0
"""How long after a migration its consequences are looked for."""
SLOW_FACTOR = 2.0
"""An answer slower than so many times the baseline's 99th percentile belongs to the brownout."""
FRAMES = (UDP, HEARTBEAT, TCP_KEPT, TCP_NEW)
"""The streams whose first answer shows that the guest is reached again."""


@dataclass(frozen=True, slots=True)
class Pause:
    """How long the hypervisor held the guest; where it was on the clock, if the record tells."""

    length_ns: int
    span: Span | None


class _Readings:
    """The stopwatch's readings of a case, each made once."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._watch = stopwatch(evidence)
        self.of = cache(self._read)

    def _read(self, stream: Stream) -> Reading | None:
        try:
            return self._watch.read(stream, self._evidence.window.span)
        except MissingEvidenceError:
            return None

    def outage(self, stream: Stream, span: Span) -> Outage | None:
        """The longest outage of a stream that overlaps a span."""
        reading = self.of(stream)
        found = [
            one for one in (reading.finding.outages if reading else ())
            if one.begin_lo <= span.end and span.begin <= one.end_hi
        ]
        return max(found, key=lambda one: one.mid_ns, default=None)


def check(evidence: Evidence) -> Claim:
    """Lay the phases of each migration beside what the stopwatch saw; only a contradiction makes it unknown."""
    readings = _Readings(evidence)
    moved = [one for one in migrations(evidence) if one.phase != "Failed"]
    parts = [_part(evidence, readings, migration) for migration in moved]
    if not parts:
        raise MissingEvidenceError("the record has no migration whose downtime could be told")
    totals = [part.measured for part in parts if part.measured is not None]
    good = f"{len(parts)} migrations, clients lost at most {max(totals, default=0):.1f} ms in one of them"
    summary = sum_up(parts, lambda _: good, evidence.window.incomplete)
    return Claim(
        id=ID,
        title=TITLE,
        verdict=summary.verdict,
        measured=max(totals, default=None),
        bound="",
        unit="ms, what clients lost in one migration",
        detection="phases shorter than the error that is stated beside them are not told apart",
        reason=summary.reason,
        evidence=("events.jsonl: hypervisor/downtime, stopwatch/tcp-stall", "samples.parquet"),
        parts=summary.parts,
    )


def _part(evidence: Evidence, readings: _Readings, migration: Migration) -> Part:
    name = f"{migration.vm} / {migration.vmim}"
    primary = Stream(TCP_NEW if evidence.load.only_opens else UDP, migration.vm)
    pause, reading = _pause(evidence, migration), readings.of(primary)
    if pause is None:
        reason = "the hypervisor did not tell how long the guest paused"
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=reason)
    if reading is None:
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=f"what {primary.name} saw cannot be judged")
    around = pause.span or migration.span
    outage = readings.outage(primary, around)
    facts = _facts(evidence, readings, migration, pause, outage, reading.typical_ns)
    verdict, reason = _verdict(pause, outage, reading)
    measured = outage.mid_ns / 1e6 if outage else None
    told = reason or _sentence(facts)
    return Part(object=name, verdict=verdict, reason=told, measured=measured, at=evidence.at(around.begin), facts=facts)


def _pause(evidence: Evidence, migration: Migration) -> Pause | None:
    told = [event for event in evidence.of_kind("hypervisor", "downtime") if about(event, migration)]
    if not told:
        return None
    data = told[-1].data
    if data.get("stop_ns") and data.get("resume_ns"):
        span = Span(int(data["stop_ns"]), int(data["resume_ns"]))
        return Pause(span.end - span.begin, span) if span.end > span.begin else None
    milliseconds = downtime(data)
    return None if milliseconds is None else Pause(round(milliseconds * 1e6), None)


def _verdict(pause: Pause, outage: Outage | None, reading: Reading) -> tuple[Verdict, str]:
    """A guest that does not run cannot answer: a blackout shorter than the pause contradicts it."""
    if outage is None and pause.length_ns > reading.detection_ns + SLACK_NS:
        reason = f"the guest paused for {pause.length_ns / 1e6:.1f} ms, yet {reading.stream.name} shows no outage then"
        return Verdict.UNKNOWN, reason
    if outage is not None and outage.hi_ns < pause.length_ns - SLACK_NS:
        reason = (
            f"the guest paused for {pause.length_ns / 1e6:.1f} ms, yet {reading.stream.name} was down for "
            f"{outage.hi_ns / 1e6:.1f} ms at most"
        )
        return Verdict.UNKNOWN, reason
    return Verdict.PASS, ""


def _facts(
    evidence: Evidence, readings: _Readings, migration: Migration, pause: Pause, outage: Outage | None, trip_ns: int
) -> Facts:
    facts: dict[str, float | str | None] = {"pause_ms": pause.length_ns / 1e6}
    if outage is None:
        return {**facts, "client_ms": None}
    facts |= {
        "client_ms": outage.mid_ns / 1e6, "client_lo_ms": outage.lo_ns / 1e6, "client_hi_ms": outage.hi_ns / 1e6,
    }
    if pause.span is None:
        return {**facts, "unexplained_ms": (outage.mid_ns - pause.length_ns) / 1e6, "error_ms": _error(outage)}
    after = Span(pause.span.end, pause.span.end).widened(AROUND_SECONDS)
    frame = _first(evidence, migration.vm, FRAMES, pause.span.end, after.end)
    begin = (outage.begin_lo + outage.begin_hi) // 2
    before, network = max(0, pause.span.begin - begin), max(0, (frame or 0) - trip_ns - pause.span.end)
    facts |= {
        "before_pause_ms": before / 1e6,
        "network_ms": network / 1e6 if frame else None,
        "unexplained_ms": (outage.mid_ns - before - pause.length_ns - network) / 1e6,
        "error_ms": _error(outage),
    }
    return {**facts, **_later(evidence, readings, migration, Span(pause.span.begin, frame or pause.span.end))}


def _later(evidence: Evidence, readings: _Readings, migration: Migration, dark: Span) -> Facts:
    """What followed once the guest was reached again: TCP's own wait, the application, and slow answers."""
    facts: dict[str, float | str | None] = {}
    kept = Stream(TCP_KEPT, migration.vm)
    stall = readings.outage(kept, dark)
    if stall is not None:
        facts["tcp_recovery_ms"] = max(0, stall.end_hi - dark.end) / 1e6
        facts["tcp_ladder"] = _ladder(evidence.of_kind(SOURCE, "tcp-stall", kept.name), dark)
    until = dark.end + int(AROUND_SECONDS * 1e9)
    answered = _first(evidence, migration.vm, (HTTP_NEW,), dark.end, until)
    facts["application_ms"] = (answered - dark.end) / 1e6 if answered else None
    facts["brownout_ms"] = _brownout(evidence, Stream(HTTP_REUSED, migration.vm), Span(dark.end, until))
    return facts


def _first(evidence: Evidence, vm: str, kinds: tuple[str, ...], begin: int, end: int) -> int | None:
    """The first answer from a machine in a span, on any of some streams from where the clients are."""
    found = []
    for kind in kinds:
        name = Stream(kind, vm).name
        if name in evidence.samples:
            for chunk in evidence.samples.chunks(name, ("start_ns", "end_ns", "outcome")):
                answered = (chunk["outcome"] == Outcome.OK) | (chunk["outcome"] == Outcome.LATE)
                inside = chunk["end_ns"][answered & (chunk["end_ns"] > begin) & (chunk["end_ns"] <= end)]
                found += [int(inside.min())] if len(inside) else []
    return min(found, default=None)


def _ladder(stalls: list[Event], dark: Span) -> str:
    """What TCP itself says of the stall: its steps double from the first retransmission time-out on."""
    for event in stalls:
        begin, end = int(event.data["start_ns"]), int(event.data["end_ns"])
        if begin <= dark.end and dark.begin <= end:
            rto, steps = float(event.data.get("rto_us") or 0) / 1000, event.data.get("retransmits")
            return f"stalled for {(end - begin) / 1e6:.0f} ms, retransmits {steps}, next after {rto:.0f} ms"
    return "no stall reported"


def _brownout(evidence: Evidence, stream: Stream, span: Span) -> float | None:
    """Until when answers were slow after a migration, in ms from the guest's return."""
    samples = evidence.samples.get(stream.name)
    if samples is None:
        return None
    good = samples.outcome == Outcome.OK
    taken = samples.end_ns - samples.start_ns
    baseline = evidence.window.baseline
    quiet = good & (samples.start_ns >= baseline.begin) & (samples.end_ns <= baseline.end)
    if not quiet.any():
        return None
    limit = SLOW_FACTOR * float(np.percentile(taken[quiet], 99))
    slow = samples.end_ns[(samples.end_ns > span.begin) & (samples.start_ns < span.end) & (taken > limit)]
    return max(0.0, float(slow.max() - span.begin) / 1e6) if len(slow) else 0.0


def _error(outage: Outage) -> float:
    return (outage.hi_ns - outage.lo_ns) / 2e6


def _sentence(facts: Facts) -> str:
    if facts.get("client_ms") is None:
        return f"the guest paused for {facts['pause_ms']:.1f} ms, too short for the stopwatch to see"
    told = f"clients lost {facts['client_ms']:.1f} ms"
    phases = (("pause", "pause_ms"), ("before it", "before_pause_ms"), ("network", "network_ms"),
              ("unexplained", "unexplained_ms"))
    listed = [f"{name} {facts[key]:.1f}" for name, key in phases if isinstance(facts.get(key), float)]
    return f"{told}: {', '.join(listed)} ms (error {facts['error_ms']:.1f} ms)"
