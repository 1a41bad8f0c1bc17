"""Reads the stopwatch's streams out of a record: when it was away, what is normal, and which outages it saw."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from drainproof.record import Event, Outcome, SampleFile
from drainproof.settings import Load
from drainproof.streams import AWAY, CLIENT, CONTROL, HEARTBEAT, TCP_NEW, Stream
from reports.outages import estimator, heartbeat
from reports.outages.calibration import Calibration, calibrate
from reports.outages.heartbeat import Rhythm
from reports.outages.outage import Finding, Outage, Probes
from reports.outages.voids import Robberies, Times, Voids
from reports.spans import Span
from reports.verdict import MissingEvidenceError

SOURCE = "stopwatch"
STOLEN_SHARE = 0.2
"""The host robs the stopwatch when it takes more than this of a tenth of a second."""
STOLEN_TICK_NS = 10_000_000
"""The kernel accounts for stolen time in ticks of 10 ms: one more may have been taken."""
AROUND_SECONDS = 0.002
"""How far from a known blackout of the control stream an outage may lie that it explains."""
UNASKED_NS, UNASKED_PERIODS = 100_000_000, 3
"""A control stream on which nothing was sent for longer than both has no stopwatch that runs."""
RETRIED_NS = 900_000_000
"""The kernel tries a new connection again after 1 s, whatever the round trip is."""
COLUMNS = ("start_ns", "end_ns", "outcome")
SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Reading:
    """What one stream has shown, and how fine its instrument was; nanoseconds."""

    stream: Stream
    finding: Finding
    normal: Calibration | Rhythm
    void_ns: int

    @property
    def detection_ns(self) -> int:
        """Every outage is seen from this length on."""
        return self.normal.hold_limit_ns if isinstance(self.normal, Calibration) else self.normal.detection_ns

    @property
    def typical_ns(self) -> int:
        """How long an undisturbed answer takes; a heartbeat is not asked for."""
        return self.normal.typical_ns if isinstance(self.normal, Calibration) else 0

    @property
    def worst(self) -> Outage | None:
        """The outage with the largest upper bound."""
        return max(self.finding.outages, key=lambda outage: outage.hi_ns, default=None)


@dataclass(frozen=True)
class Blackout:
    """A known interruption of the control stream, as the control responder reports it; nanoseconds."""

    span: Span
    late_ns: int
    mode: str


@dataclass(frozen=True)
class Stopwatch:
    """The stopwatch's part of a record."""

    samples: SampleFile
    events: Sequence[Event]
    load: Load
    baseline: Span
    _failures: dict[tuple[str, Span], Voids] = field(default_factory=dict, repr=False)
    """The control's failures by vantage point and window: found once, needed for every stream."""
    _readings: dict[tuple[Stream, Span], Reading] = field(default_factory=dict, repr=False)

    def read(self, stream: Stream, window: Span) -> Reading:
        """What a stream has shown in a window.

        Raises MissingEvidenceError when it has no samples, or its baseline cannot tell what is normal.
        """
        if (stream, window) not in self._readings:
            self._readings[stream, window] = self._read(stream, window)
        return self._readings[stream, window]

    def _read(self, stream: Stream, window: Span) -> Reading:
        if stream.name not in self.samples:
            raise MissingEvidenceError(f"samples.parquet has no stream {stream.name}")
        voids = self.voids(stream, window)
        if stream.kind == HEARTBEAT:
            normal, finding = self._heartbeat(stream, window, voids)
            return Reading(stream, finding, normal, voids.doubtful(window.begin, window.end))
        calibration = self.calibration(stream, voids)
        probes = self._probes(stream, window)
        if stream.kind == TCP_NEW:
            probes = map(_at_once, probes)
        finding = estimator.find(probes, calibration, voids, (window.begin, window.end))
        return Reading(stream, finding, calibration, voids.doubtful(window.begin, window.end))

    def calibration(self, stream: Stream, voids: Voids) -> Calibration:
        """What is normal on a stream, by its baseline without the voids."""
        if stream.kind == CONTROL:  # what was interrupted on purpose is not undisturbed
            known = _voids(_edges(known.span) for known in self.blackouts(stream.vantage))
            voids = Voids.union([voids, known]).beside(voids.robberies)
        parts = [_sound(part, voids) for part in self._probes(stream, self.baseline)]
        trips = np.concatenate([np.zeros(0, np.int64), *((part.end - part.start)[part.answered] for part in parts)])
        lost = sum(int((~part.answered).sum()) for part in parts)
        return calibrate(trips, lost, self.period_ns(stream))

    def period_ns(self, stream: Stream) -> int:
        """The longest time that the schedule leaves between two probes; a jittered one leaves up to two slots."""
        slots = 2 if stream.kind == TCP_NEW else 1
        return round(slots * SECOND / self.load.stopwatch_rate(stream))

    def voids(self, stream: Stream, window: Span) -> Voids:
        """When the stopwatch could not look: it was away, its control was silent, its socket full; or it was robbed."""
        own = [self.absences(stream.vantage)]
        if stream.kind != CONTROL:
            own += [self._dropped(stream.vantage), self.control_failures(stream.vantage, window)]
        return Voids.union(own).beside(self.robberies())

    def robberies(self) -> Robberies:
        """When the host took much of the processors' time, and how much."""
        return Robberies.of(_robbery(event) for event in self._told("robbed") if _robbed(event.data))

    def absences(self, vantage: str) -> Voids:
        """When the loop itself did not run."""
        name = Stream(AWAY, CLIENT, vantage).name
        if name not in self.samples:
            raise MissingEvidenceError(f"samples.parquet has no {name}: whether the stopwatch was away is not known")
        begin, end = (np.concatenate([np.zeros(0, np.int64), *found]) for found in self._columns(name))
        return Voids.of(begin, end)

    def control_failures(self, vantage: str, window: Span) -> Voids:
        """When the control stream was interrupted although nobody had interrupted it on purpose, or not asked."""
        span = Span(min(window.begin, self.baseline.begin), max(window.end, self.baseline.end))
        if (vantage, span) not in self._failures:
            stream = Stream(CONTROL, CLIENT, vantage)
            known = [known.span.widened(AROUND_SECONDS) for known in self.blackouts(vantage)]
            found = self.read(stream, span).finding.outages
            accidental = [(one.begin_lo, one.end_hi) for one in found if not _explained(one, known)]
            self._failures[vantage, span] = _voids([*accidental, *self._unasked(stream, span)])
        return self._failures[vantage, span]

    def _unasked(self, stream: Stream, span: Span) -> Iterator[tuple[int, int]]:
        """When nothing was sent on a stream: a loop that died has told of no absence."""
        last = span.begin
        for sent in [*(part.start for part in self._probes(stream, span)), np.array([span.end], np.int64)]:
            edges = np.concatenate(([last], sent))
            for where in np.flatnonzero(np.diff(edges) > max(UNASKED_NS, UNASKED_PERIODS * self.period_ns(stream))):
                yield int(edges[where]), int(edges[where + 1])
            last = int(sent[-1])

    def blackouts(self, vantage: str) -> list[Blackout]:
        """The known interruptions of a vantage point's control stream."""
        name = Stream(CONTROL, CLIENT, vantage).name
        return [
            Blackout(Span(*_span(event)), int(event.data.get("late_ns") or 0), str(event.data.get("mode")))
            for event in self._told("control-blackout")
            if event.object == name
        ]

    def _dropped(self, vantage: str) -> Voids:
        """When the client's kernel dropped what had arrived, because its socket was full."""
        return _voids(_span(event) for event in self._told("udp-drops") if event.object == vantage)

    def _told(self, kind: str) -> list[Event]:
        return [event for event in self.events if (event.source, event.kind) == (SOURCE, kind)]

    def _probes(self, stream: Stream, span: Span) -> Iterator[Probes]:
        """The probes that were sent in a span, in chunks."""
        for chunk in self.samples.chunks(stream.name, COLUMNS):
            start = chunk["start_ns"]
            first, last = (int(edge) for edge in np.searchsorted(start, [span.begin, span.end]))
            answered = (chunk["outcome"] == Outcome.OK) | (chunk["outcome"] == Outcome.LATE)
            if last > first:
                yield Probes(start[first:last], chunk["end_ns"][first:last], answered[first:last])

    def _columns(self, name: str) -> tuple[list[Times], list[Times]]:
        chunks = list(self.samples.chunks(name, ("start_ns", "end_ns")))
        return [chunk["start_ns"] for chunk in chunks], [chunk["end_ns"] for chunk in chunks]

    def _heartbeat(self, stream: Stream, window: Span, voids: Voids) -> tuple[Rhythm, Finding]:
        ticks = self.samples[stream.name]
        arrivals, guest = ticks.end_ns, ticks.key
        undisturbed = (arrivals >= self.baseline.begin) & (arrivals <= self.baseline.end)
        normal = heartbeat.rhythm(arrivals[undisturbed], self.period_ns(stream), voids)
        return normal, heartbeat.find(arrivals, guest, normal, voids, (window.begin, window.end))


