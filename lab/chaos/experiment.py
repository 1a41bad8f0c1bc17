"""What all experiments share: whether one should run now, its records, and the conditions that follow from them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from lab.chaos import durations
from lab.machinery.objects import annotations_of, deleting, dig, parse_time, stamp

Object = dict[str, Any]
"""A Kubernetes object as plain JSON."""

FINALIZER = "chaos-mesh/records"
PAUSE_ANNOTATION = "experiment.chaos-mesh.org/pause"
RUN, STOP = "Run", "Stop"
INJECTED, NOT_INJECTED = "Injected", "Not Injected"
SOURCE, TARGET = ".", ".Target"
"""The selectors of an experiment, as its records name them."""
KEPT_EVENTS = 10


def seconds_left(item: Object, now: datetime) -> float | None:
    """Seconds until the experiment's duration is over, from its creation on; None when it has no end."""
    text = dig(item, "spec", "duration")
    created = parse_time(dig(item, "metadata", "creationTimestamp"))
    if not text or created is None:
        return None
    return durations.seconds(str(text)) - (now - created).total_seconds()


def paused(item: Object) -> bool:
    return annotations_of(item).get(PAUSE_ANNOTATION) == "true"


def desired_phase(item: Object, now: datetime) -> str:
    """Run, or Stop once the experiment is deleted, over or paused."""
    left = seconds_left(item, now)
    over = left is not None and left <= 0
    return STOP if deleting(item) or over or paused(item) else RUN


def records(item: Object) -> list[Object]:
    found: list[Object] = dig(item, "status", "experiment", "containerRecords", default=[])
    return found


def injected(item: Object) -> bool:
    """Whether the records say that it was injected everywhere."""
    return bool(records(item)) and all(record["phase"] == INJECTED for record in records(item))


def recovered(item: Object) -> bool:
    """Whether the records say that nothing of it is left; so too when it was never injected."""
    return all(record["phase"] == NOT_INJECTED for record in records(item))


def new_records(selected: Iterable[tuple[str, str]]) -> list[Object]:
    """Records that say Not Injected, one for each (selector, id)."""
    return [
        {"id": where, "selectorKey": selector, "phase": NOT_INJECTED, "injectedCount": 0, "recoveredCount": 0}
        for selector, where in selected
    ]


def set_phases(item: Object, phase: str) -> None:
    """Note in every record that it has come to this phase, unless it was there already."""
    operation, counter = ("Apply", "injectedCount") if phase == INJECTED else ("Recover", "recoveredCount")
    for record in records(item):
        if record["phase"] != phase:
            record["phase"] = phase
            record[counter] += 1
            told = {"type": "Succeeded", "operation": operation, "timestamp": stamp()}
            record["events"] = [*record.get("events", []), told][-KEPT_EVENTS:]


def set_status(item: Object, phase: str) -> None:
    """The desired phase, and the conditions that follow from the records."""
    status = item.setdefault("status", {})
    status.setdefault("experiment", {})["desiredPhase"] = phase
    facts = {
        "Selected": bool(records(item)), "AllInjected": injected(item),
        "AllRecovered": bool(records(item)) and recovered(item), "Paused": paused(item),
    }
    status["conditions"] = [{"type": type_, "status": str(value)} for type_, value in facts.items()]
