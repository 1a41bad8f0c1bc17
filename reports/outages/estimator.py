"""Where a stream of probes was interrupted, and for how long: each outage as an interval that holds the truth.

The service is down in [a, b): what crosses in it is lost, or held and let go at b. Seen from the client, an outage is a
silence with a probe in it that should have been answered and was not.

Bounds: p, the last answered probe before, was sent before a. The first bad probe met the outage on its way back at the
latest. If probes were lost, b lies between the last of them and the first answer afterwards. If they were held, b lies
at most one slow round trip before that answer. The stopwatch's own absences (voids) only widen this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from reports.outages.calibration import Calibration
from reports.outages.outage import Finding, Outage, Probes
from reports.outages.silences import Silences
from reports.outages.voids import Times, Voids


def find(chunks: Iterable[Probes], calibration: Calibration, voids: Voids, window: tuple[int, int]) -> Finding:
    """Every outage of a stream in a window; how the stream is cut into chunks changes nothing.

    The window's borders stand for answered probes: an outage at its end is marked as open.
    """
    search = _Search(calibration, voids, window)
    for piece in _resolved(chunks, calibration.deadline_ns):
        search.take(piece)
    return search.finish()


def _resolved(chunks: Iterable[Probes], deadline_ns: int) -> Iterator[Probes]:
    """The same probes, cut only where all that is sent later arrives later, and nothing before was overdue by then."""
    rest = Probes(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.bool_))
    for chunk in chunks:
        joined = rest.then(chunk) if len(rest) else chunk
        cut = _last_cut(joined, deadline_ns)
        if cut:
            yield joined.part(0, cut)
        rest = joined.part(cut, len(joined))
    if len(rest):
        yield rest


def _last_cut(probes: Probes, deadline_ns: int) -> int:
    if len(probes) < 2:
        return 0
    none = np.iinfo(np.int64)
    reached = np.maximum.accumulate(np.where(probes.answered, probes.end, none.min))[:-1]
    ahead = np.minimum.accumulate(np.where(probes.answered, probes.end, none.max)[::-1])[::-1][1:]
    ahead = np.minimum(ahead, probes.start[-1])  # what is not known yet arrives after it was sent
    cuts: Times = np.flatnonzero((reached < ahead) & (reached <= probes.start[1:] + deadline_ns))
    return int(cuts[-1]) + 1 if len(cuts) else 0


class _Search:
    """The state that is carried from one piece of a stream to the next."""

    def __init__(self, calibration: Calibration, voids: Voids, window: tuple[int, int]) -> None:
        self._calibration = calibration
        self._voids = voids
        self._end = window[1]
        self._pending = Probes.mark(window[0])
        """The last answered probe and what was sent since; at first the window's begin stands for it."""
        self._arrived = window[0]
        self._outages: list[Outage] = []
        self._probes = self._good = self._lost = self._late = self._neutral = self._longest = 0

    def take(self, piece: Probes) -> None:
        """Probes of which none is answered after one of the next piece."""
        self._count(piece)
        silences = self._silences(self._without_overtaken(piece))
        found = silences.interrupted()
        self._longest = max(self._longest, silences.longest(~found))
        for where in np.flatnonzero(found):
            self._add(silences.outage(int(where)))
        probes = silences.probes
        self._pending = probes.part(int(silences.answered[-1]), len(probes))
        self._arrived = max(self._arrived, int(probes.end[probes.answered].max()))

    def finish(self) -> Finding:
        """Look at what follows the last answer, up to the window's end."""
        silences = self._silences(Probes.mark(max(self._end, int(self._pending.start[-1]))))
        found = silences.interrupted()
        lost = (~silences.probes.answered & silences.sound).any()
        if lost:
            outage = silences.outage(len(found) - 1)
            self._add(Outage(
                outage.begin_lo, outage.begin_hi, outage.end_lo, max(outage.end_hi, self._end), outage.likely_ns,
                outage.void_ns, outage.lost, open=True,
            ))
        else:
            self._longest = max(self._longest, silences.longest(np.ones(len(found), np.bool_)))
        return Finding(
            tuple(self._outages), self._probes, self._good, self._lost, self._late, self._neutral, self._longest
        )

    def _silences(self, piece: Probes) -> Silences:
        return Silences.of(self._pending.then(piece), self._arrived, self._calibration, self._voids)

    def _without_overtaken(self, piece: Probes) -> Probes:
        """All but late answers that newer ones overtook: no queue held them, and they shall hide no silence."""
        unknown = np.iinfo(np.int64).max
        newer = np.minimum.accumulate(np.where(piece.answered, piece.end, unknown)[::-1])[::-1]
        late = self._voids.earliest(piece.end) - piece.start > self._calibration.deadline_ns
        kept = ~(piece.answered & late & (piece.end - self._calibration.slow_ns > newer))
        return piece if kept.all() else Probes(piece.start[kept], piece.end[kept], piece.answered[kept])

    def _count(self, piece: Probes) -> None:
        neutral = self._voids.covers(piece.start)
        late = piece.answered & (self._voids.earliest(piece.end) - piece.start > self._calibration.deadline_ns)
        self._probes += len(piece)
        self._neutral += int(neutral.sum())
        self._lost += int((~piece.answered & ~neutral).sum())
        self._late += int((late & ~neutral).sum())
        self._good += int((piece.answered & ~late & ~neutral).sum())

    def _add(self, outage: Outage) -> None:
        """One more outage; losses that fall into the one before, such as by a queue that overflowed, belong to it."""
        before = self._outages[-1] if self._outages else None
        if before is None or outage.end_lo > before.end_hi:
            self._outages.append(outage)
            return
        self._outages[-1] = Outage(
            before.begin_lo, before.begin_hi, max(before.end_lo, outage.end_lo), max(before.end_hi, outage.end_hi),
            max(before.likely_ns, outage.likely_ns),
            before.void_ns, before.lost + outage.lost, before.held, before.open or outage.open,
        )
