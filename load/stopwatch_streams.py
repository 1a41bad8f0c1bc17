"""What the stopwatch looks at, from each vantage point: its streams, their rates, and room for samples."""

from __future__ import annotations

from dataclasses import dataclass

from drainproof.streams import AWAY, CLIENT, CONTROL, HEARTBEAT, OUTSIDE, TCP_KEPT, TCP_NEW, UDP, Stream
from load.plan import Machine, Plan

SPOOL_SECONDS = 24
"""How much a spool holds at least; answers are waited for within it."""
AWAY_RATE = 4000.0
"""The most absences a second that a spool has room for."""


@dataclass(frozen=True)
class View:
    """One vantage point: where it is, and the rate of each of its streams per second, in the order of their numbers."""

    vantage: str
    exec: tuple[str, ...]
    rates: dict[Stream, float]
    heartbeats: dict[Stream, float]

    @property
    def away(self) -> Stream:
        """The stream of the times in which the stopwatch was away from its work; the last of its spool."""
        return Stream(AWAY, CLIENT, self.vantage)

    @property
    def control(self) -> Stream:
        """The stream that never leaves the client."""
        return Stream(CONTROL, CLIENT, self.vantage)

    @property
    def streams(self) -> tuple[str, ...]:
        """The names of the streams in the spool of this vantage point, by number."""
        return tuple(stream.name for stream in (*self.rates, self.away))

    @property
    def capacity(self) -> int:
        """How many rows the spool needs."""
        return _room(sum(self.rates.values()) + AWAY_RATE)

    @property
    def heartbeat_capacity(self) -> int:
        """How many rows the spool of heartbeats needs."""
        return _room(sum(self.heartbeats.values()))


def views_of(plan: Plan) -> list[View]:
    """The clients' own vantage point, then the plan's others: these tell where a path is cut, and ask for no more."""
    return [_view(plan, OUTSIDE, ()), *(_view(plan, place.name, place.exec) for place in plan.vantages)]


def view_of(plan: Plan, vantage: str) -> View:
    """The view from one vantage point; raises KeyError when the plan has no such."""
    return {view.vantage: view for view in views_of(plan)}[vantage]


def _view(plan: Plan, vantage: str, command: tuple[str, ...]) -> View:
    load, machines = plan.load, plan.portal.vms

    def streams(kind: str, targets: tuple[Machine, ...]) -> dict[Stream, float]:
        found = [Stream(kind, target.name, vantage) for target in targets]
        return {stream: load.stopwatch_rate(stream) for stream in found}

    control = Stream(CONTROL, CLIENT, vantage)
    rates = {control: load.stopwatch_rate(control)}
    heartbeats: dict[Stream, float] = {}
    if not load.only_opens:
        rates |= streams(UDP, machines)
    if not load.only_opens and vantage == OUTSIDE:
        rates |= streams(TCP_KEPT, machines)
        heartbeats = streams(HEARTBEAT, machines)
    if load.only_opens or vantage == OUTSIDE:
        rates |= streams(TCP_NEW, plan.portal.targets)
    return View(vantage, command, rates, heartbeats)


def _room(rate: float) -> int:
    return 1 << max(10, round(rate * SPOOL_SECONDS).bit_length())
