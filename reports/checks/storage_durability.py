"""Every write that the disk acknowledged is on it, whole; a copy is of one moment, after it was asked for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from reports.disks import (
    CLONE,
    FAILOVER,
    PAUSE,
    PRESENT,
    RESTORE,
    SNAPSHOT,
    ReadBack,
    Session,
    injected,
    ranges,
    read_backs,
    sessions,
)
from reports.evidence import Evidence, Fault
from reports.verdict import Claim, Part, Verdict, sum_up

ID = "storage.durability"
TITLE = "Every write that the disk acknowledged is on it, whole"
UNDERWAY_NS = 2_000_000_000
"""What was given to the disk so long after a copy was ready came after it, however late the guest's clock is placed."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a disk must hold, and what it must not."""

    present: set[int] = field(default_factory=set)
    absent: set[int] = field(default_factory=set)
    between: tuple[set[int], ...] = ()
    """Acknowledged while each copy was made, and later. The guest writes one at a time: of these a copy of one moment
    has the first so many, and none that came after one that it lacks."""
    trouble: str = ""
    """Why that is not known, or empty."""


def check(evidence: Evidence) -> Claim:
    """Compare each reading of a disk with what was acknowledged; without a reading nothing is known."""
    known, found = sessions(evidence), read_backs(evidence)
    parts = [_read(evidence, known, one) for one in found]
    parts += [_never_read(vm, known, found) for vm in sorted({one.vm for one in known})]
    if any(fault.kind in (PAUSE, FAILOVER) for fault in evidence.faults):
        parts += [_in_another_boot(vm, known, found) for vm in sorted({one.vm for one in known})]
    parts += [
        Part(object=f"writes of {one.vm}, session {one.number}", verdict=Verdict.UNKNOWN, reason=one.trouble)
        for one in known
        if one.trouble
    ]
    count = sum(int(one.taken.sum()) for one in known)
    good = f"all of {count} acknowledged writes accounted for in {len(found)} readings"
    summary = sum_up(parts, lambda _: good, evidence.window.incomplete)
    lost = [part.measured for part in parts if part.measured is not None]
    return Claim(
        id=ID,
        title=TITLE,
        verdict=summary.verdict,
        measured=sum(lost) if lost else None,
        limit=0,
        unit="acknowledged writes lost",
        detection=(
            "a write is told by its number in each sector and the CRC-32 of its 4 KiB; it is read past the guest's "
            "cache of data, not past those of the host and of the storage; where it lies its file system tells, which "
            "may do so from its memory unless the guest was restarted"
        ),
        reason=summary.reason,
        evidence=("events.jsonl: io-ledger/writes, io-ledger/verified, fault/injected",),
        hint="See what the storage acknowledges before it is durable." if summary.verdict is Verdict.FAIL else "",
        parts=summary.parts,
    )


def _read(evidence: Evidence, known: list[Session], found: ReadBack) -> Part:
    name = f"{found.vm} at {evidence.at(found.t_ns)}"
    wanted = _wanted(evidence, known, found)
    if wanted.trouble:
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=wanted.trouble)
    lost = {seq: found.states.get(seq, "not read back") for seq in wanted.present}
    lost = {seq: state for seq, state in lost.items() if state != PRESENT}
    if unread := {seq for seq, state in lost.items() if state == "not read back"}:
        reason = f"of what was acknowledged before, {ranges(unread)} was not read back"
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=reason)
    facts = {"acknowledged_before": len(wanted.present), "must_be_gone": len(wanted.absent)}
    if lost:
        kinds = ", ".join(f"{count} {state}" for state, count in sorted(Counter(lost.values()).items()))
        reason = f"{len(lost)} of {len(wanted.present)} acknowledged writes are lost ({kinds}): {ranges(set(lost))}"
        return Part(object=name, verdict=Verdict.FAIL, reason=reason, measured=len(lost), facts=facts)
    if left := {seq for seq in wanted.absent if found.states.get(seq) == PRESENT}:
        reason = f"it holds {len(left)} writes that came after {_copy(found)}: {ranges(left)}"
        return Part(object=name, verdict=Verdict.FAIL, reason=reason, measured=0, facts=facts)
    if gaps := set().union(*(_gaps(one, found) for one in wanted.between)):
        reason = f"it is of no one moment: it lacks {ranges(gaps)}, and holds writes that were submitted after that"
        return Part(object=name, verdict=Verdict.FAIL, reason=reason, measured=0, facts=facts)
    gone = f", none of the {len(wanted.absent)} that came after {_copy(found)}" if wanted.absent else ""
    reason = f"holds all {len(wanted.present)} writes that were acknowledged before{gone}"
    return Part(object=name, verdict=Verdict.PASS, reason=reason, measured=0, facts=facts)


def _copy(found: ReadBack) -> str:
    return "the snapshot it was restored from" if found.vm == found.source else "it was cloned"


