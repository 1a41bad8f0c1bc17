"""fio in a record of a disk: which of its jobs were asked for, and how much of each met what it was to measure."""

from __future__ import annotations

from collections.abc import Sequence

from drainproof.record import Event
from reports.evidence import Evidence
from reports.migrations import migrations
from reports.spans import Span, covered_seconds, union

SOURCE, BASELINE, MIGRATION, DRAIN = "fio", "baseline", "migration", "drain"
DECIMALS = 2


def asked(evidence: Evidence) -> list[tuple[Event, Event | None]]:
    """Each job that was asked for, with its result, which is the first one of the same job that follows it."""
    results = evidence.of_kind(SOURCE, "result")
    found: list[tuple[Event, Event | None]] = []
    for begin in evidence.of_kind(SOURCE, "begin"):
        mine = [one for one in results if one.object == begin.object and _job(one) == _job(begin)]
        later = [one for one in mine if one.t_ns >= begin.t_ns]
        found.append((begin, later[0] if later else None))
    return found


def overlap(evidence: Evidence, result: Event, during: str) -> float:
    """Which share of the time that fio measured the disturbance took; 0 when nothing proves that they met."""
    measured = _measured(result)
    return share(evidence, [measured], during) if measured else 0.0


def share(evidence: Evidence, spans: Sequence[Span], during: str) -> float:
    """Which share of some disjoint spans the disturbance took, in whole hundredths; 0 of no time at all."""
    taken, seconds = disturbed(evidence, during), sum(span.seconds for span in spans)
    return round(sum(covered_seconds(span, taken) for span in spans) / seconds, DECIMALS) if seconds else 0.0


def meets(evidence: Evidence, result: Event, during: str) -> bool:
    """Whether fio measured at any moment of the disturbance."""
    measured = _measured(result)
    return measured is not None and covered_seconds(measured, disturbed(evidence, during)) > 0


def _measured(result: Event) -> Span | None:
    runtime, ended = result.data.get("runtime_s"), result.data.get("ended_ns")
    if not isinstance(runtime, int | float) or not isinstance(ended, int) or runtime <= 0:
        return None
    return Span(ended - int(runtime * 1e9), ended)


def disturbed(evidence: Evidence, during: str) -> list[Span]:
    """When what fio was to measure took place, and was seen to, as disjoint spans."""
    if during == DRAIN:
        return union(drain.span for drain in evidence.drains)
    if during == MIGRATION:
        return union(one.span for one in migrations(evidence) if one.phase == "Succeeded")
    return union(
        Span(fault.begun_ns, fault.healed_ns)
        for fault in evidence.faults
        if fault.kind == during and fault.happened and fault.healed_ns
    )


def _job(event: Event) -> tuple[object, object]:
    return event.data.get("job"), event.data.get("during")
