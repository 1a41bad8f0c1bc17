"""What fio told of a job again and again while it ran: the steps from one telling to the next.

fio tells what it has done since its job began; here that becomes what it has done since it told before, so that any
stretch of the time that it ran can be looked at by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scenarios.bench import Line

MOST = 240
"""So many steps of a job are kept; of one that told more often, only every second, third ... telling counts."""
WAYS = ("read", "write")


def steps_of(told: Sequence[tuple[Line, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The steps between fio's tellings, in their order; none if its JSON has no histograms of latency.

    Of each step: `arrived_ns`, when its end was told; `own_ms`, for how long the job had run then by the guest's clock;
    of each direction the `bytes` that were moved and how many operations took how long (`clat_ns`: by nanoseconds).
    """
    looks = [look for line, content in told if (look := _look(line, content))]
    if len(looks) < 2:
        return []  # one telling is no more than the result itself
    every = -(-len(looks) // MOST)
    kept = looks[::-1][::every][::-1]  # the last one stays
    before: Mapping[str, Any] = {way: {"bytes": 0, "clat_ns": {}} for way in WAYS}
    steps = []
    for look in kept:
        steps.append({**look, **{way: _since(before[way], look[way]) for way in WAYS}})
        before = look
    return steps


def _look(line: Line, content: Mapping[str, Any]) -> dict[str, Any] | None:
    """What was done until a telling; None of one that does not tell enough."""
    try:
        job = content["jobs"][0]
        ways = {way: {"bytes": job[way]["io_bytes"], "clat_ns": _bins(job[way])} for way in WAYS}
        return {"arrived_ns": line.arrived_ns, "own_ms": job["job_runtime"], **ways}
    except (KeyError, TypeError, IndexError):
        return None


def _bins(way: Mapping[str, Any]) -> Mapping[str, int]:
    """How many operations took how long; a direction in which nothing was done yet has no histogram."""
    latency: Mapping[str, Any] = way["clat_ns"]
    bins: Mapping[str, int] = latency["bins"] if latency["N"] else {}
    return bins


def _since(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    earlier = before["clat_ns"]
    done = {took: count - earlier.get(took, 0) for took, count in now["clat_ns"].items()}
    return {"bytes": now["bytes"] - before["bytes"], "clat_ns": {took: count for took, count in done.items() if count}}