def _gaps(between: set[int], found: ReadBack) -> set[int]:
    """What a copy lacks of the writes while it was made although it holds a later one."""
    last = max((seq for seq in between if found.states.get(seq) == PRESENT), default=-1)
    return {seq for seq in between if seq < last and found.states.get(seq) != PRESENT}


def _wanted(evidence: Evidence, known: list[Session], found: ReadBack) -> _Wanted:
    own = [one for one in known if one.vm == found.source and one.span.begin < found.t_ns]
    if not own or any(one.nonce != found.nonce for one in own):
        return _Wanted(trouble=f"what was read is not the ledger of {found.source} that the record holds")
    if found.source != found.vm:
        return _of_clone(evidence, own, found)
    present = set().union(*(one.acknowledged(None, found.t_ns) for one in own))
    absent: set[int] = set()
    between: list[set[int]] = []
    for restore in (fault for fault in evidence.faults if fault.kind == RESTORE):
        # One that has begun may have put the disk back even if it did not come to its end.
        if restore.begun_ns > found.t_ns:
            continue
        moments = _snapshot_of(evidence, restore)
        if moments is None:
            return _Wanted(trouble=f"the record does not tell of the snapshot of {restore.phase}")
        requested, ready = moments
        while_made = set().union(*(one.acknowledged(requested, restore.begun_ns) for one in own))
        present -= while_made
        between.append(while_made)
        absent |= set().union(*(one.submitted(ready + UNDERWAY_NS, restore.begun_ns) for one in own))
        if not absent:
            return _Wanted(trouble="nothing was written after the snapshot: a restore that did nothing looks the same")
    trouble = "" if present else "nothing was acknowledged before: there is nothing that could be lost"
    return _Wanted(present, absent, tuple(between), trouble)


def _of_clone(evidence: Evidence, own: list[Session], found: ReadBack) -> _Wanted:
    """A clone has what was acknowledged before it was asked for, and nothing of what came after it was made."""
    asked = [
        (told.get("requested_ns"), told.get("cloned_ns"))
        for fault in evidence.faults
        if fault.kind == CLONE and (told := injected(evidence, fault)).get("clone") == found.vm
    ]
    requested, cloned = asked[0] if asked else (None, None)
    if not isinstance(requested, int) or not isinstance(cloned, int):
        return _Wanted(trouble=f"the record does not tell when {found.vm} was asked for and made")
    if any(one.boot_id == found.boot_id for one in own):
        return _Wanted(trouble=f"it was read in the guest of {found.source}, and not in that of the clone")
    present = set().union(*(one.acknowledged(None, requested) for one in own))
    absent = set().union(*(one.submitted(cloned + UNDERWAY_NS, found.t_ns) for one in own))
    between = set().union(*(one.acknowledged(requested, found.t_ns) for one in own))
    trouble = "" if present else "nothing was acknowledged before the clone was asked for"
    if not absent:
        trouble = trouble or "nothing was written after it was made: one that shares the original's disk looks the same"
    return _Wanted(present, absent, (between,), trouble)


def _snapshot_of(evidence: Evidence, restore: Fault) -> tuple[int, int] | None:
    """When the snapshot that a restore took was asked for, and when it was ready."""
    name = injected(evidence, restore).get("snapshot")
    for fault in evidence.faults:
        told = injected(evidence, fault)
        if fault.kind == SNAPSHOT and name and told.get("snapshot") == name:
            return int(told["requested_ns"]), int(told["ready_ns"])
    return None


def _never_read(vm: str, known: list[Session], found: list[ReadBack]) -> Part:
    """Whether a disk was read after the last write to it."""
    last = max(one.span.end for one in known if one.vm == vm)
    name = f"last reading of {vm}"
    if any(one.vm == vm and one.t_ns >= last for one in found):
        return Part(object=name, verdict=Verdict.PASS, reason="after its last write")
    return Part(object=name, verdict=Verdict.UNKNOWN, reason="its disk was not read back after its last write")


def _in_another_boot(vm: str, known: list[Session], found: list[ReadBack]) -> Part:
    """Whether the disk was read after the last write by a guest that had not written it.

    Asked where its server was disturbed: what the storage lost of the file system, the guest that wrote still knows.
    """
    own = [one for one in known if one.vm == vm]
    last, boots = max(one.span.end for one in own), {one.boot_id for one in own}
    name = f"reading of {vm} in another boot"
    if any(one.vm == vm and one.t_ns >= last and one.boot_id and one.boot_id not in boots for one in found):
        return Part(object=name, verdict=Verdict.PASS, reason="after a restart, from what is on the disk")
    reason = "its disk was read in no other boot than wrote it: where a record lies, the guest may have remembered"
    return Part(object=name, verdict=Verdict.UNKNOWN, reason=reason)
