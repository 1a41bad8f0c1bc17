"""The migrations of a case: each VirtualMachineInstanceMigration that was watched, joined with what the drain says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drainproof.record import Event
from reports.evidence import Drain, Evidence
from reports.spans import Span

FINAL = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration of one portal VM; `phase` and `mode` are empty when the watch never told them."""

    vmim: str
    uid: str
    vm: str
    source: str
    target: str
    phase: str
    mode: str
    failure: str
    span: Span
    """From when the migration was running, or first seen, until it ended, as the watch delivered it."""
    announced: bool
    """Whether the drain says that it waited for this migration and saw it through."""


def migrations(evidence: Evidence) -> tuple[Migration, ...]:
    """Every migration of a portal VM in the window, by its begin."""
    names = {vm.name for vm in evidence.vms}
    window = evidence.window.span
    watched: dict[str, list[Event]] = {}
    for event in evidence.of_kind("watch", "vmim"):
        if event.data.get("vmi") in names and event.t_ns in window and _ours(event, evidence.namespace):
            watched.setdefault(str(event.data.get("name")), []).append(event)
    told: dict[str, Event] = {}
    for event in evidence.of_kind("drain", "migrated"):
        name = event.object.rpartition("/")[2]
        if name in names and event.t_ns in window and event.data.get("live") is not False:
            told[str(event.data.get("vmim") or f"unnamed migration of {name}")] = event
    found = [_migration(vmim, watched.get(vmim, []), told.get(vmim)) for vmim in {**watched, **told}]
    return tuple(sorted(found, key=lambda migration: (migration.span, migration.vmim)))


def drain_of(evidence: Evidence, migration: Migration) -> Drain | None:
    """The drain during which a migration took place."""
    for drain in evidence.drains:
        if drain.span.overlaps(migration.span) or migration.span.begin in drain.span:
            return drain
    return None


def _ours(event: Event, namespace: str) -> bool:
    return "/" not in event.object or event.object.startswith(f"{namespace}/")


def _migration(vmim: str, watched: list[Event], told: Event | None) -> Migration:
    facts = told.data if told else {}
    state = _last_state(watched)
    phases = [str(event.data.get("phase") or "") for event in watched]
    events = watched or ([told] if told else [])
    running = [event.t_ns for event, phase in zip(watched, phases, strict=True) if phase == "Running"]
    ended = [event.t_ns for event, phase in zip(watched, phases, strict=True) if phase in FINAL]
    finals = [phase for phase in phases if phase in FINAL]
    return Migration(
        vmim=vmim,
        uid=str(watched[-1].data.get("uid") or "") if watched else "",
        vm=str(watched[-1].data["vmi"]) if watched else events[0].object.rpartition("/")[2],
        source=str(facts.get("from") or state.get("sourceNode") or ""),
        target=str(facts.get("to") or state.get("targetNode") or ""),
        phase=finals[0] if finals else (phases[-1] if phases else ""),
        mode=str(state.get("mode") or ""),
        failure=str(state.get("failureReason") or ""),
        span=Span(running[0] if running else events[0].t_ns, ended[0] if ended else events[-1].t_ns),
        announced=told is not None,
    )


def _last_state(watched: list[Event]) -> Mapping[str, Any]:
    states = [event.data["migration"] for event in watched if event.data.get("migration")]
    return states[-1] if states else {}
