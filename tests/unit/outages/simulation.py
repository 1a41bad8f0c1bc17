"""Synthetic streams of probes through a wire that drops or holds what crosses it, with the truth beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports.outages.calibration import Calibration
from reports.outages.outage import Probes
from reports.outages.voids import Times, Voids

MS = 1_000_000


@dataclass(frozen=True)
class Blackout:
    """Down in [begin, end), in nanoseconds: what crosses the wire then is lost, or held until the end."""

    begin: int
    end: int
    held: bool = False

    @property
    def length(self) -> int:
        return self.end - self.begin


CALIBRATION = Calibration(period_ns=MS, typical_ns=150_000, slow_ns=300_000)


def schedule(count: int, period_ns: int = MS, begin: int = 0) -> Times:
    return begin + period_ns * np.arange(count, dtype=np.int64)


def cross(times: Times, blackouts: Sequence[Blackout]) -> tuple[Times, np.ndarray]:
    """When each packet leaves the wire that it reached at `times`, and whether it does."""
    out, passed = times.copy(), np.ones(len(times), np.bool_)
    for one in blackouts:
        inside = (times >= one.begin) & (times < one.end)
        if one.held:
            out[inside] = one.end
        else:
            passed &= ~inside
    return out, passed


def answered_through(
    start: Times, blackouts: Sequence[Blackout], chance: np.random.Generator, *, limit_ns: int = 3_000 * MS
) -> Probes:
    """Echo probes: to the wire, over it, to the guest and back; legs of 20 to 60 us each."""
    legs = chance.integers(20_000, 60_000, (4, len(start)))
    there, went = cross(start + legs[0], blackouts)
    there = np.maximum.accumulate(there)
    back, came = cross(there + legs[1] + legs[2], blackouts)
    end = np.maximum.accumulate(back) + legs[3]
    answered = went & came & (end - start <= limit_ns)
    return Probes(start, np.where(answered, end, start + limit_ns), answered)


def away(probes: Probes, absences: Sequence[tuple[int, int]]) -> tuple[Probes, Voids]:
    """The same as a stopwatch records it that was away: nothing is sent then, what came is read afterwards."""
    sent, end = np.ones(len(probes), np.bool_), probes.end.copy()
    for begin, back in absences:
        sent &= (probes.start < begin) | (probes.start > back)
        came = probes.answered & (end >= begin) & (end <= back)
        end[came] = back + 8_000 * np.arange(1, int(came.sum()) + 1)
    spans = np.array(absences, np.int64).reshape(-1, 2)
    return Probes(probes.start[sent], end[sent], probes.answered[sent]), Voids.of(spans[:, 0], spans[:, 1])
