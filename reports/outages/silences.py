"""The silences of a stream: the time between two answers, whether it was an outage, and the outage's bounds.

Between two successive answered probes p and q, in the order of sending, lies one silence: from the latest arrival up to
p to the earliest arrival from q on. Nothing that was answered can have arrived inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reports.outages.calibration import Calibration
from reports.outages.outage import Outage, Probes
from reports.outages.voids import Mask, Times, Voids


@dataclass(frozen=True, eq=False)
class Silences:
    """The silences in a run of probes: number k lies between the answered probes k and k + 1."""

    probes: Probes
    answered: Times
    """Where the answered probes are."""
    after: Times
    """The latest arrival up to the answered probe k."""
    before: Times
    """The earliest arrival from the answered probe k + 1 on."""
    sound: Mask
    """Which probes were sent while the stopwatch was not away."""
    calibration: Calibration
    voids: Voids

    @classmethod
    def of(cls, probes: Probes, arrived: int, calibration: Calibration, voids: Voids) -> Silences:
        """`arrived` is the latest arrival of what was sent before these probes, of which the first is answered."""
        answered = np.flatnonzero(probes.answered)
        ends = probes.end[answered]
        after = np.maximum.accumulate(np.maximum(ends, arrived))
        before = np.minimum.accumulate(ends[::-1])[::-1]
        sound = ~voids.covers(probes.start)
        return cls(probes, answered, after[:-1], before[1:], sound, calibration, voids)

    def interrupted(self) -> Mask:
        """Which silences are outages: something was lost in them, or they are too long and something was overdue."""
        lost = np.concatenate(([0], np.cumsum(self.sound & ~self.probes.answered)))
        found: Mask = lost[self.answered[1:]] > lost[self.answered[:-1]]
        early = self.voids.earliest(self.before)
        long = early - self.after > self.calibration.spacing_ns
        overdue = self.probes.start[self.answered[:-1] + 1] <= early - self.calibration.deadline_ns
        for where in np.flatnonzero(long & overdue & ~found):
            found[where] = self._was_held(int(where))
        return found

    def _was_held(self, where: int) -> bool:
        """Whether a long silence held what was sent; one answer alone that younger ones overtook was merely slow."""
        overdue = self._overdue(where)
        if len(overdue) != 1:
            return len(overdue) > 1
        behind = int(self.probes.end[overdue[0]] - self.before[where])
        return behind <= self.calibration.typical_ns

    def longest(self, chosen: Mask) -> int:
        """The longest time without an answered probe in the chosen silences, by sending and by arrival."""
        apart = np.maximum(np.diff(self.probes.start[self.answered]), self.before - self.after)[chosen]
        return int(apart.max()) if len(apart) else 0

    def outage(self, where: int) -> Outage:
        """The outage of one silence: by what was lost in it, else by what was held in it."""
        p, q = int(self.answered[where]), int(self.answered[where + 1])
        lost = np.flatnonzero(self.sound[p + 1 : q]) + p + 1
        return self._of_losses(where, lost) if len(lost) else self._of_hold(where, int(self._overdue(where)[0]))

    def _overdue(self, where: int) -> Times:
        """The probes that should have been answered in a silence and were answered only after it."""
        first = int(self.answered[where]) + 1
        until = self._early(int(self.before[where])) - self.calibration.deadline_ns
        sent = int(np.searchsorted(self.probes.start, until))
        return np.flatnonzero(self.sound[first:sent]) + first

    def _of_losses(self, where: int, lost: Times) -> Outage:
        """What was lost met the outage; the first answer afterwards was not held in it."""
        start, slow, typical = self.probes.start, self.calibration.slow_ns, self.calibration.typical_ns
        p, q = int(start[self.answered[where]]), int(start[self.answered[where + 1]])
        first, last = int(start[lost[0]]), int(start[lost[-1]])
        after, before = int(self.after[where]), int(self.before[where])
        early = self._early(before)
        overtaken = first + slow < after  # answers to older probes came later than these were due
        crossed = first + slow + self._delay(first)
        held = early - q > self.calibration.deadline_ns  # after losing, it held what came next
        end_lo = max(last, early - slow) if held else last
        end = early - 3 * typical // 4 if held else (last + q) // 2 + typical // 4
        return Outage(
            begin_lo=p if overtaken else max(p, self._early(after) - slow),
            begin_hi=crossed,
            end_lo=end_lo,
            end_hi=max(before, last),
            likely_ns=end - (p + first) // 2 - 3 * typical // 4,
            void_ns=self.voids.within(min(crossed, end_lo), end_lo),
            lost=len(lost),
        )

    def _of_hold(self, where: int, overdue: int) -> Outage:
        """What was sent in the outage was let go at its end: its answers came at once, one round trip after at most."""
        start, slow, typical = self.probes.start, self.calibration.slow_ns, self.calibration.typical_ns
        p, first = int(start[self.answered[where]]), int(start[overdue])
        after, before = int(self.after[where]), int(self.before[where])
        early = self._early(before)
        begin_hi, end_lo = max(first + slow + self._delay(first), after), max(early - slow, first)
        return Outage(
            begin_lo=max(p, self._early(after) - slow),
            begin_hi=begin_hi,
            end_lo=end_lo,
            end_hi=before,
            likely_ns=early - 3 * typical // 4 - max((p + first) // 2 + 3 * typical // 4, after - typical // 4),
            void_ns=self.voids.within(min(begin_hi, end_lo), end_lo),
            held=True,
        )

    def _delay(self, sent: int) -> int:
        return int(self.voids.robberies.delay(np.array([sent], np.int64))[0])

    def _early(self, arrival: int) -> int:
        return int(self.voids.earliest(np.array([arrival], np.int64))[0])
