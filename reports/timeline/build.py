"""Builds the timeline of a case out of its evidence; a row that cannot be made says why."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from drainproof.errors import DrainproofError
from drainproof.streams import VIRTUAL_IP
from reports.evidence import STORAGE, Evidence
from reports.timeline.clients import clients
from reports.timeline.cluster import flow_control, members
from reports.timeline.disks import disks, writers
from reports.timeline.doings import disturbances, done, nodes
from reports.timeline.model import Row, Timeline
from reports.timeline.moves import moves
from reports.timeline.palette import machine
from reports.timeline.stalls import stalls

BROKEN = (DrainproofError, KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)
"""What a record of an odd shape may raise; a row that cannot be drawn must not hide the others."""


def timeline(evidence: Evidence) -> Timeline:
    """Every row of a case. Raises MissingEvidenceError when no baseline was begun: there is no window to show."""
    window = evidence.window.span
    rows = [
        _row("done", "What was done", lambda: done(evidence)),
        _row("nodes", "Node of each virtual machine", lambda: nodes(evidence)),
        _row("moves", "Migrations", lambda: moves(evidence)),
        *(_of_disks(evidence) if evidence.kind == STORAGE else _of_service(evidence)),
    ]
    try:
        moments = tuple(disturbances(evidence))
    except BROKEN:
        moments = ()
    return Timeline(
        begin=window.begin,
        end=max(window.end, window.begin + 1),
        wall_ns=round(evidence.anchor.wall_seconds(window.begin) * 1e9),
        rows=tuple(rows),
        moments=moments,
        colours=_colours(evidence),
    )


def _of_disks(evidence: Evidence) -> list[Row]:
    return [_row("disks", "Disks", lambda: disks(evidence))]


def _of_service(evidence: Evidence) -> list[Row]:
    return [
        _row("members", "Galera: cluster size and state of each member", lambda: members(evidence)),
        *_rows("Clients’ streams", lambda: clients(evidence)),
        _row("flow", "Galera: time held by flow control", lambda: flow_control(evidence)),
        _row("stalls", "Observers kept from looking", lambda: stalls(evidence)),
    ]


def _row(name: str, title: str, make: Callable[[], Row]) -> Row:
    return _rows(title, lambda: [make()], name)[0]


def _rows(title: str, make: Callable[[], Sequence[Row]], name: str = "clients") -> list[Row]:
    try:
        return list(make())
    except BROKEN as error:
        return [Row(name, title, missing=str(error) or type(error).__name__)]


def _colours(evidence: Evidence) -> dict[str, str]:
    try:
        if evidence.kind == STORAGE:
            return dict(writers(evidence))
        return {**{vm.name: machine(number) for number, vm in enumerate(evidence.vms)}, VIRTUAL_IP: "other"}
    except BROKEN:
        return {}
