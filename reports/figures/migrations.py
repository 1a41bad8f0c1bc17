"""Each migration: how long it took, how long the hypervisor held the guest, and how much data it moved."""

from __future__ import annotations

import re
from collections.abc import Iterator

from drainproof.record import Event
from reports.checks.hypervisor import about, downtime
from reports.evidence import Evidence
from reports.migrations import Migration, migrations
from reports.verdict import Figure

TIME, DOWNTIME, DATA = "migration time", "hypervisor downtime", "data moved"
MEBIBYTE = 2**20
MILLISECOND = 0.001
_PROCESSED = re.compile(r"\bDataProcessed:(\d+)MiB")


def figures(evidence: Evidence) -> Iterator[Figure]:
    """Three figures of each migration that succeeded, by its virtual machine; of the others, why there is none.

    The time is from when it was seen running to when it was seen to have succeeded, as the watch delivered it.
    """
    for migration in migrations(evidence):
        if migration.phase != "Succeeded":
            reason = f"the migration was last seen in phase {migration.phase or 'none'}"
            for axis, unit in ((TIME, "s"), (DOWNTIME, "s"), (DATA, "bytes")):
                yield Figure(axis=axis, object=migration.vm, value=None, unit=unit, reason=reason)
            continue
        told = [event for event in evidence.of_kind("hypervisor", "downtime") if about(event, migration)]
        yield Figure(axis=TIME, object=migration.vm, value=migration.span.seconds, unit="s", resolution=MILLISECOND)
        yield _downtime(migration, told)
        yield _data(migration, told)


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
