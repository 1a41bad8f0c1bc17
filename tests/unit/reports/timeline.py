"""When what happens in a synthetic record, of whom, and how series and queries of Prometheus are written."""

from __future__ import annotations

from typing import Any

from drainproof.clock import Anchor

S = 1_000_000_000
MS = 1_000_000
BEGIN = 1_000 * S
ANCHOR = Anchor(monotonic_ns=BEGIN, wall_ns=1_767_225_600 * S)
VMS = ("portal-a", "portal-b", "portal-c")
ADDRESSES = dict(zip(VMS, ("10.77.1.10", "10.77.1.11", "10.77.1.12"), strict=True))
BASELINE, DRAIN, SETTLE = 6.0, 5.0, 3.0
END = BASELINE + 3 * (DRAIN + SETTLE)
PAUSE_AT, PAUSE = 2.0, 0.4
"""The applications of each guest are silent for that long, that long after its drain began, in seconds."""
STOPPED = 0.145
"""So long of it the guest does not run."""
SCRAPES = [second + 0.37 for second in range(-3, int(END) + 1)]


def at(seconds: float) -> int:
    """The monotonic nanosecond of a second of the window."""
    return BEGIN + round(seconds * S)


def drain_begin(index: int) -> float:
    """When the drain under the VM of that index begins, in seconds of the window."""
    return BASELINE + index * (DRAIN + SETTLE)


def pause_of(vm: str) -> tuple[float, float]:
    """When the applications of a VM's guest are silent because of its migration."""
    begin = drain_begin(VMS.index(vm)) + PAUSE_AT
    return begin, begin + PAUSE


def series_of(labels: dict[str, str], times: list[float], values: list[Any]) -> dict[str, Any]:
    """One series as Prometheus answers it."""
    pairs = zip(times, values, strict=True)
    return {"metric": labels, "values": [[ANCHOR.wall_seconds(at(time)), str(value)] for time, value in pairs]}


def query_of(name: str, result: list[dict[str, Any]]) -> dict[str, Any]:
    """A query and what it returned."""
    return {"name": name, "query": name, "start": 0.0, "end": 0.0, "result": result, "error": None}
