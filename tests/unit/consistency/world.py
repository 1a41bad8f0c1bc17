"""A simulated database of three members whose clients keep clean histories, from a seed.

Every transaction commits at one instant, in one order. In a strict world it also reads at that instant: the history is
strictly serializable. Otherwise it reads, like Galera, from a snapshot of its member, which lags behind the others
unless the operation waits for them first: what Galera allows may happen, and nothing else.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

from drainproof.record import Act, Operation, Outcome, Step
from drainproof.record.history import PLAIN, SYNC

MEMBERS = ("portal-a", "portal-b", "portal-c")
SESSIONS = 4
KEYS = 3
ACCOUNTS, OPENING = 4, 100
TOTAL = ACCOUNTS * OPENING
LAG = 40
SECOND = 10**9
OPEN = (Outcome.TIMEOUT, Outcome.INDETERMINATE)


@dataclass(frozen=True, slots=True)
class _Planned:
    """A transaction before it is executed."""

    session: int
    member: int
    start: int
    commit: int
    end: int
    outcome: Outcome
    applied: bool
    sync: bool


@dataclass
class World:
    """One simulated cluster and its clients; times are whole ticks, turned into nanoseconds at the end."""

    chance: random.Random
    strict: bool = False
    writes: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    """By key: when it was written, and what."""
    applied: list[int] = field(default_factory=lambda: [0] * len(MEMBERS))
    """Until when each member has applied all writes."""
    values: Iterator[int] = field(default_factory=lambda: count(1))

    def history(self, workload: str, operations: int) -> list[Operation]:
        """So many transactions of a workload, and what every member holds at the end."""
        act = _WORKLOADS[workload]
        found = []
        planned = sorted(self._plan(operations), key=lambda one: one.commit)
        for number, one in enumerate(planned, 1):
            steps = act(self, one)
            found.append(Operation(
                workload=workload, session=one.session, member=MEMBERS[one.member], op=number, outcome=one.outcome,
                start_ns=one.start * SECOND, end_ns=one.end * SECOND, acts=steps, level=SYNC if one.sync else PLAIN,
            ))
        last = 1 + max((max(one.end, one.commit) for one in planned), default=0)
        for number, member in enumerate(MEMBERS, len(planned) + 1):
            found.append(Operation(
                workload=workload, session=0, member=member, op=number, start_ns=last * SECOND, final=True, level=SYNC,
                end_ns=(last + 1) * SECOND, outcome=Outcome.OK, acts=_FINALS[workload](self, last),
            ))
        return found

    def _plan(self, operations: int) -> Iterator[_Planned]:
        chance, numbers = self.chance.random, count(1)
        homes = [number % len(MEMBERS) for number in range(SESSIONS)]
        sessions = [next(numbers) for _ in homes]
        free = [0] * SESSIONS
        for turn in range(operations):
            client = turn % SESSIONS
            start = free[client] + 1 + int(chance() * 6)
            commit = start + int(chance() * 8)
            end = commit + 1 + int(chance() * 6)
            draw = chance()
            outcome = Outcome.OK if draw < 0.8 else Outcome.ERROR if draw < 0.88 else OPEN[draw < 0.94]
            if outcome in OPEN:
                end, commit = commit, end  # it may still be applied when its client has given up
            applied = outcome is Outcome.OK or (outcome in OPEN and chance() < 0.5)
            yield _Planned(sessions[client], homes[client], start, commit, end, outcome, applied, chance() < 0.5)
            free[client] = end
            if outcome in OPEN:
                sessions[client] = next(numbers)

    def snapshot(self, one: _Planned) -> int:
        """The instant as of which a transaction reads."""
        if self.strict:
            return one.commit + 1
        lagging = one.start if one.sync else max(0, one.start - int(self.chance.random() * LAG))
        self.applied[one.member] = max(self.applied[one.member], lagging)
        return min(self.applied[one.member], one.commit + 1)

    def write(self, one: _Planned, key: int, value: int) -> None:
        """Commit a write, if it is applied at all; its own member has it from then on."""
        if one.applied:
            self.writes[key].append((one.commit, value))
            self.applied[one.member] = max(self.applied[one.member], one.commit + 1)

    def read(self, key: int, until: int) -> tuple[int, ...]:
        """What was written to a key before an instant, in order."""
        written = self.writes[key]
        return tuple(value for _, value in written[: bisect_left(written, (until,))])


def _append(world: World, one: _Planned) -> tuple[Step, ...]:
    steps, own = [], defaultdict[int, list[int]](list)
    snapshot = world.snapshot(one)
    for _ in range(1 + int(world.chance.random() * 4)):
        key = int(world.chance.random() * KEYS)
        if world.chance.random() < 0.5:
            own[key].append(next(world.values))
            steps.append(Step(Act.APPEND, key, own[key][-1]))
        else:
            seen = world.read(key, one.commit + 1 if own[key] else snapshot)
            steps.append(Step(Act.READ, key, seen=(*seen, *own[key])))
    for key, values in own.items():
        for value in values:
            world.write(one, key, value)
    return _told(one, steps)


def _bank(world: World, one: _Planned) -> tuple[Step, ...]:
    if world.chance.random() < 0.5:
        snapshot = world.snapshot(one)
        return _told(one, [Step(Act.BALANCES, seen=_balances(world, snapshot))])
    source, target = world.chance.sample(range(1, ACCOUNTS + 1), 2)
    world.write(one, source, -3)
    world.write(one, target, 3)
    return (Step(Act.TRANSFER, source, target, (3,)),)


def _set(world: World, one: _Planned) -> tuple[Step, ...]:
    if world.chance.random() < 0.4:
        return _told(one, [Step(Act.MEMBERS, seen=world.read(0, world.snapshot(one)))])
    value = next(world.values)
    world.write(one, 0, value)
    return (Step(Act.ADD, value=value),)


def _register(world: World, one: _Planned) -> tuple[Step, ...]:
    if world.chance.random() < 0.5:
        value = next(world.values)
        world.write(one, one.session, value)
        return (Step(Act.WRITE, one.session, value),)
    key = 1 + int(world.chance.random() * one.session)
    return _told(one, [Step(Act.GET, key, (0, *world.read(key, world.snapshot(one)))[-1])])


def _counter(world: World, one: _Planned) -> tuple[Step, ...]:
    key = int(world.chance.random() * KEYS)
    value = 1 + (0, *world.read(key, world.snapshot(one)))[-1]
    world.write(one, key, value)
    return (Step(Act.BUMP, key, value),)


def _told(one: _Planned, steps: list[Step]) -> tuple[Step, ...]:
    """What a client knows of its reads: nothing, unless it was answered."""
    if one.outcome is Outcome.OK:
        return tuple(steps)
    return tuple(step._replace(seen=()) for step in steps)


def _balances(world: World, until: int) -> tuple[int, ...]:
    return tuple(OPENING + sum(world.read(account, until)) for account in range(1, ACCOUNTS + 1))


def _versions(world: World, last: int) -> tuple[Step, ...]:
    return tuple(Step(Act.GET, key, (0, *world.read(key, last))[-1]) for key in sorted(world.writes))


_WORKLOADS: dict[str, Callable[[World, _Planned], tuple[Step, ...]]] = {
    "append": _append, "bank": _bank, "set": _set, "register": _register, "counter": _counter,
}
_FINALS: dict[str, Callable[[World, int], tuple[Step, ...]]] = {
    "append": lambda world, last: tuple(Step(Act.READ, key, seen=world.read(key, last)) for key in range(KEYS)),
    "bank": lambda world, last: (Step(Act.BALANCES, seen=_balances(world, last)),),
    "set": lambda world, last: (Step(Act.MEMBERS, seen=world.read(0, last)),),
    "register": lambda world, last: _versions(world, last),
    "counter": lambda world, last: _versions(world, last),
}
