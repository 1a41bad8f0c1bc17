"""The ledgers of writes in a case: what each guest's disk acknowledged, when, and what was read back of it later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from drainproof.record import Event
from reports.evidence import Evidence, Fault
from reports.spans import Span
from reports.verdict import MissingEvidenceError

SOURCE = "io-ledger"
POWER_CUT = "power-cut"
"""The source of what tells of a machine whose power is cut: begin and end."""
PAUSE, FAILOVER = "storage-pause", "storage-failover"
SNAPSHOT, RESTORE, CLONE, STORM = "snapshot", "restore", "clone", "boot-storm"
DATA = "data"
"""The name of the disk under test among the volumes of its machine."""
PRESENT = "present"
COLUMNS = ("seq", "intended", "submitted", "completed", "own", "arrived")

Column = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Outstanding:
    """A write that the disk still had when the guest last told of it; of its end nothing is known."""

    seq: int
    submitted_us: int
    told_us: int
    """Until when it is known to have been out, by the guest's clock."""
    own_us: int


@dataclass(frozen=True, slots=True)
class Session:
    """One span in which a guest wrote: a row per write, in order; guest times count from the guest's own begin."""

    vm: str
    number: int
    nonce: str
    boot_id: str
    period_s: float
    span: Span
    """From its begin to its end, or to the last thing known of it."""
    seq: Column
    intended_us: Column
    """When it was due, by the guest's clock."""
    submitted_us: Column
    """When the guest gave it to the disk."""
    completed_us: Column
    own_us: Column
    """For how long, while the disk had it, the guest itself did not run."""
    arrived_ns: Column
    """When the client was told, on the clock of the record."""
    taken: npt.NDArray[np.bool_]
    """Whether the disk acknowledged it; otherwise it refused."""
    errors: Mapping[int, int]
    """The error number of each write that was refused."""
    trouble: str
    """Why this may not be all that was acknowledged, or empty."""
    outstanding: Outstanding | None = None
    """The write after the last one, if it was told to be out."""

    def acknowledged(self, begin_ns: int | None = None, end_ns: int | None = None) -> set[int]:
        """The numbers of what was acknowledged to the client, in a span of time that is open where it is None."""
        rows = self.taken.copy()
        if begin_ns is not None:
            rows &= self.arrived_ns >= begin_ns
        if end_ns is not None:
            rows &= self.arrived_ns < end_ns
        return set(self.seq[rows].tolist())

    def submitted(self, begin_ns: int, end_ns: int) -> set[int]:
        """The numbers of what was given to the disk from a moment on, and acknowledged to the client before another.

        The guest's clock is placed on the record's by the arrival of its begin; it is late by that line's way.
        """
        given = np.minimum(self.span.begin + self.submitted_us * 1000, self.arrived_ns)
        return set(self.seq[self.taken & (given >= begin_ns) & (self.arrived_ns < end_ns)].tolist())

    def behind_s(self, t_ns: int) -> float:
        """How late the last write was that the client had been told of at a moment: its schedule is absolute."""
        before = np.flatnonzero(self.arrived_ns <= t_ns)
        if not len(before):
            return 0.0
        return max(0, int(self.completed_us[before[-1]] - self.intended_us[before[-1]])) / 1e6


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What a disk was found to hold of a ledger."""

    vm: str
    source: str
    """The machine whose ledger it is: its own, or that of the machine that it was cloned from."""
    t_ns: int
    nonce: str
    boot_id: str
    writable: bool
    states: Mapping[int, str]
    """By number: present, torn, stale, missing, unreadable, or in no file system."""


def sessions(evidence: Evidence) -> list[Session]:
    """The sessions of a case in order. Raises MissingEvidenceError when there are none, or one cannot be read."""
    begins = evidence.of_kind(SOURCE, "begin")
    if not begins:
        raise MissingEvidenceError("events.jsonl has no event io-ledger/begin: no guest ever wrote")
    try:
        return [_session(evidence, begin) for begin in begins]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        told = f"{type(error).__name__}: {error}"
        raise MissingEvidenceError(f"events.jsonl: a ledger of writes cannot be read: {told}") from error


def read_backs(evidence: Evidence) -> list[ReadBack]:
    """What was read back, in order. Raises MissingEvidenceError when one cannot be understood."""
    try:
        return [_read_back(event) for event in evidence.of_kind(SOURCE, "verified")]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        told = f"{type(error).__name__}: {error}"
        raise MissingEvidenceError(f"events.jsonl: what was read back cannot be understood: {told}") from error


def restarts(evidence: Evidence, vm: str) -> list[Span]:
    """When a guest was restarted on purpose: by restores, and by power cuts."""
    spans = [fault.span for fault in evidence.faults if fault.kind == RESTORE]
    cuts, ends = (evidence.of_kind(POWER_CUT, kind, vm) for kind in ("begin", "end"))
    return spans + [
        Span(cut.t_ns, next((end.t_ns for end in ends if end.t_ns >= cut.t_ns), evidence.events[-1].t_ns))
        for cut in cuts
    ]


def injected(evidence: Evidence, fault: Fault) -> Mapping[str, Any]:
    """What a fault told when it had happened; empty when it did not."""
    found = [
        event for event in evidence.of_kind("fault", "injected") if event.object.endswith(f"/{fault.number}")
    ]
    return found[0].data if found else {}


def _session(evidence: Evidence, begin: Event) -> Session:
    number = int(begin.data["session"])

    def of_it(kind: str) -> list[Event]:
        events = evidence.of_kind(SOURCE, kind, begin.object)
        return [event for event in events if event.data.get("session") == number]

    writes, waiting, ends = of_it("writes"), of_it("waiting"), of_it("end")
    columns = {
        name: np.concatenate([np.zeros(0, np.int64), *(np.asarray(one.data["us"][name], np.int64) for one in writes)])
        for name in COLUMNS
    }
    if len({len(column) for column in columns.values()}) > 1:
        raise ValueError("its columns differ in length")
    errors = {int(seq): int(code) for one in writes for seq, code in one.data["refused"].items()}
    end = ends[0] if ends else None
    last = max([begin.t_ns, *(one.t_ns for one in (*writes, *waiting))])
    return Session(
        vm=begin.object,
        number=number,
        nonce=str(begin.data["nonce"]),
        boot_id=str(begin.data["boot_id"]),
        period_s=float(begin.data["period_s"]),
        span=Span(begin.t_ns, end.t_ns if end else last),
        seq=columns["seq"],
        intended_us=columns["intended"],
        submitted_us=columns["submitted"],
        completed_us=columns["completed"],
        own_us=columns["own"],
        arrived_ns=begin.t_ns + columns["arrived"] * 1000,
        taken=~np.isin(columns["seq"], list(errors)),
        errors=errors,
        trouble=_trouble(int(begin.data["first"]), columns["seq"], end, len(columns["seq"]) - len(errors)),
        outstanding=_outstanding(waiting, columns["seq"]),
    )


def _outstanding(waiting: Sequence[Event], seq: Column) -> Outstanding | None:
    """The last write that was told to be out, unless its end is known."""
    if not waiting:
        return None
    told = {name: int(waiting[-1].data[name]) for name in ("seq", "submitted_us", "told_us", "own_us")}
    return Outstanding(**told) if told["seq"] > max(seq.tolist(), default=-1) else None


def _trouble(first: int, seq: Column, end: Event | None, acknowledged: int) -> str:
    """Why a session may lack something that was acknowledged."""
    if end is None:
        return "it never ended: what it acknowledged last is not known"
    if end.data.get("orderly") is not True:
        return f"it broke off: {end.data.get('reason') or 'without a word'}"
    if not np.array_equal(seq, np.arange(first, first + len(seq))):
        return "its writes are not numbered one after the other"
    if end.data.get("next") != first + len(seq):
        return f"the guest ended before write {end.data.get('next')}, the record has those up to {first + len(seq) - 1}"
    if end.data.get("acknowledged") != acknowledged:
        return f"{end.data.get('acknowledged')} writes were acknowledged, the record has {acknowledged}"
    return ""


def _read_back(event: Event) -> ReadBack:
    count, states = int(event.data["count"]), {}
    for state, ranges in event.data["states"].items():
        for first, last in ranges:
            if not 0 <= first <= last < count or any(seq in states for seq in range(first, last + 1)):
                raise ValueError(f"records {first} to {last} are told twice, or were not asked for")
            states.update(dict.fromkeys(range(first, last + 1), str(state)))
    if len(states) != count:
        raise ValueError(f"of {count} records that were asked for, {len(states)} are told")
    return ReadBack(
        vm=event.object,
        source=str(event.data.get("source") or event.object),
        t_ns=event.t_ns,
        nonce=str(event.data["nonce"]),
        boot_id=str(event.data["boot_id"]),
        writable=event.data["writable"] is True,
        states=states,
    )


def ranges(numbers: Sequence[int] | set[int], most: int = 5) -> str:
    """Numbers as ranges, as reasons name them: 3, 7-9 and so many more."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    told = [str(first) if first == last else f"{first}-{last}" for first, last in found]
    more = [f"and {len(told) - most} more ranges"] if len(told) > most else []
    return ", ".join([*told[:most], *more])
