"""A synthetic record of a disk: a guest writes ten records a second while a snapshot of its machine is taken.

It can be made another disturbance's, and its writes be held, refused or lost by a test.
"""

from __future__ import annotations

from typing import Any

from tests.unit.reports.records import BOOT_IDS, NODES, Record
from tests.unit.reports.timeline import at

VM, NAMESPACE, NONCE = "bench-0", "storage", "0123456789abcdef"
BOOT, ANOTHER_BOOT = BOOT_IDS["portal-a"], BOOT_IDS["portal-b"]
PERIOD = 0.1
OPENED, BASELINE, BEGUN, DONE, OVER, END = -1.0, 6.0, 7.0, 8.0, 9.0, 15.0
"""In seconds of the window: the ledger's begin, the fault's phase, request, end and end of phase, the window's end."""
RESTORED, REOPENED, CLOSED = 20.0, 21.0, 26.0
"""Of the restore that may follow: when its guest answered, wrote again, and wrote no more."""
NETWORK_US = 400
HOLDS_US = 5_000


def disk_record(kind: str = "snapshot", **told: Any) -> Record:
    """A record that certifies; `told` is what the fault says when it has happened."""
    record = Record()
    record.target = {"name": "lab", "emulated": True}
    nodes = {node: {"unschedulable": False, "taints": [], "labels": {}} for node in NODES}
    objects: dict[str, list[str]] = {"Namespace": ["default"], "PersistentVolume": []}
    for seconds, when in ((-59, "before"), (40, "after")):
        record.event(seconds, "cluster", "snapshot", when=when, nodes=nodes, objects=objects)
    record.event(-60, "run", "case", "suites/storage", title="A guest writes on while a copy is made")
    record.found("run", "case")[0]["data"]["kind"] = "storage"
    vms = [{"name": VM, "uid": f"uid-{VM}", "address": "10.77.2.10", "node": NODES[0]}]
    record.event(-6, "storage", "deployed", namespace=NAMESPACE, storage_class="shared", vms=vms, boot_id=BOOT)
    for phase, begin, end in (("baseline", 0.0, BASELINE), ("fault/1", BASELINE, OVER), ("settle/1", OVER, END)):
        _phase(record, phase, begin, end)
    facts: dict[str, Any] = {}
    if kind == "snapshot":
        facts = {"requested_ns": at(BEGUN), "ready_ns": at(DONE), "snapshot": "snap"}
        facts["volumes"] = {"includedVolumes": ["data"], "excludedVolumes": ["root", "cidata"]}
    fault(record, 1, kind, BEGUN, DONE, **{**facts, **told})
    session(record, 1, OPENED, END + 0.5, 0)
    verified(record, END + 1, last=len(rows(record)["seq"]) - 1)
    return record


def restored_record() -> Record:
    """The same, but the machine is then put back to the snapshot, and writes again."""
    record = disk_record()
    record.drop("io-ledger", "verified")
    _phase(record, "fault/2", END + 1, RESTORED + 0.5)
    _phase(record, "settle/2", RESTORED + 0.5, CLOSED)
    moments = {"requested_ns": at(END + 2), "complete_ns": at(END + 3), "answered_ns": at(RESTORED)}
    fault(record, 2, "restore", END + 2, RESTORED, snapshot="snap", **moments)
    written = len(rows(record)["seq"])
    before = number_at(BEGUN)
    states = {"present": [[0, before]], "missing": [[before + 1, written - 1]]}
    verified(record, RESTORED + 0.2, boot_id=ANOTHER_BOOT, count=written, states=states)
    session(record, 2, REOPENED, CLOSED + 0.5, written, boot_id=ANOTHER_BOOT)
    last = rows(record, 1)["seq"][-1]
    states = {"present": [[0, before], [written, last]], "missing": [[before + 1, written - 1]]}
    verified(record, CLOSED + 1, boot_id=ANOTHER_BOOT, count=last + 1, states=states)
    return record


