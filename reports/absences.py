"""What faults took away, and for how long, by the client streams of those who were taken."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from drainproof.record import Outcome, Samples
from reports.evidence import Evidence, Fault
from reports.spans import Span, union
from reports.streams import VIRTUAL_IP, Times, gap_limit, started_in, target_of, timed_streams

STEADY_RUN = 3
"""So many successes in a row, and a stream serves again."""
AFTERSHOCK_SECONDS = 6.0
"""What a fault leaves behind may show itself so long after its end: a member that was silent for about as long as
Galera's suspect timeout of 5 s finds out that it was expelled only when it speaks again."""


@dataclass(frozen=True, slots=True)
class Absence:
    """From the last success before a stream's trouble to the first of three in a row after it."""

    begin: int
    end: int | None
    """None: it never came back in the window."""

    @property
    def seconds(self) -> float | None:
        return None if self.end is None else (self.end - self.begin) / 1e9


def absence(evidence: Evidence, fault: Fault, stream: str) -> Absence | None:
    """When a stream was away because of a fault; None when it has no samples or was never away for long."""
    samples = evidence.samples.get(stream)
    if samples is None or not len(samples):
        return None
    until = evidence.settled(fault)
    bad = _trouble(samples, Span(evidence.window.span.begin, until), gap_limit(evidence, stream))
    latest = fault.span.end + int(AFTERSHOCK_SECONDS * 1e9)
    own = [span for span in _merged(samples, bad) if span.begin <= latest and span.end >= fault.span.begin]
    if not own:
        return None
    end = own[-1].end
    back = int(_answers(samples, Span(end, until)).size) >= STEADY_RUN
    return Absence(max(own[0].begin, fault.span.begin), end if back else None)


def excused(evidence: Evidence, stream: str) -> tuple[Span, ...]:
    """When a stream may be silent: its target was taken away by a fault, or the whole service was."""
    return tuple(
        union(
            Span(fault.span.begin, _end(evidence, fault, [stream]))
            for fault in evidence.faults
            if fault.expects.outage or target_of(stream) in fault.away
        )
    )


def takeovers(evidence: Evidence) -> tuple[Span, ...]:
    """When those who were left had to take over: from each fault that takes someone away until all were back."""
    spans = []
    for fault in evidence.faults:
        if fault.takes_away:
            streams = [name for name in timed_streams(evidence) if _touched(fault, target_of(name))]
            spans.append(Span(fault.span.begin, max(fault.span.end, _end(evidence, fault, streams))))
    return tuple(union(spans))


def _touched(fault: Fault, target: str) -> bool:
    return target in fault.members or (fault.expects.outage and target != VIRTUAL_IP)


def _end(evidence: Evidence, fault: Fault, streams: Iterable[str]) -> int:
    """When the last of some streams was back; one that was never away adds nothing."""
    found = [away for stream in streams if (away := absence(evidence, fault, stream)) is not None]
    ends = [evidence.settled(fault) if away.end is None else away.end for away in found]
    return max(ends, default=fault.span.begin)


def _trouble(samples: Samples, span: Span, limit: float) -> list[Span]:
    """The gaps that are too long, and the moments at which an operation was sent that failed."""
    answers = np.concatenate(([span.begin], np.sort(_answers(samples, span)), [span.end]))
    silent = np.flatnonzero(np.diff(answers) > limit * 1e9)
    sent = started_in(samples, span)
    failed = np.flatnonzero(sent.outcome != Outcome.OK)
    return union(
        [Span(int(answers[row]), int(answers[row + 1])) for row in silent]
        + [Span(int(sent.start_ns[row]), int(sent.start_ns[row]) + 1) for row in failed]
    )


def _merged(samples: Samples, bad: list[Span]) -> list[Span]:
    """Trouble with fewer than three successes between is one trouble."""
    merged: list[Span] = []
    for span in bad:
        if merged and _answers(samples, Span(merged[-1].end, span.begin)).size < STEADY_RUN:
            merged[-1] = Span(merged[-1].begin, span.end)
        else:
            merged.append(span)
    return merged


def _answers(samples: Samples, span: Span) -> Times:
    """When successes came in a span."""
    answered = samples.end_ns[samples.outcome == Outcome.OK]
    found: Times = answered[(answered >= span.begin) & (answered <= span.end)]
    return found
