"""What fio did step by step, by the clock of the record: its figures of any stretch of the time that it ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from drainproof.record import Event
from reports.spans import Span, covered_seconds

MOSTLY = 0.5
"""A step counts where at least so much of it lies in the time that is looked at."""
ENOUGH = 100
"""With fewer operations a 99th percentile is no more than their maximum."""
WAYS = ("read", "write")


@dataclass(frozen=True, slots=True)
class Done:
    """What was done in one direction: bytes, and how many operations took how many nanoseconds."""

    size: int
    took: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Step:
    """What was done from one moment of the record's clock to another, by direction."""

    span: Span
    done: Mapping[str, Done]


def steps(result: Event) -> list[Step]:
    """The steps of a result, in order; none of a record that has none, or where they are of an odd shape.

    A guest's clock may stand still, and what a guest tells may be late: a telling was made no later than any that came
    after it arrived, less what the guest's own clock says lies between the two.
    """
    told = result.data.get("steps") or []
    try:
        looks = [(int(one["arrived_ns"]), int(one["own_ms"]) * 1_000_000) for one in told]
        done = [{way: _done(one[way]) for way in WAYS} for one in told]
    except (KeyError, TypeError, ValueError, AttributeError):
        return []
    moments = _moments(looks)
    return [Step(Span(*ends), what) for ends, what in zip(pairwise(moments), done, strict=True) if ends[0] < ends[1]]


def _moments(looks: Sequence[tuple[int, int]]) -> list[int]:
    """When the job began and each telling was made; `looks` are when each arrived and for how long the job had run."""
    latest = [arrived - own for arrived, own in looks]  # when the job began, if its guest stood still no more after it
    began = list(accumulate(reversed(latest), min))[::-1]
    return began[:1] + [moment + own for moment, (_, own) in zip(began, looks, strict=True)]


def within(known: Sequence[Step], disturbed: Sequence[Span]) -> list[Step]:
    """The steps that lie mostly within disjoint spans."""
    return [one for one in known if covered_seconds(one.span, disturbed) >= MOSTLY * one.span.seconds]


def told_of(chosen: Sequence[Step], way: str) -> dict[str, float]:
    """What fio itself would tell of some steps: operations, IOPS, bytes per second, and p99 in seconds of enough.

    The rates are by the record's clock: a guest that stands still does nothing meanwhile.
    """
    took: Counter[int] = Counter()
    for one in chosen:
        took.update(one.done[way].took)
    count, seconds = took.total(), sum(one.span.seconds for one in chosen)
    size = sum(one.done[way].size for one in chosen)
    p99 = {"p99_s": _p99(took) / 1e9} if count >= ENOUGH else {}
    return {"ios": count, "iops": count / seconds, "bytes_per_s": size / seconds, **p99}


def _p99(took: Counter[int]) -> int:
    left = took.total() * 0.99
    for nanoseconds, count in sorted(took.items()):
        left -= count
        if left <= 0:
            return nanoseconds
    return max(took)


def _done(told: Mapping[str, Any]) -> Done:
    took = {int(nanoseconds): int(count) for nanoseconds, count in told["clat_ns"].items()}
    if min(took.values(), default=0) < 0:
        raise ValueError("fewer operations than before")
    return Done(int(told["bytes"]), took)