def fault(record: Record, number: int, kind: str, begin: float, end: float, **told: Any) -> None:
    """A fault that happened and healed; one is healed a little later than it happened."""
    facts, name = {"fault": kind, "target": VM}, f"{kind}/{number}"
    record.event(begin - 0.1, "fault", "begin", name, **facts, expects={"lost": []})
    record.event(end, "fault", "injected", name, **facts, **told)
    record.event(end + 0.3, "fault", "healed", name, **facts)
    record.event(end + 0.4, "fault", "proof", name, **facts, happened=True, healed=True, reasons=[])
    record.event(end + 0.5, "fault", "end", name, **facts)


def session(record: Record, number: int, begin: float, end: float, first: int, boot_id: str = BOOT) -> None:
    """A guest that writes from its begin to its end, all of it acknowledged."""
    count = round((end - begin) / PERIOD) - 1
    due = [round((place + 1) * PERIOD * 1e6) for place in range(count)]
    us = {
        "seq": list(range(first, first + count)), "intended": due, "submitted": [one + 100 for one in due],
        "completed": [one + HOLDS_US for one in due],
        "own": [0] * count, "arrived": [one + HOLDS_US + NETWORK_US for one in due],
    }
    record.event(
        begin, "io-ledger", "begin", VM, session=number, nonce=NONCE, first=first, period_s=PERIOD, boot_id=boot_id
    )
    record.event(end - 0.05, "io-ledger", "writes", VM, session=number, us=us, refused={})
    record.event(
        end, "io-ledger", "end", VM, session=number, acknowledged=count, orderly=True, next=first + count, reason=""
    )


def verified(
    record: Record, seconds: float, last: int = 0, vm: str = VM, boot_id: str = BOOT, **changes: Any
) -> None:
    """What was read back: all up to the last, and nothing beyond."""
    states = {"present": [[0, last]], "missing": [[last + 1, last + 4]]}
    record.event(seconds, "io-ledger", "verified", vm, nonce=NONCE, boot_id=boot_id)
    record.events[-1]["data"] |= {"count": last + 5, "states": states, "writable": True, "source": "", **changes}


def rows(record: Record, session: int = 0) -> dict[str, list[int]]:
    """The columns of a session's writes, to be changed."""
    columns: dict[str, list[int]] = record.found("io-ledger", "writes")[session]["data"]["us"]
    return columns


def number_at(seconds: float) -> int:
    """The last write of the first session that was acknowledged before a moment."""
    return int((seconds - OPENED - (HOLDS_US + NETWORK_US) / 1e6) / PERIOD) - 1


def hold(record: Record, begin: float, seconds: float, *, by: str = "disk") -> None:
    """No write is acknowledged for so long: the disk holds one, or the guest stands still, or its network."""
    columns = rows(record)
    until = round((begin + seconds - OPENED) * 1e6)
    held = [place for place, due in enumerate(columns["intended"]) if round((begin - OPENED) * 1e6) <= due < until]
    for place in held:
        columns["arrived"][place] = until + NETWORK_US
        if by == "guest":
            columns["own"][place] = until - columns["submitted"][place]
        if by in ("disk", "guest"):
            columns["completed"][place] = until
    if by == "disk":
        for place in held[1:]:
            columns["submitted"][place] = until  # one at a time


def waits_for_ever(record: Record, begin: float, told: float) -> None:
    """A write is given to the disk, and the guest tells once a second that it is out; the ledger then breaks off."""
    columns = rows(record)
    kept = number_at(begin) + 1
    for column in columns.values():
        del column[kept:]
    record.drop("io-ledger", "verified")
    given = round((begin - OPENED) * 1e6)
    for second in range(1, round(told - begin) + 1):
        record.event(
            begin + second, "io-ledger", "waiting", VM, session=1, seq=kept, submitted_us=given,
            told_us=given + second * 1_000_000, own_us=0,
        )
    end = record.found("io-ledger", "end")[0]
    end["t_ns"] = at(told + 0.5)
    end["data"] |= {"orderly": False, "next": None, "acknowledged": kept, "reason": ""}
    record.events.sort(key=lambda event: event["t_ns"])


def _phase(record: Record, phase: str, begin: float, end: float) -> None:
    record.event(begin, "run", "phase", phase=phase, state="begin")
    record.event(end, "run", "phase", phase=phase, state="end")
