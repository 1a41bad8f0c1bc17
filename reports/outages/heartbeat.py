"""Outages as a guest's own heartbeat shows them: ticks that the guest sends by itself, with its clock in each.

A heartbeat has one way only, so it tells which direction was interrupted, and its clock tells a guest that did not run
(its clock fell behind the client's) from a path that was cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reports.outages.calibration import FEWEST, MARGIN_NS, SLOW_QUANTILE
from reports.outages.outage import Finding, Outage
from reports.outages.voids import Times, Voids
from reports.verdict import MissingEvidenceError

AROUND_NS = 1_000_000_000
"""How far from an outage the ticks are whose delays are compared."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How regularly an undisturbed heartbeat arrives; nanoseconds."""

    period_ns: int
    slack_ns: int
    """By how much two successive ticks arrive further apart than a period at most: the 99.99th percentile."""

    @property
    def spacing_ns(self) -> int:
        """Two ticks that arrive further apart than this have an outage between them."""
        return self.period_ns + self.slack_ns + max(self.slack_ns // 2, MARGIN_NS, self.period_ns // 2)

    @property
    def detection_ns(self) -> int:
        """Every outage is seen from this length on."""
        return self.spacing_ns + self.slack_ns


def rhythm(arrivals: Times, period_ns: int, voids: Voids) -> Rhythm:
    """The rhythm of an undisturbed time, pairs of ticks with a void at or between them left out.

    Raises MissingEvidenceError when it holds too few ticks to tell.
    """
    ordered = np.sort(arrivals)
    punctual = voids.earliest(ordered) == ordered
    entered = np.searchsorted(voids.begin, ordered)
    apart = np.sort(np.diff(ordered)[punctual[:-1] & punctual[1:] & (entered[:-1] == entered[1:])])
    if len(apart) < FEWEST:
        raise MissingEvidenceError(f"the baseline has {len(apart)} pairs of ticks, at least {FEWEST} are needed")
    slow = int(apart[min(len(apart) - 1, int(np.ceil(SLOW_QUANTILE * len(apart))))])
    return Rhythm(period_ns, max(0, slow - period_ns))


def find(arrivals: Times, guest_ns: Times, normal: Rhythm, voids: Voids, window: tuple[int, int]) -> Finding:
    """Every outage of a heartbeat in a window, from the arrivals of its ticks and the guest's clock in each."""
    order = np.argsort(arrivals, kind="stable")
    inside = (arrivals[order] >= window[0]) & (arrivals[order] <= window[1])
    arrived, guest = arrivals[order][inside], guest_ns[order][inside]
    edges = np.concatenate(([window[0]], arrived, [window[1]]))
    early = voids.earliest(edges[1:])
    found = np.flatnonzero(early - edges[:-1] > normal.spacing_ns)
    outages = tuple(_outage(int(where), edges, early, guest, normal, voids) for where in found)
    quiet = np.delete(np.diff(edges), found)
    neutral = int(voids.covers(arrived).sum())
    return Finding(
        outages, len(arrived), len(arrived) - neutral, 0, 0, neutral, int(quiet.max()) if len(quiet) else 0
    )


def _outage(where: int, edges: Times, early: Times, guest: Times, normal: Rhythm, voids: Voids) -> Outage:
    """The guest may have been silent from right after the last tick, or from one period later; so at the other end."""
    after, before = int(edges[where]), int(edges[where + 1])
    begin_hi = after + normal.period_ns + normal.slack_ns
    end_lo = max(begin_hi, int(early[where]) - normal.period_ns - normal.slack_ns)
    return Outage(
        begin_lo=after, begin_hi=begin_hi, end_lo=end_lo, end_hi=before,
        likely_ns=int(early[where]) - after - normal.period_ns, void_ns=voids.within(begin_hi, end_lo),
        open=where == len(edges) - 2, frozen_ns=_frozen(edges[1:-1], guest, where, normal.period_ns),
    )


def _frozen(arrived: Times, guest: Times, where: int, period_ns: int) -> int | None:
    """By how much the guest's clock fell behind between tick `where` - 1 and the next, by the quickest ticks around.

    A single tick may have been on its way for long; of those within a second, the quickest has the least delay.
    """
    around = max(1, AROUND_NS // period_ns)
    before, after = slice(max(0, where - around), where), slice(where, where + around)
    if where == 0 or where >= len(arrived):
        return None
    return int((arrived[after] - guest[after]).min() - (arrived[before] - guest[before]).min())
