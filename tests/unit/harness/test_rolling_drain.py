"""A rolling drain: the nodes in their order, never more at once than allowed, and none after one that failed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest

from drainproof.errors import DrainproofError
from drainproof.wait import Deadline
from scenarios import rolling_drain
from scenarios.drain import Drain
from scenarios.rolling_drain import RollingDrain


@dataclass
class Site:
    """Notes which nodes are drained, and how many at the same time."""

    fails: str = ""
    slow: str = ""
    until: threading.Event = field(default_factory=threading.Event)
    """When a slow node has been drained."""
    gate: threading.Barrier | None = None
    made: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    running: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def drain_of(self, node: str) -> Drain:
        self.made.append(node)
        return cast(Drain, _Drain(self, node))


@dataclass
class _Drain:
    site: Site
    node: str

    def run(self, deadline: Deadline) -> None:
        site = self.site
        with site.lock:
            site.running += 1
            site.most = max(site.most, site.running)
        if site.gate and self.node in ("a", "b"):
            site.gate.wait(10)
        if self.node == site.slow:
            site.until.wait(5)
        with site.lock:
            site.running -= 1
            site.ended.append(self.node)
        if self.node == site.fails:
            raise DrainproofError(f"{self.node} cannot be drained; {deadline.seconds:g} s")


def drained(site: Site, nodes: Sequence[str], at_once: int) -> None:
    RollingDrain(nodes, site.drain_of, at_once, seconds_per_node=60).run(Deadline(100))


def test_one_after_another_and_each_is_made_only_when_its_turn_has_come() -> None:
    site = Site()
    made_before: list[int] = []
    make: Callable[[str], Drain] = site.drain_of

    def drain_of(node: str) -> Drain:
        made_before.append(len(site.ended))
        return make(node)

    RollingDrain(["a", "b", "c"], drain_of).run(Deadline(100))
    assert (site.ended, site.most, made_before) == (["a", "b", "c"], 1, [0, 1, 2])


def test_as_many_at_once_as_allowed_and_each_once() -> None:
    site = Site(gate=threading.Barrier(2))
    drained(site, ["a", "b", "c", "d", "e"], at_once=2)
    assert (sorted(site.ended), site.most) == (["a", "b", "c", "d", "e"], 2)


def test_after_one_that_cannot_be_drained_no_other_is_begun() -> None:
    """The time for one node is bounded by its own limit, and by what is left for all."""
    site = Site(fails="b")
    with pytest.raises(DrainproofError, match="b cannot be drained; 60 s"):
        drained(site, ["a", "b", "c"], at_once=1)
    assert site.ended == ["a", "b"]


def test_a_drain_that_was_begun_beside_it_is_seen_through_and_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here it ends only once the failure of the other has been noticed, or seems never to be."""
    stop = threading.Event()
    monkeypatch.setattr(rolling_drain, "Event", lambda: stop)
    site = Site(fails="a", gate=threading.Barrier(2), slow="b", until=stop)
    with pytest.raises(DrainproofError):
        drained(site, ["a", "b", "c"], at_once=2)
    assert (sorted(site.ended), site.made) == (["a", "b"], ["a", "b"])
