"""The register workload: the guarantees that one session relies on (Terry et al., "Session Guarantees", PDIS 1994).

A version is older than another for certain when its write was acknowledged before the other's began: Galera commits in
one order, and a later transaction in real time comes later in it. A read is judged against what came before it:

- read your writes: on the member where the session wrote, always; on any member after wsrep_sync_wait;
- monotonic reads: on one member, always; across members after wsrep_sync_wait;
- what others were told was written: after wsrep_sync_wait.

Without wsrep_sync_wait a member may lag behind the others: such a read is stale, and that is database behaviour.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from drainproof.record import Act, History
from reports.consistency.columns import place, unclear, written
from reports.consistency.findings import Findings, Kind, Report, Teller
from reports.verdict import MissingEvidenceError

WORKLOAD = "register"
INITIAL = 0
"""The version of a register that nobody has written."""
NEVER, ALWAYS = np.iinfo(np.int64).max, -1


@dataclass(frozen=True, slots=True)
class _Version:
    """One write: its operation, or -1 for the version that was there at first, when it began and was acknowledged."""

    value: int
    row: int
    start_ns: int
    end_ns: int

    def older_than(self, other: _Version) -> bool:
        """Whether it was written before the other for certain."""
        return self.end_ns < other.start_ns


@dataclass
class _Register:
    """What was written to one register."""

    versions: dict[int, _Version]
    ends: list[int] = field(default_factory=list)
    """When writes were acknowledged, in order, and after each the version that began last of all until then."""
    newest: list[_Version] = field(default_factory=list)

    def acknowledged_before(self, t_ns: int) -> _Version:
        """The newest version that had been acknowledged at an instant."""
        count = bisect_left(self.ends, t_ns)
        return self.newest[count - 1] if count else self.versions[INITIAL]


def check(history: History, members: Sequence[str], at: Callable[[int], str] | None = None) -> Report:
    """Check the registers of a history; `members` are those on which each must have been read at the end.

    Raises MissingEvidenceError when clients wrote one version of a register twice.
    """
    history = history.only(WORKLOAD)
    registers = _registers(history)
    watch = _Watch(history, registers, Teller(history, at))
    steps, acknowledged = history.steps, history.acknowledged
    finals: dict[tuple[int, int], int] = {}
    reads = 0
    for step in np.flatnonzero(np.isin(steps.act, (Act.WRITE, Act.GET)) & acknowledged[steps.row]).tolist():
        row, key, value = int(steps.row[step]), int(steps.key[step]), int(steps.value[step])
        if steps.act[step] == Act.WRITE:
            watch.wrote(row, key, value)
        elif watch.known(row, key, value):
            watch.read(row, key, value)
        if steps.act[step] == Act.GET:
            reads += not history.final[row]
            if history.final[row]:
                finals[key, int(history.member[row])] = value
    changed = [key for key, register in registers.items() if register.ends]
    unread = [
        f"{len(missing)} registers were not read on {member} at the end"
        for member in members
        if (missing := [key for key in changed if (key, place(history, member)) not in finals])
    ]
    _compare(finals, watch)
    present, absent = _resolved(history, registers, finals)
    return Report(
        operations=len(history), acknowledged=int(acknowledged.sum()), writes=written(history), reads=reads,
        findings=watch.found.all(), open_present=present, open_absent=absent, unread=tuple(unread),
    )


class _Watch:
    """Follows every session through the history and remembers what it may rely on."""

    def __init__(self, history: History, registers: dict[int, _Register], teller: Teller) -> None:
        self.found = Findings()
        self.lost: set[int] = set()
        """The registers that a member has lost a version of at the end."""
        self._history = history
        self._refused = history.refused
        self._registers = registers
        self._teller = teller
        self._written: dict[tuple[int, int], tuple[_Version, int]] = {}
        """By session and register: what it wrote last, and on which member."""
        self._seen: dict[tuple[int, int, int], tuple[_Version, int]] = {}
        """By session, register and member: the newest version read, and by which operation."""

    def wrote(self, row: int, key: int, value: int) -> None:
        history = self._history
        written = self._registers[key].versions[value], int(history.member[row])
        self._written[int(history.session[row]), key] = written

    def known(self, row: int, key: int, value: int) -> bool:
        """Whether a version may be read at all."""
        version = self._registers[key].versions.get(value)
        if version is None:
            said = f"nobody wrote version {value} of register {key}"
            self.found.add(Kind.PHANTOM, 1, self._teller.witness(said, row))
        elif version.row >= 0 and self._refused[version.row]:
            said = f"version {value} of register {key} was refused, and read"
            self.found.add(Kind.G1A, 1, self._teller.witness(said, version.row, row))
            return False
        return version is not None

    def read(self, row: int, key: int, value: int) -> None:
        """Judge one read; a final one is read after all writing, and judged as one that has caught up."""
        history = self._history
        version = self._registers[key].versions[value]
        newest = self._registers[key].acknowledged_before(int(history.start_ns[row]))
        if history.final[row]:
            if version.older_than(newest):
                self._tell(Kind.LOST, row, key, version, newest.row)
                self.lost.add(key)
            return
        kind, cause = self._broken(row, key, version)
        if kind is None and version.older_than(newest):
            kind, cause = (Kind.STALE_SYNC if history.sync[row] else Kind.STALE), newest.row
        if kind is not None:
            self._tell(kind, row, key, version, cause)
        self._remember(row, key, version)

    def _broken(self, row: int, key: int, version: _Version) -> tuple[Kind | None, int]:
        """Which guarantee of its session a read breaks, and the operation that gave it."""
        history = self._history
        session, member, sync = int(history.session[row]), int(history.member[row]), bool(history.sync[row])
        if (session, key) in self._written:
            written, where = self._written[session, key]
            if version.older_than(written) and (sync or where == member):
                return Kind.OWN_WRITE, written.row
        for other in range(len(history.members)) if sync else (member,):
            if (session, key, other) in self._seen:
                seen, by = self._seen[session, key, other]
                if version.older_than(seen):
                    return Kind.NOT_MONOTONIC, by
        return None, -1

    def _remember(self, row: int, key: int, version: _Version) -> None:
        history = self._history
        place_ = int(history.session[row]), key, int(history.member[row])
        if place_ not in self._seen or self._seen[place_][0].older_than(version):
            self._seen[place_] = version, row

    def _tell(self, kind: Kind, row: int, key: int, version: _Version, cause: int) -> None:
        tell = self._teller.op
        said = f"op {tell(row)} read version {version.value} of register {key} after op {tell(cause)}"
        self.found.add(kind, 1, self._teller.witness(said, cause, row))

    def differ(self, key: int, held: dict[int, int]) -> None:
        """Tell that members hold different versions at the end."""
        told = ", ".join(f"{value} on {self._history.members[member]}" for member, value in sorted(held.items()))
        self.found.add(Kind.DIFFERENT, 1, (f"register {key} has version {told}", ()))


def _registers(history: History) -> dict[int, _Register]:
    steps, acknowledged = history.steps, history.acknowledged
    registers: dict[int, _Register] = {}
    for step in np.flatnonzero(np.isin(steps.act, (Act.WRITE, Act.GET))).tolist():
        key, value, row = int(steps.key[step]), int(steps.value[step]), int(steps.row[step])
        register = registers.setdefault(key, _Register({INITIAL: _Version(INITIAL, -1, ALWAYS, ALWAYS)}))
        if steps.act[step] == Act.WRITE:
            if value in register.versions:
                raise MissingEvidenceError(f"version {value} of register {key} was written by two operations")
            end = int(history.end_ns[row]) if acknowledged[row] else NEVER
            register.versions[value] = _Version(value, row, int(history.start_ns[row]), end)
    for register in registers.values():
        newest = register.versions[INITIAL]
        for version in sorted(register.versions.values(), key=lambda one: one.end_ns)[1:]:
            if version.end_ns < NEVER:
                newest = max(newest, version, key=lambda one: one.start_ns)
                register.ends.append(version.end_ns)
                register.newest.append(newest)
    return registers


def _compare(finals: dict[tuple[int, int], int], watch: _Watch) -> None:
    by_key: dict[int, dict[int, int]] = {}
    for (key, member), value in finals.items():
        by_key.setdefault(key, {})[member] = value
    for key, held in by_key.items():
        if len(set(held.values())) > 1 and key not in watch.lost:
            watch.differ(key, held)


def _resolved(
    history: History, registers: dict[int, _Register], finals: dict[tuple[int, int], int]
) -> tuple[int, int]:
    """How many writes without an answer are a register's last version, and how many are not: most were overwritten."""
    still_open = unclear(history)
    last = {(key, value) for (key, _), value in finals.items()}
    ends = [
        (key, version.value) in last
        for key, register in registers.items()
        for version in register.versions.values()
        if version.row >= 0 and still_open[version.row]
    ]
    return sum(ends), len(ends) - sum(ends)
