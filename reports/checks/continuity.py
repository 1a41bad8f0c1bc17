"""Claim 3: no request of any stream failed, and no stream was silent for longer than its limit."""

from __future__ import annotations

import numpy as np

from drainproof.record import Outcome, Samples
from reports.completeness import complete
from reports.evidence import Evidence
from reports.operations import damage, failures, figures, without
from reports.streams import CLINIC, OBSERVERS, kind_of, kinds_of, reported_stalls, started_in, timed_streams
from reports.timed import timed
from reports.verdict import Claim, Facts, Part, Verdict, sum_up

ID = "continuity.requests"
TITLE = "No request of any stream failed, and the longest gap of each stream stayed within its limit"
CLINIC_PAUSE_SECONDS = 15.0
"""Clinic staff who do nothing for longer were not at work: longer than their timeout and think time together."""


def check(evidence: Evidence) -> Claim:
    """Judge each stream by itself; the claim's measured value is the worst longest gap."""
    samples = evidence.samples
    clinic = sorted(stream for stream in samples if kind_of(stream) == CLINIC)
    parts = [timed(evidence, samples.get(stream), stream) for stream in timed_streams(evidence)]
    parts += [_clinic(evidence, samples[stream]) for stream in clinic]
    parts += [complete(evidence, observer, kinds_of(observer)) for observer in sorted(set(OBSERVERS.values()))]
    parts.append(clinic_at_work(evidence, [samples[stream] for stream in clinic]))
    summary = sum_up(parts, lambda parts: _good(evidence, parts), evidence.window.incomplete or damage(evidence))
    gaps = [part for part in parts if part.measured is not None]
    worst_part = max(gaps, key=lambda part: (part.measured or 0) / _limit(part), default=None)
    return Claim(
        id=ID,
        title=TITLE,
        verdict=summary.verdict,
        measured=worst_part.measured if worst_part else None,
        limit=_limit(worst_part) if worst_part else None,
        unit="s, longest gap",
        detection_limit=max((_fact(part, "detection_limit_s") for part in gaps), default=None),
        detection="the longest time between two looks of an observer that were on time, over all streams",
        reason=summary.reason,
        evidence=("samples.parquet", "events.jsonl: run/phase, */stall, */failure, */stop, observer/ended"),
        hint=_hint(summary.verdict),
        parts=summary.parts,
    )


def _hint(verdict: Verdict) -> str:
    return {
        Verdict.PASS: "",
        Verdict.FAIL: "Compare the moment with the migrations and the hypervisor's downtime.",
        Verdict.UNKNOWN: "Give the observers more processor time, or repeat the run.",
    }[verdict]


def _good(evidence: Evidence, parts: tuple[Part, ...]) -> str:
    operations = sum(int(_fact(part, "samples")) for part in parts)
    streams = sum("samples" in part.facts for part in parts)
    return f"none of {operations} operations on {streams} streams failed in {evidence.window.span.seconds:.1f} s"


def _clinic(evidence: Evidence, samples: Samples) -> Part:
    """Clinic staff think between requests: their failures count, their pauses do not."""
    sent = started_in(samples, evidence.window.span)
    ended = without(sent, sent.outcome == Outcome.INDETERMINATE)  # they were under way when the clinic was stopped
    own_stalls = reported_stalls(evidence, OBSERVERS[CLINIC])
    verdict, reason = failures(evidence, ended, own_stalls)
    told: Facts = figures(ended) if len(ended) else {"samples": 0, "failed": 0}
    return Part(
        object=samples.stream,
        verdict=verdict,
        reason=reason or f"{len(ended)} operations, none failed",
        facts={**told, "left_open": len(sent) - len(ended)},
    )


def clinic_at_work(evidence: Evidence, streams: list[Samples]) -> Part:
    """Whether the clinic staff were at work throughout, all their requests together."""
    window = evidence.window.span
    starts = np.sort(np.concatenate([np.zeros(0, np.int64), *(started_in(one, window).start_ns for one in streams)]))
    ends = np.concatenate(([window.begin], starts, [window.end]))
    pause = float(np.diff(ends).max()) / 1e9
    moment = evidence.at(int(ends[int(np.diff(ends).argmax())]))
    if not len(starts):
        return Part(object=CLINIC, verdict=Verdict.UNKNOWN, reason="the record has no request of clinic staff")
    if pause > CLINIC_PAUSE_SECONDS:
        reason = f"clinic staff sent nothing for {pause:.1f} s from {moment} on"
        return Part(object=CLINIC, verdict=Verdict.UNKNOWN, reason=reason, at=moment)
    return Part(object=CLINIC, verdict=Verdict.PASS, reason=f"at work throughout; longest pause {pause:.1f} s")


def _fact(part: Part, name: str) -> float:
    return _number(part.facts, name)


def _limit(part: Part) -> float:
    return _number(part.facts, "limit_s")


def _number(facts: Facts, name: str) -> float:
    value = facts.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
