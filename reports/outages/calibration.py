"""What an undisturbed answer looks like, taken from the baseline: from then on, late is down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reports.outages.voids import Times
from reports.verdict import MissingEvidenceError

FEWEST = 20
"""With fewer undisturbed answers there is no telling what late means."""
MOST_LOST = 0.01
"""A stream that loses a larger share than this undisturbed, and more than one, cannot tell an outage from its own."""
SLOW_QUANTILE = 0.9999
MARGIN_NS = 200_000
"""The deadline lies above the slowest undisturbed answer by half of its time, and by this much at least."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The round trip of a stream when nothing is wrong; nanoseconds."""

    period_ns: int
    """The longest time that the schedule leaves between two probes."""
    typical_ns: int
    """The median round trip."""
    slow_ns: int
    """The 99.99th percentile of the round trip, or the longest if there are fewer answers than that needs."""

    @property
    def deadline_ns(self) -> int:
        """An answer that takes longer is late, and late is down."""
        return self.slow_ns + max(self.slow_ns // 2, MARGIN_NS)

    @property
    def spacing_ns(self) -> int:
        """No two answers of an undisturbed stream are further apart."""
        return max(self.deadline_ns, self.period_ns + self.slow_ns)

    @property
    def drop_limit_ns(self) -> int:
        """Every outage that loses what is sent is seen from this length on."""
        return 2 * self.period_ns

    @property
    def hold_limit_ns(self) -> int:
        """Every outage that holds what is sent and lets it go afterwards is seen from this length on."""
        return 2 * max(self.period_ns, self.deadline_ns)


def calibrate(round_trips: Times, lost: int, period_ns: int) -> Calibration:
    """The calibration from the round trips and the losses of an undisturbed time, those in voids left out.

    Raises MissingEvidenceError when there are too few answers, or too many losses, to tell what is normal.
    """
    answers = len(round_trips)
    if answers < FEWEST:
        raise MissingEvidenceError(f"the baseline has {answers} answers, {FEWEST} are needed to tell what is late")
    if lost > max(1, MOST_LOST * (answers + lost)):
        raise MissingEvidenceError(f"{lost} of {answers + lost} probes of the undisturbed baseline were lost")
    ordered = np.sort(round_trips)
    slow = ordered[min(answers - 1, int(np.ceil(SLOW_QUANTILE * answers)))]
    return Calibration(period_ns, int(ordered[answers // 2]), int(slow))
