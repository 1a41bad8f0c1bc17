"""The migrations of a case: each VirtualMachineInstanceMigration that was watched, joined with what its maker says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
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
    watched: bool
    """Whether the watch told both ends of the span; otherwise it is only where the migration was heard of."""
    created_ns: int | None
    """When the watch first told of it, before it was running; None if it did not."""
    announced: bool
    """Whether a drain, or who made it, says that it waited for this migration and saw it through."""
    phases: tuple[tuple[str, float], ...] = ()
    """Its phases in order, each with its seconds: as the watch delivered them, else by its own whole seconds."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """What the hypervisor told who made it (`migrate/outcome`): data moved, rates, iterations; empty for a drain's."""


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
    for event in evidence.of_kind("migrate", "outcome"):
        if event.data.get("vm") in names and event.t_ns in window:
            told[str(event.data["vmim"])] = event
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
    facts: Mapping[str, Any] = told.data if told else {}
    made = facts if told and told.source == "migrate" else {}
    state = _last_state(watched)
    phases = [str(event.data.get("phase") or "") for event in watched]
    events = watched or ([told] if told else [])
    running = [event.t_ns for event, phase in zip(watched, phases, strict=True) if phase == "Running"]
    ended = [event.t_ns for event, phase in zip(watched, phases, strict=True) if phase in FINAL]
    finals = [phase for phase in phases if phase in FINAL]
    return Migration(
        vmim=vmim,
        uid=str((watched[-1].data if watched else made).get("uid") or ""),
        vm=str(watched[-1].data["vmi"]) if watched else events[0].object.rpartition("/")[2],
        source=str(facts.get("from") or state.get("sourceNode") or ""),
        target=str(facts.get("to") or state.get("targetNode") or ""),
        phase=finals[0] if finals else str(made.get("phase") or (phases[-1] if phases else "")),
        mode=str(state.get("mode") or made.get("mode") or ""),
        failure=str(state.get("failureReason") or made.get("failure") or ""),
        span=Span(running[0] if running else events[0].t_ns, ended[0] if ended else events[-1].t_ns),
        watched=bool(running and ended and running[0] <= ended[0]),
        created_ns=watched[0].t_ns if running and watched[0].t_ns < running[0] else None,
        announced=told is not None,
        phases=_phases(watched) or tuple((made.get("phases") or {}).items()),
        figures=made,
    )


def _phases(watched: list[Event]) -> tuple[tuple[str, float], ...]:
    """How long each phase lasted, from its first sight to that of the next; without the last, which lasts for ever."""
    first: dict[str, int] = {}
    for event in watched:
        if phase := str(event.data.get("phase") or ""):
            first.setdefault(phase, event.t_ns)
    return tuple((phase, (end - begin) / 1e9) for (phase, begin), (_, end) in pairwise(first.items()))


def _last_state(watched: list[Event]) -> Mapping[str, Any]:
    states = [event.data["migration"] for event in watched if event.data.get("migration")]
    return states[-1] if states else {}
