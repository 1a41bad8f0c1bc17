"""A stream on a schedule, judged: its failed operations and its gaps, against its limit and what faults allow it."""

from __future__ import annotations

from dataclasses import dataclass

from drainproof.record import Samples
from reports.evidence import Evidence
from reports.operations import failures, figures, overlapping, weaknesses, without
from reports.spans import Span, covered_seconds, outside, union
from reports.streams import blind_seconds, gap_limit, judged_gaps, period, stalls, started_in
from reports.verdict import Part, Verdict, worst


@dataclass(frozen=True, slots=True)
class Allowance:
    """What faults allow one stream."""

    excused: tuple[Span, ...] = ()
    """When it may be silent and fail: its target was taken away. Disjoint, in order."""
    eased: tuple[Span, ...] = ()
    """When others have to take over, so that its gaps may last for `eased_limit`."""
    eased_limit: float = 0.0
    forgiven: tuple[Span, ...] = ()
    """When an operation that fails is not held against it here."""


@dataclass(frozen=True, slots=True)
class _Silence:
    """A gap, without what was excused of it, beside the limit that holds for it."""

    span: Span
    seconds: float
    stalled: float
    limit: float

    @property
    def over(self) -> float:
        """By how many seconds it is longer than allowed."""
        return self.seconds - self.limit

    @property
    def accusable(self) -> float:
        """By how many seconds the service is silent for too long, the observer's own stalls taken off."""
        return self.seconds - self.stalled - self.limit


def timed(evidence: Evidence, samples: Samples | None, stream: str, allowed: Allowance = Allowance()) -> Part:
    """The verdict about one stream, by its failed operations, its gaps, and whether its observer proves enough."""
    window = evidence.window.span
    if samples is None or not len(sent := started_in(samples, window)):
        return Part(object=stream, verdict=Verdict.UNKNOWN, reason="the record has no sample of this stream")
    own_stalls = outside(stalls(evidence, stream), allowed.excused)
    found = _silences(evidence, samples, own_stalls, allowed)
    counted = without(sent, overlapping(sent, [*allowed.excused, *allowed.forgiven]))
    verdict, reason = failures(evidence, counted, own_stalls)
    judged: list[tuple[Verdict, str]] = [(verdict, reason)] if verdict is not Verdict.PASS else []
    decisive, told = _too_long(evidence, found)
    judged += told
    judged += [(Verdict.UNKNOWN, trouble) for trouble in weaknesses(evidence, sent, own_stalls, allowed.excused)]
    decided = worst(verdict for verdict, _ in judged) if judged else Verdict.PASS
    reasons = "; ".join(reason for verdict, reason in judged if verdict is decided)
    every = period(evidence, stream)
    return Part(
        object=stream,
        verdict=decided,
        measured=decisive.seconds,
        reason=reasons or _good(sent, allowed),
        at=evidence.at(decisive.span.begin),
        facts={
            "limit_s": decisive.limit,
            "detection_limit_s": blind_seconds(samples, every, window),
            "period_s": every,
            "stalled_s": sum(stall.seconds for stall in own_stalls),
            **figures(sent),
            "hidden_at_most_s": window.seconds * min(1.0, 3 / len(sent)),
        },
    )


def _silences(evidence: Evidence, samples: Samples, own_stalls: list[Span], allowed: Allowance) -> list[_Silence]:
    """The gaps that could be too long, the longest first."""
    limit = gap_limit(evidence, samples.stream)
    at_least = 0.0 if allowed.excused or allowed.eased else limit
    found = []
    for gap in judged_gaps(samples, evidence.window.span, own_stalls, at_least):
        eased = any(span.overlaps(gap.span) for span in allowed.eased)
        seconds = gap.seconds - covered_seconds(gap.span, allowed.excused)
        found.append(_Silence(gap.span, seconds, gap.stalled, max(limit, allowed.eased_limit) if eased else limit))
    return found


def _too_long(evidence: Evidence, found: list[_Silence]) -> tuple[_Silence, list[tuple[Verdict, str]]]:
    """The gap that decides, and what it decides."""
    accused = max(found, key=lambda silence: silence.accusable)
    longest = max(found, key=lambda silence: silence.over)
    if accused.accusable > 0:
        told = f"silent for {accused.seconds:.3f} s from {evidence.at(accused.span.begin)} on"
        return accused, [(Verdict.FAIL, told)]
    if longest.over > 0:
        silent = f"silent for {longest.seconds:.3f} s from {evidence.at(longest.span.begin)} on"
        told = f"{silent}, but its observer stalled for {longest.stalled:.3f} s of it"
        return longest, [(Verdict.UNKNOWN, told)]
    return max(found, key=lambda silence: silence.seconds / silence.limit), []


def _good(sent: Samples, allowed: Allowance) -> str:
    failed = int(figures(sent)["failed"])
    if not failed:
        return f"{len(sent)} operations, none failed"
    away = sum(span.seconds for span in union((*allowed.excused, *allowed.forgiven)))
    return f"{len(sent)} operations; {failed} failed, all in the {away:.1f} s in which faults allow it"
