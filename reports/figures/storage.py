"""What a disk did: fio undisturbed and under each disturbance, the longest pause of writes, how long copies took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from drainproof.record import Event
from reports.checks.storage_continuity import longest_pause
from reports.checks.storage_operations import KINDS, seconds_of
from reports.disks import SOURCE as LEDGER
from reports.disks import sessions
from reports.evidence import STORAGE, Evidence
from reports.migrations import migrations
from reports.spans import Span, covered_seconds, union
from reports.verdict import Better, Figure

SOURCE, BASELINE, MIGRATION, DRAIN = "fio", "baseline", "migration", "drain"
AXES = (
    ("IOPS", "iops", "1/s", Better.MORE), ("bandwidth", "bytes_per_s", "bytes/s", Better.MORE),
    ("p99 latency", "p99_s", "s", Better.LESS),
)
"""Of fio's figures: the axis, the name in the record, the unit, and which direction is better."""
KEPT = " against baseline"
"""Ends the axes that tell a disturbance's figure as a multiple of the baseline's."""
DECIMALS = 2


def figures(evidence: Evidence) -> Iterator[Figure]:
    """The figures of a case about a disk; none of any other case."""
    if evidence.kind != STORAGE:
        return
    told = evidence.of_kind(SOURCE, "result")
    results = {(str(one.data.get("job")), str(one.data.get("during"))): one for one in told}
    for (job, during), result in results.items():
        for way in ("read", "write"):
            yield from _fio(evidence, result, results.get((job, BASELINE)), f"{job} {way}, {during}", way)
    if evidence.of_kind(LEDGER, "begin"):
        period = max(one.period_s for one in sessions(evidence))
        for vm in evidence.vms:
            value = longest_pause(evidence)
            yield Figure(axis="longest I/O pause", object=vm.name, value=value, unit="s", resolution=period)
    for fault in evidence.faults:
        if fault.kind in KINDS:
            seconds = seconds_of(evidence, fault)
            reason = "" if seconds is not None else "it did not come to its end"
            name = f"{fault.kind.replace('-', ' ')} time"
            yield Figure(axis=name, object=_of(fault.targets), value=seconds, unit="s", reason=reason)


def _of(targets: tuple[str, ...]) -> str:
    return targets[0] if len(targets) == 1 else f"{len(targets)} machines"


def _fio(evidence: Evidence, result: Event, baseline: Event | None, name: str, way: str) -> Iterator[Figure]:
    """The figures of one direction of one job, and how they stand to those of the undisturbed job."""
    during = str(result.data.get("during"))
    told, trouble = _told(result, way)
    note = ""
    if during != BASELINE and not trouble:
        share = overlap(evidence, result, during)
        note = f"the {during} took {share:.0%} of the time that was measured"
        trouble = "" if share else f"no {during} took place while it was measured"
    for axis, key, unit, better in AXES:
        value = None if trouble else float(told[key])
        yield Figure(axis=axis, object=name, value=value, unit=unit, better=better, reason=trouble or note)
        if during != BASELINE:
            yield _against(baseline, way, axis, key, value, better, name, trouble or note)


def _against(
    baseline: Event | None, way: str, axis: str, key: str, value: float | None, better: Better, name: str, reason: str
) -> Figure:
    before, missing = _told(baseline, way) if baseline else ({}, "no baseline was measured")
    usual = float(before.get(key) or 0)
    ratio = value / usual if value is not None and usual > 0 else None
    why = reason if ratio is not None or value is None else missing or "the baseline's figure is zero"
    return Figure(axis=axis + KEPT, object=name, value=ratio, unit="times", better=better, reason=why)


def _told(result: Event, way: str) -> tuple[Mapping[str, Any], str]:
    """What fio told of one direction, and why there is nothing of it."""
    if error := result.data.get("error"):
        return {}, f"fio could not measure: {error}"
    told = result.data.get(way)
    if not isinstance(told, Mapping) or not all(isinstance(told.get(key), int | float) for _, key, *_ in AXES):
        return {}, "nothing was done in this direction"
    return told, ""


def overlap(evidence: Evidence, result: Event, during: str) -> float:
    """Which share of the time that fio measured the disturbance took; 0 when nothing proves that they met."""
    runtime, ended = result.data.get("runtime_s"), result.data.get("ended_ns")
    if not isinstance(runtime, int | float) or not isinstance(ended, int) or runtime <= 0:
        return 0.0
    measured = Span(ended - int(runtime * 1e9), ended)
    if during == DRAIN:
        spans = [drain.span for drain in evidence.drains]
    elif during == MIGRATION:
        spans = [one.span for one in migrations(evidence) if one.phase == "Succeeded"]
    else:
        spans = [
            Span(fault.begun_ns, fault.healed_ns)
            for fault in evidence.faults
            if fault.kind == during and fault.happened and fault.healed_ns
        ]
    return round(covered_seconds(measured, union(spans)) / measured.seconds, DECIMALS)