def _sound(probes: Probes, voids: Voids) -> Probes:
    """Those that were neither sent nor answered while the stopwatch was away or had a backlog to read."""
    kept = ~voids.covers(probes.start) & (voids.earliest(probes.end) == probes.end)
    return Probes(probes.start[kept], probes.end[kept], probes.answered[kept])


def _at_once(probes: Probes) -> Probes:
    """New connections that came about only when they were tried again count as lost: their first packet was."""
    return Probes(probes.start, probes.end, probes.answered & (probes.end - probes.start < RETRIED_NS))


def _edges(span: Span) -> tuple[int, int]:
    wide = span.widened(AROUND_SECONDS)
    return wide.begin, wide.end


def _span(event: Event) -> tuple[int, int]:
    return int(event.data["start_ns"]), int(event.data["end_ns"])


def _voids(spans: Iterable[tuple[int, int]]) -> Voids:
    edges = np.array(list(spans), np.int64).reshape(-1, 2)
    return Voids.of(edges[:, 0], edges[:, 1])


def _robbery(event: Event) -> tuple[int, int, int]:
    taken_ms = float(event.data.get("throttled_ms") or 0) + float(event.data.get("steal_ms") or 0)
    return *_span(event), round(taken_ms * 1e6) + STOLEN_TICK_NS


def _robbed(data: Mapping[str, Any]) -> bool:
    length_ms = (int(data["end_ns"]) - int(data["start_ns"])) / 1e6
    return float(data.get("throttled_ms") or 0) > 0 or float(data.get("steal_ms") or 0) > STOLEN_SHARE * length_ms


def _explained(outage: Outage, known: Sequence[Span]) -> bool:
    """Whether all of an outage that is certain lies in one known blackout."""
    return any(span.begin <= outage.begin_hi and outage.end_lo <= span.end for span in known)
