"""What a stopwatch has seen of migrations whose pauses are known: pure figures, no clock and no cluster.

A guest's clock stands still while it is paused, so no step between the stamps of its ticks shows the pause; it shows in
how far that clock falls behind the client's. Single ticks wait before they are sent or read, above all the first after
a pause, so the quickest tick of some time before and the quickest after are compared: these waited for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import numpy.typing as npt

from bench.instrument.blackouts import MS
from drainproof.record import Outcome, Samples
from reports.outages.outage import Outage

SLACK_NS = 2 * MS
"""A client's blackout may be shorter than the pause by so much: STOP and RESUME are told by two hosts."""
FLOOR_NS = 1000 * MS
"""In so long a time before, and after, a pause the quickest tick is looked for."""
FEWEST_TICKS = 10


@dataclass(frozen=True, slots=True)
class Pause:
    """How long the hypervisor held a guest, from QMP STOP at the source to RESUME at the target; monotonic ns."""

    stop_ns: int
    resume_ns: int

    @property
    def length_ns(self) -> int:
        return self.resume_ns - self.stop_ns


@dataclass(frozen=True, slots=True)
class Move:
    """One migration: its pause, and what was seen of it."""

    pause: Pause
    clients: Outage | None
    """By the echo."""
    beat: Outage | None
    """By the heartbeat."""
    reached_ns: int | None
    """When the first request was sent, after the pause had begun, that was answered."""
    frame_ns: int | None
    """When the first frame came after the pause."""
    lag_ns: int | None
    """By how much the guest's clock fell behind; None with too few ticks to tell."""

    @property
    def explained(self) -> bool:
        """Whether what clients lost can have been as long as the pause; what was not seen was not."""
        return self.clients is not None and self.clients.hi_ns >= self.pause.length_ns - SLACK_NS

    @property
    def guest_error_ns(self) -> int | None:
        """By how much the guest's own view of the pause is longer than the hypervisor's."""
        return None if self.lag_ns is None else self.lag_ns - self.pause.length_ns

    @property
    def single_error_ns(self) -> int | None:
        """The same by the two ticks around the heartbeat's outage alone, and what each of them waited."""
        frozen = self.beat.frozen_ns if self.beat else None
        return None if frozen is None else frozen - self.pause.length_ns

    @property
    def beyond_ns(self) -> int | None:
        """What clients lost beyond the pause."""
        return None if self.clients is None else self.clients.mid_ns - self.pause.length_ns

    @property
    def network_ns(self) -> int | None:
        """From RESUME until requests reach the guest; less than nothing when some from before were held for it."""
        return None if self.reached_ns is None else self.reached_ns - self.pause.resume_ns

    @property
    def silent_ns(self) -> int | None:
        """From RESUME to the first frame: the network, and the guest until it works again."""
        return None if self.frame_ns is None else self.frame_ns - self.pause.resume_ns


def overlapping(outages: Iterable[Outage], pause: Pause) -> Outage | None:
    """The longest outage that shares time with a pause."""
    found = [one for one in outages if one.begin_lo <= pause.resume_ns and pause.stop_ns <= one.end_hi]
    return max(found, key=lambda one: one.mid_ns, default=None)


def first_frame(streams: Sequence[Samples], after_ns: int) -> int | None:
    """When the first answer or tick on any of some streams came after an instant."""
    found = []
    for samples in streams:
        later = samples.end_ns[_answered(samples) & (samples.end_ns > after_ns)]
        found += [int(later.min())] if len(later) else []
    return min(found, default=None)


def first_answered(echo: Samples, after_ns: int) -> int | None:
    """When the first request was sent after an instant that has been answered."""
    sent = echo.start_ns[_answered(echo) & (echo.start_ns > after_ns)]
    return int(sent.min()) if len(sent) else None


def lag(ticks: Samples, pause: Pause) -> int | None:
    """By how much the guest's clock fell behind the client's around a pause; each tick's key is the guest's clock."""
    behind = ticks.end_ns - ticks.key
    before = behind[(ticks.end_ns >= pause.stop_ns - FLOOR_NS) & (ticks.end_ns < pause.stop_ns)]
    after = behind[(ticks.end_ns > pause.resume_ns) & (ticks.end_ns <= pause.resume_ns + FLOOR_NS)]
    if min(len(before), len(after)) < FEWEST_TICKS:
        return None
    return int(np.min(after)) - int(np.min(before))


def spread(values_ns: Iterable[int | None]) -> str:
    """Median and extremes in milliseconds, of those that are known."""
    known = [value / MS for value in values_ns if value is not None]
    if not known:
        return "none is known"
    return f"median {median(known):.2f}, {min(known):.2f} to {max(known):.2f} ms of {len(known)}"


def _answered(samples: Samples) -> npt.NDArray[np.bool_]:
    return np.isin(samples.outcome, (Outcome.OK, Outcome.LATE))
