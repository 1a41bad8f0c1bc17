"""The bench of a large site: when its record speaks against it, and how growth is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import fleet, fleet_verdict
from drainproof.record import Event, EventLog

Events = list[Event]


def vmi(name: str, node: str, uid: str = "", event: str = "MODIFIED", phase: str = "Running") -> Event:
    data = {"event": event, "name": name, "uid": uid or f"uid-{name}", "node": node, "phase": phase}
    return Event(0, "watch", "vmi", f"fleet/{name}", data)


def vmim(name: str, machine: str, phase: str = "Succeeded", event: str = "MODIFIED") -> Event:
    data = {"event": event, "name": name, "uid": f"uid-{name}", "vmi": machine, "phase": phase}
    return Event(0, "watch", "vmim", f"fleet/{name}", data)


def drain(kind: str, node: str, **data: Any) -> Event:
    return Event(0, "drain", kind, node, data)


def proof(node: str, *, happened: bool = True, healed: bool = True) -> Event:
    return drain("proof", node, happened=happened, healed=healed, reasons=[])


def record() -> Events:
    """Two machines; a is drained, then b, to which one of them had gone, while the other was on its way there."""
    return [
        vmi("x", "a", event="ADDED"), vmi("y", "a", event="ADDED"), vmim("old", "x", event="ADDED"),
        drain("begin", "a"), vmi("x", "b"), vmim("m1", "x", "Running"), vmim("m1", "x"), vmim("m1", "x"),
        drain("begin", "b"), vmi("y", "b"), vmim("m2", "y"), proof("a"),
        vmi("x", "c"), vmim("m3", "x"), vmi("y", "c"), vmim("m4", "y"), proof("b"),
    ]


def reasons(events: Events, machines: int = 2, nodes: int = 2) -> list[str]:
    return fleet_verdict.reasons(fleet_verdict.read(events), machines, nodes)


def test_a_machine_that_was_moved_once_per_drain_under_it_is_well() -> None:
    """Also one that arrived on a node whose drain had begun; a migration from before the record does not count."""
    told = fleet_verdict.read(record())
    assert fleet_verdict.reasons(told, 2, 2) == []
    assert told.due == {"x": 2, "y": 2}


@pytest.mark.parametrize(("spoil", "found"), [
    (lambda events: events.append(vmi("x", "d")), "x: moved 3 times by 2 migrations, 2 drains were under it"),
    (lambda events: events.extend([vmi("x", "d"), vmim("m5", "x")]),
     "x: moved 3 times by 3 migrations, 2 drains were under it"),
    (lambda events: events.append(vmim("m5", "x")), "x: moved 2 times by 3 migrations, 2 drains were under it"),
    (lambda events: events.remove(vmim("m3", "x")), "x: moved 2 times by 1 migrations, 2 drains were under it"),
    (lambda events: events.append(vmim("m5", "x", "Failed")), "x: 1 migrations failed"),
    (lambda events: events.append(vmi("x", "c", uid="new")), "x: it was started anew: another uid"),
    (lambda events: events.append(vmi("x", "c", event="DELETED")), "x: its instance was deleted"),
    (lambda events: events.append(vmi("x", "c", phase="Failed")), "x: its phase was Failed"),
    (lambda events: events.append(vmi("z", "c", event="ADDED")), "3 machines were seen, 2 were there"),
    (lambda events: events.remove(proof("b")), "1 drains are proved, 2 nodes were there"),
    (lambda events: events.append(proof("c", healed=False)), "the drain of c is not proved: []"),
    (lambda events: events.append(Event(0, "watch", "lost", "vmi", {"reason": "410"})),
     "the watch of vmis missed something: 410"),
])
def test_whatever_else_happened_is_a_reason(spoil: Callable[[Events], None], found: str) -> None:
    events = record()
    spoil(events)
    assert reasons(events) == [found]


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    for event in record():
        log.add(event.source, event.kind, event.object, **event.data)
    log.close()
    read = list(fleet_verdict.lines(tmp_path / "events.jsonl"))
    assert [(event.kind, event.object, event.data) for event in read] == [
        (event.kind, event.object, event.data) for event in record()
    ]
    assert json.loads((tmp_path / "events.jsonl").read_text().splitlines()[0])["object"] == "fleet/x"


def test_growth_is_the_slope_of_the_logarithms() -> None:
    sizes = [500, 1000, 5000]
    assert fleet.exponent(sizes, [3 * size for size in sizes]) == pytest.approx(1)
    assert fleet.exponent(sizes, [size**2 for size in sizes]) == pytest.approx(2)
    assert fleet.exponent(sizes, [7, 7, 7]) == pytest.approx(0)


def test_nodes_that_the_others_cannot_stand_in_for_are_not_drained_at_once() -> None:
    with pytest.raises(ValueError, match="5 nodes cannot do without 3 of them"):
        fleet.drain(250, 3, 0.1)
