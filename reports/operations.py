"""What the operations of a client stream tell: which failed, how long they took, and whether they prove enough."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from drainproof.record import Outcome, Samples
from reports.evidence import Evidence
from reports.spans import Span, covered_seconds
from reports.streams import OBSERVERS, SQL, kind_of, period, started_in
from reports.verdict import Verdict

ENOUGH = 0.5
"""A stream with a smaller share of its nominal operations proves too little."""


def failures(evidence: Evidence, sent: Samples, own_stalls: list[Span]) -> tuple[Verdict, str]:
    """Failed operations: they accuse unless the observer stalled while they lasted."""
    failed = np.flatnonzero(sent.outcome != Outcome.OK)
    if not len(failed):
        return Verdict.PASS, ""
    spans = [Span(int(sent.start_ns[row]), int(sent.end_ns[row])) for row in failed]
    excused = [any(span.overlaps(stall) for stall in own_stalls) for span in spans]
    accusing = [int(row) for row, stalled in zip(failed, excused, strict=True) if not stalled]
    first = accusing[0] if accusing else int(failed[0])
    outcome = Outcome(int(sent.outcome[first])).name
    moment = evidence.at(int(sent.start_ns[first]))
    why = _told(evidence, sent.stream, Span(int(sent.start_ns[first]), int(sent.end_ns[first])))
    if accusing:
        return Verdict.FAIL, f"{len(accusing)} of {len(sent)} operations failed, first at {moment}: {outcome}{why}"
    excuse = f"{len(failed)} operations failed while their observer stalled"
    return Verdict.UNKNOWN, f"{excuse}, first at {moment}: {outcome}{why}"


def _told(evidence: Evidence, stream: str, span: Span) -> str:
    """What the observer said about a failed operation, if it did."""
    for event in evidence.of_kind(OBSERVERS[kind_of(stream)], "failure", stream):
        if event.t_ns in span.widened(0.05) and event.data.get("reason"):
            return f" ({event.data['reason']})"
    return ""


def weaknesses(
    evidence: Evidence, sent: Samples, own_stalls: list[Span], excused: Sequence[Span] = ()
) -> list[str]:
    """Why a stream without fault would still prove too little; what it did while it was excused proves nothing."""
    window, baseline = evidence.window.span, evidence.window.baseline
    found = []
    allowed = evidence.limits.observer_stall_seconds
    longest = max(own_stalls, key=lambda stall: stall.seconds, default=None)
    if longest and longest.seconds > allowed:
        stalled = f"its observer stalled for {longest.seconds:.3f} s at {evidence.at(longest.begin)}"
        found.append(f"{stalled}; more than {allowed:g} s proves nothing")
    counted = without(sent, overlapping(sent, excused))
    seconds = window.seconds - covered_seconds(window, excused)
    share = len(counted) / max(1.0, _nominal(evidence, counted, seconds))
    if share < ENOUGH:
        found.append(f"only {len(counted)} operations, {share:.0%} of what its rate promises")
    steady = started_in(sent, baseline)
    if not (steady.outcome == Outcome.OK).any():
        found.append("no success in the baseline: it was never seen steady")
    return found


def _nominal(evidence: Evidence, sent: Samples, seconds: float) -> float:
    """How many operations the rate promises; a writer that waits for a slow answer owes none meanwhile."""
    every = period(evidence, sent.stream)
    if kind_of(sent.stream) == SQL:
        waited = (sent.end_ns - sent.start_ns) / 1e9 - every
        seconds -= float(waited[waited > 0].sum())
    return seconds / every


def without(samples: Samples, rows: npt.NDArray[np.bool_]) -> Samples:
    """The operations of a stream that are not in those rows."""
    columns = ("intended_ns", "start_ns", "end_ns", "outcome", "key")
    return Samples(samples.stream, **{column: getattr(samples, column)[~rows] for column in columns})


def figures(sent: Samples) -> dict[str, float]:
    """Latency from the moment an operation was due, so that waiting for a late observer or service is not forgotten."""
    good = sent.outcome == Outcome.OK
    milliseconds = (sent.end_ns - sent.intended_ns)[good] / 1e6
    quantiles = np.percentile(milliseconds, [50, 99]) if len(milliseconds) else (0.0, 0.0)
    return {
        "samples": len(sent),
        "failed": int((~good).sum()),
        "p50_ms": float(quantiles[0]),
        "p99_ms": float(quantiles[1]),
        "max_ms": float(milliseconds.max()) if len(milliseconds) else 0.0,
    }


def overlapping(samples: Samples, spans: Sequence[Span]) -> npt.NDArray[np.bool_]:
    """Which operations were under way in any of some spans."""
    found = np.zeros(len(samples), np.bool_)
    for span in spans:
        found |= (samples.start_ns < span.end) & (samples.end_ns > span.begin)
    return found


def damage(evidence: Evidence) -> str:
    """Which samples were lost on their way into the record, or empty."""
    damaged = evidence.of_kind("record", "damaged-shard")
    return f"samples are missing: {damaged[0].data.get('reason')}" if damaged else ""
