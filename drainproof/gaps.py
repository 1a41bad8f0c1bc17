"""Gaps: how long a stream of operations went without a success. Load exports them as they grow, reports judge them.

A success proves the service at the instant of its answer. A request may be sent while the service is silent and still
be answered once it is back (held packets, retransmissions), so the instant of sending proves nothing, and a gap is the
time between the answers of two successive successes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from drainproof.record.samples import Outcome, Samples


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of time in which no operation of a stream was answered with success; monotonic nanoseconds."""

    start_ns: int
    end_ns: int

    @property
    def length_ns(self) -> int:
        return self.end_ns - self.start_ns


def gaps(samples: Samples, window: tuple[int, int]) -> list[Gap]:
    """Every gap of a stream inside a window of monotonic nanoseconds, by time; they cover the window without a hole.

    The window's own borders open the first gap and close the last; without any success the one gap is the window.
    """
    return [Gap(start, end) for start, end in pairwise(gap_edges(samples, window).tolist())]


def gap_edges(samples: Samples, window: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Where the gaps of a stream inside a window meet, by time: the window's borders and every answer between them."""
    return _edges(_answers(samples), window)


def longest_gap(samples: Samples, window: tuple[int, int]) -> Gap:
    """The longest of `gaps`, the earliest of equals, without making the others into objects."""
    edges = _edges(_answers(samples), window)
    where = int(np.argmax(np.diff(edges)))
    return Gap(int(edges[where]), int(edges[where + 1]))


def _answers(samples: Samples) -> npt.NDArray[np.int64]:
    answers: npt.NDArray[np.int64] = samples.end_ns[samples.outcome == Outcome.OK]
    return answers


def _edges(answers: npt.NDArray[np.int64], window: tuple[int, int]) -> npt.NDArray[np.int64]:
    begin, end = window
    if end < begin:
        raise ValueError(f"a window must not end before it begins, but {end} < {begin}")
    inside = np.sort(answers[(answers >= begin) & (answers <= end)])
    return np.concatenate((np.array([begin], np.int64), inside, np.array([end], np.int64)))


class LongestGap:
    """The gaps of one stream as it runs: the one that is open now and the longest so far, in nanoseconds.

    Until the first success the open gap counts from `begun_ns`; it is then forgotten, because a gap lies between two
    successes. An answer from before the last one changes nothing.
    """

    def __init__(self, begun_ns: int) -> None:
        self._last_ns = begun_ns
        self._longest_ns = 0
        self._succeeded = False

    def successes(self, answered_ns: npt.NDArray[np.int64]) -> None:
        """Successes by the instant of their answer, sorted."""
        if not len(answered_ns):
            return
        edges = np.maximum(answered_ns, self._last_ns)
        if self._succeeded:
            edges = np.concatenate((np.array([self._last_ns], np.int64), edges))
        self._longest_ns = max(self._longest_ns, int(np.diff(edges).max(initial=0)))
        self._last_ns = int(edges[-1])
        self._succeeded = True

    def current_ns(self, now_ns: int) -> int:
        """How long the open gap is."""
        return max(0, now_ns - self._last_ns)

    def longest_ns(self, now_ns: int) -> int:
        """The longest gap so far, the open one included."""
        return max(self._longest_ns, self.current_ns(now_ns))
