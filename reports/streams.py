"""The client streams of a case: their gaps, their observers' own stalls, and what these could not have seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from drainproof.gaps import gap_edges, longest_gap
from drainproof.record import Samples
from reports.evidence import Evidence
from reports.spans import Span, covered_seconds, union

VIRTUAL_IP = "vip"
HTTP_NEW, HTTP_REUSED, SQL, CLINIC = "http-new", "http-reused", "sql", "clinic"
OBSERVERS = {HTTP_NEW: "probe", HTTP_REUSED: "probe", SQL: "ledger", CLINIC: "clinic"}
NOTICEABLE_STALL_SECONDS = 0.2
"""An observer later than this reports a stall; below it, lateness only widens the detection limit."""

Times = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Gap:
    """A time without success, and how much of it the observer was itself unable to look."""

    span: Span
    stalled: float

    @property
    def seconds(self) -> float:
        return self.span.seconds

    @property
    def accusable(self) -> float:
        """Seconds of the gap that the service must answer for."""
        return self.seconds - self.stalled


def kind_of(stream: str) -> str:
    return stream.partition("/")[0]


def kinds_of(observer: str) -> list[str]:
    """The kinds of streams that an observer samples."""
    return [kind for kind, whose in OBSERVERS.items() if whose == observer]


def target_of(stream: str) -> str:
    return stream.partition("/")[2]


def timed_streams(evidence: Evidence) -> list[str]:
    """The streams that must exist and whose gaps are limited."""
    names = [vm.name for vm in evidence.vms]
    web = [f"{kind}/{target}" for kind in evidence.load.http_kinds for target in [*names, VIRTUAL_IP]]
    return web + [f"{SQL}/{name}" for name in names]


def gap_limit(evidence: Evidence, stream: str) -> float:
    """The longest gap that the profile allows this stream, in seconds."""
    limits = evidence.limits
    by_kind = {
        HTTP_NEW: limits.http_new_gap_seconds, HTTP_REUSED: limits.http_reused_gap_seconds, SQL: limits.sql_gap_seconds
    }
    return by_kind[kind_of(stream)]


def period(evidence: Evidence, stream: str) -> float:
    """Seconds between two operations of a stream, by the profile."""
    load = evidence.load
    rates = {HTTP_NEW: load.new_connection_rate, HTTP_REUSED: load.reused_connection_rate, SQL: load.sql_rate}
    return 1 / rates[kind_of(stream)]


def started_in(samples: Samples, span: Span) -> Samples:
    """The operations that were sent in a span."""
    low, high = np.searchsorted(samples.start_ns, [span.begin, span.end])
    columns = ("intended_ns", "start_ns", "end_ns", "outcome", "key")
    return Samples(samples.stream, **{column: getattr(samples, column)[low:high] for column in columns})


def judged_gaps(samples: Samples, span: Span, stalls: list[Span], at_least: float) -> list[Gap]:
    """The longest gap of a stream in a span, then every other that lasts at least so many seconds, longest first."""
    edges = gap_edges(samples, (span.begin, span.end))
    starts, lengths = edges[:-1], np.diff(edges)
    order = np.lexsort((starts, -lengths))
    kept = order[(lengths[order] >= at_least * 1e9) | (np.arange(len(order)) == 0)]
    ends = edges[1:][kept]
    spans = [Span(start, end) for start, end in zip(starts[kept].tolist(), ends.tolist(), strict=True)]
    return [Gap(gap, covered_seconds(gap, stalls)) for gap in spans]


def longest(samples: Samples, span: Span) -> float:
    """The longest time without a successful answer in a span, in seconds."""
    return longest_gap(samples, (span.begin, max(span.begin, span.end))).length_ns / 1e9


def looks(samples: Samples, every: float, span: Span) -> Times:
    """When the observer last looked and looked next, for each pair of successive sends: two rows, begin and end.

    A writer that waits for its answer is looking until shortly before the answer; it cannot send meanwhile.
    """
    sent = started_in(samples, span)
    watching = sent.start_ns
    if kind_of(samples.stream) == SQL:
        watching = np.maximum(sent.start_ns, np.maximum.accumulate(sent.end_ns) - int(every * 1e9))
    begins = np.concatenate(([span.begin], np.minimum(watching, span.end)))
    ends = np.concatenate((sent.start_ns, [span.end]))
    return np.stack((np.minimum(begins, ends), ends))


def blind_seconds(samples: Samples, every: float, span: Span) -> float:
    """The longest time in which an outage could have hidden between two looks that were on time."""
    late = samples.start_ns - _due(samples) > int(max(every / 2, 0.02) * 1e9)
    punctual = Samples(
        samples.stream, samples.intended_ns[~late], samples.start_ns[~late], samples.end_ns[~late],
        samples.outcome[~late], samples.key[~late],
    )
    begins, ends = looks(punctual, every, span)
    inner = (ends - begins)[1:-1]
    return float(inner.max()) / 1e9 if len(inner) else span.seconds


def stalls(evidence: Evidence, stream: str) -> list[Span]:
    """When the observer of a stream did not look: what it reports, what its samples show, where it sent nothing."""
    window = evidence.window.span
    reported = reported_stalls(evidence, OBSERVERS[kind_of(stream)])
    samples = evidence.samples.get(stream)
    if samples is None or kind_of(stream) == CLINIC:
        return reported
    every = period(evidence, stream)
    due = _due(samples)
    late = samples.start_ns - due > NOTICEABLE_STALL_SECONDS * 1e9
    delayed = [Span(int(begin), int(end)) for begin, end in zip(due[late], samples.start_ns[late], strict=True)]
    begins, ends = looks(samples, every, window)
    unseen = ends - begins > max(3 * every, every + NOTICEABLE_STALL_SECONDS) * 1e9
    pairs = zip(begins[unseen], ends[unseen], strict=True)
    blind = [Span(int(begin) + int(every * 1e9), int(end)) for begin, end in pairs]
    return union(span.within(window) for span in [*reported, *delayed, *blind])


def reported_stalls(evidence: Evidence, observer: str) -> list[Span]:
    """The stalls in the window that an observer reported itself."""
    spans = [
        Span(int(event.data["start_ns"]), int(event.data["end_ns"])) for event in evidence.of_kind(observer, "stall")
    ]
    return union(span.within(evidence.window.span) for span in spans)


def _due(samples: Samples) -> Times:
    """From when on an operation was the observer's to send: a writer cannot send before its last answer."""
    if kind_of(samples.stream) != SQL or not len(samples):
        return samples.intended_ns
    earlier = np.concatenate(([samples.intended_ns[0]], np.maximum.accumulate(samples.end_ns)[:-1]))
    due: Times = np.minimum(np.maximum(samples.intended_ns, earlier), samples.start_ns)
    return due
