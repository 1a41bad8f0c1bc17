"""Claim 7: the hypervisor's own downtime stands beside what the clients saw. It informs and never decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drainproof.record import Event
from reports.evidence import Evidence
from reports.migrations import Migration, drain_of, migrations
from reports.spans import Span
from reports.streams import HTTP_NEW, HTTP_REUSED, SQL, longest
from reports.verdict import Claim, Facts, MissingEvidenceError, Part, Verdict, sum_up

ID = "hypervisor.downtime"
TITLE = "The hypervisor's own downtime of each migration stands beside what the clients saw"
AROUND_SECONDS = 1.0
"""How far around a migration its client gap is looked for when no drain encloses it."""


def check(evidence: Evidence) -> Claim:
    """Pair each migration with its downtime line and with the longest client gaps of its drain."""
    moved = [one for one in migrations(evidence) if one.phase != "Failed"]
    if not moved:
        raise MissingEvidenceError("the record has no migration whose downtime could be told")
    parts = [_part(evidence, migration) for migration in moved]
    measured = [part.measured for part in parts if part.measured is not None]
    good = f"{len(parts)} migrations, the hypervisor paused a guest for at most {max(measured, default=0):.0f} ms"
    summary = sum_up(parts, lambda _: good, evidence.window.incomplete)
    return Claim(
        id=ID,
        title=TITLE,
        verdict=summary.verdict,
        measured=max(measured, default=None),
        bound="",
        unit="ms, longest pause of a guest",
        detection_limit=1,
        detection="the hypervisor counts whole milliseconds, and not the network's way to the new node",
        reason=summary.reason,
        evidence=("events.jsonl: hypervisor/downtime", "samples.parquet"),
        parts=summary.parts,
    )


def _part(evidence: Evidence, migration: Migration) -> Part:
    name = f"{migration.vm} / {migration.vmim}"
    told = [event for event in evidence.of_kind("hypervisor", "downtime") if about(event, migration)]
    seen = _clients(evidence, migration)
    facts: Facts = {"from": migration.source, "to": migration.target, **seen}
    paused = downtime(told[-1].data) if told else None
    if paused is None:
        reason = "the hypervisor's line about this migration is missing or says nothing of downtime"
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=reason, facts=facts)
    worst_gap = max((gap for gap in seen.values() if gap is not None), default=None)
    beside = "no client stream to compare with" if worst_gap is None else f"clients saw gaps up to {worst_gap:.3f} s"
    return Part(
        object=name,
        verdict=Verdict.PASS,
        measured=paused,
        at=evidence.at(migration.span.end),
        reason=f"paused for {paused:.0f} ms by its own account; {beside}",
        facts={**facts, **_more(told[-1].data)},
    )


def about(event: Event, migration: Migration) -> bool:
    """Whether a line is about a migration; real launchers print the migration's uid, not its name."""
    if event.data.get("vmim"):
        return bool(event.data["vmim"] == migration.vmim)
    return bool(migration.uid) and event.data.get("migration_uid") == migration.uid


def downtime(data: Mapping[str, Any]) -> float | None:
    """The downtime in ms; zero beside a total of zero is a counter read too early, not a measurement."""
    paused, total = data.get("downtime_ms"), data.get("total_ms")
    if paused is None or (float(paused) == 0 and not total):
        return None
    return float(paused)


def _more(data: Mapping[str, Any]) -> dict[str, float]:
    found = {name: float(data[name]) for name in ("downtime_net_ms", "total_ms") if data.get(name) is not None}
    if data.get("stop_ns") and data.get("resume_ns"):
        found["stop_to_resume_ms"] = (int(data["resume_ns"]) - int(data["stop_ns"])) / 1e6
    return found


def _clients(evidence: Evidence, migration: Migration) -> dict[str, float | None]:
    """The longest gap of each of the VM's streams while its node was drained, in seconds."""
    drain = drain_of(evidence, migration)
    span = (drain.span if drain else migration.span.widened(AROUND_SECONDS)).within(evidence.window.span)
    return {f"{kind}_gap_s": _gap(evidence, f"{kind}/{migration.vm}", span) for kind in (HTTP_NEW, HTTP_REUSED, SQL)}


def _gap(evidence: Evidence, stream: str, span: Span) -> float | None:
    samples = evidence.samples.get(stream)
    return longest(samples, span) if samples is not None and len(samples) else None
