"""Each migration: how long it was prepared and took, how long the hypervisor held the guest, what it moved."""

from __future__ import annotations

import re
from collections.abc import Iterator

from drainproof.record import Event
from reports.checks.hypervisor import about, downtime
from reports.evidence import Evidence
from reports.figures.disturbed import WATCHED
from reports.migrations import Migration, migrations
from reports.verdict import Figure

TIME, PREPARATION, DOWNTIME, DATA = "migration time", "migration preparation", "hypervisor downtime", "data moved"
MEBIBYTE = 2**20
MILLISECOND = 0.001
_PROCESSED = re.compile(r"\bDataProcessed:(\d+)MiB")


def figures(evidence: Evidence) -> Iterator[Figure]:
    """Four figures of each migration that succeeded, by its virtual machine; of the others, why there is none.

    One that failed as it was told to has none to miss.

    The time is from when it was seen running to when it was seen to have succeeded, as the watch delivered it. Before
    that lies the preparation, from when the migration was first seen: a pod is scheduled and the volumes are attached
    on the target.
    """
    for migration in migrations(evidence):
        if _meant_to_fail(evidence, migration):
            continue
        if migration.phase != "Succeeded":
            reason = f"the migration was last seen in phase {migration.phase or 'none'}"
            for axis, unit in ((TIME, "s"), (PREPARATION, "s"), (DOWNTIME, "s"), (DATA, "bytes")):
                yield Figure(axis=axis, object=migration.vm, value=None, unit=unit, reason=reason)
            continue
        told = [event for event in evidence.of_kind("hypervisor", "downtime") if about(event, migration)]
        yield _time(migration)
        yield _preparation(migration)
        yield _downtime(migration, told)
        yield _data(migration, told)


def _meant_to_fail(evidence: Evidence, migration: Migration) -> bool:
    """Whether a migration was to be cancelled or refused, and did not succeed."""
    return migration.phase != "Succeeded" and any(
        fault.expects.moved.get(migration.vm) == "Failed" and migration.span.begin in fault.span
        for fault in evidence.faults
    )


def _time(migration: Migration) -> Figure:
    value = migration.span.seconds if migration.watched else None
    reason = "" if migration.watched else "the watch did not tell both when it was running and when it had ended"
    return Figure(axis=TIME, object=migration.vm, value=value, unit="s", reason=reason, resolution=WATCHED)


def _preparation(migration: Migration) -> Figure:
    created, running = migration.created_ns, migration.span.begin
    value = (running - created) / 1e9 if created is not None else None
    reason = "" if created is not None else "the watch did not tell both when it was made and when it was running"
    return Figure(axis=PREPARATION, object=migration.vm, value=value, unit="s", reason=reason, resolution=WATCHED)


def _downtime(migration: Migration, told: list[Event]) -> Figure:
    value = _paused(told)
    reason = "" if value is not None else "the hypervisor's line about this migration is missing or tells no downtime"
    return Figure(
        axis=DOWNTIME, object=migration.vm, value=value, unit="s", reason=reason, resolution=MILLISECOND
    )


def _paused(told: list[Event]) -> float | None:
    """Seconds between stop and resume where the record knows both, else what libvirt printed in milliseconds."""
    if not told:
        return None
    data = told[-1].data
    if data.get("stop_ns") and data.get("resume_ns"):
        return max(0, int(data["resume_ns"]) - int(data["stop_ns"])) / 1e9
    milliseconds = downtime(data)
    return None if milliseconds is None else milliseconds / 1000


def _data(migration: Migration, told: list[Event]) -> Figure:
    found = migration.figures.get("data_processed_bytes")
    if found is None and told and (match := _PROCESSED.search(str(told[-1].data.get("line") or ""))):
        found = int(match.group(1)) * MEBIBYTE
    reason = "" if found is not None else "the hypervisor did not tell how much data it moved"
    return Figure(
        axis=DATA, object=migration.vm, value=None if found is None else float(found), unit="bytes", reason=reason,
        resolution=MEBIBYTE,
    )
