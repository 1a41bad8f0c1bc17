"""What a disk did: fio undisturbed and under each disturbance, the longest pause of writes, how long copies took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from drainproof.record import Event
from reports.checks.storage_continuity import pauses
from reports.checks.storage_operations import KINDS, resolution_of, seconds_of
from reports.disks import SOURCE as LEDGER
from reports.disks import sessions
from reports.evidence import STORAGE, Evidence
from reports.figures.disturbed import cut_short, disturbed
from reports.fio import BASELINE, DECIMALS, SOURCE, overlap, share
from reports.fio import disturbed as disturbed_by
from reports.fio_steps import ENOUGH as ENOUGH_OPERATIONS
from reports.fio_steps import steps, told_of, within
from reports.verdict import Better, Figure, MissingEvidenceError

AXES = (
    ("IOPS", "iops", "1/s", Better.MORE), ("bandwidth", "bytes_per_s", "bytes/s", Better.MORE),
    ("p99 latency", "p99_s", "s", Better.LESS),
)
"""Of fio's figures: the axis, the name in the record, the unit, and which direction is better."""
KEPT = " against baseline"
"""Ends the axes that tell a disturbance's figure as a multiple of the baseline's."""
PAUSE, COVERED = "longest I/O pause", "time covered"
ENOUGH = 0.5
"""Of a record without fio's steps: its figures are of all the time that it ran, and if less than half of that was
disturbed, they tell of something else."""


def figures(evidence: Evidence) -> Iterator[Figure]:
    """The figures of a case about a disk; none of any other case."""
    if evidence.kind != STORAGE:
        return
    told = evidence.of_kind(SOURCE, "result")
    results = {(one.object, str(one.data.get("job")), str(one.data.get("during"))): one for one in told}
    several = len({vm for vm, *_ in results}) > 1
    for (vm, job, during), result in results.items():
        name = f"{vm}, {job}" if several else job
        if during != BASELINE:
            yield _covered(evidence, result, f"{name}, {during}", during)
        for way in ("read", "write"):
            yield from _fio(evidence, result, results.get((vm, job, BASELINE)), f"{name} {way}, {during}", way)
    for vm in dict.fromkeys(one.object for one in evidence.of_kind(LEDGER, "begin")):
        yield _pause(evidence, vm)
    for fault in evidence.faults:
        if fault.kind in KINDS:
            seconds = seconds_of(evidence, fault)
            reason = "" if seconds is not None else "it did not come to its end"
            name = f"{fault.kind.replace('-', ' ')} time"
            yield Figure(
                axis=name, object=_of(fault.targets), value=seconds, unit="s", reason=reason,
                resolution=resolution_of(fault),
            )


def _of(targets: tuple[str, ...]) -> str:
    return targets[0] if len(targets) == 1 else f"{len(targets)} machines"


def _pause(evidence: Evidence, vm: str) -> Figure:
    """The longest time from the first disturbance on in which the client heard of no write of this machine's disk.

    At least that, if the window was cut short, or a ledger may lack what came last: a disk that hangs for ever leaves a
    record that ends before the pause does.
    """
    try:
        span, known = disturbed(evidence), [one for one in sessions(evidence) if one.vm == vm]
    except MissingEvidenceError as error:
        return Figure(axis=PAUSE, object=vm, value=None, unit="s", reason=str(error))
    found = [pause.span.within(span).seconds for one in known for pause in pauses(one) if pause.span.overlaps(span)]
    doubt = cut_short(evidence) or next((one.trouble for one in known if one.trouble), "")
    return Figure(
        axis=PAUSE, object=vm, value=max(found, default=None), unit="s", at_least=bool(doubt),
        reason=doubt or ("" if found else "nothing was written from the first disturbance on"),
        resolution=max(one.period_s for one in known),
    )


def _covered(evidence: Evidence, result: Event, name: str, during: str) -> Figure:
    """Which share of the time that fio's figures are of the disturbance took; nothing of it if fio measured nothing."""
    error = result.data.get("error")
    known = steps(result)
    spans = [one.span for one in within(known, disturbed_by(evidence, during))]
    covered = share(evidence, spans, during) if known else overlap(evidence, result, during)
    return Figure(
        axis=COVERED, object=name, value=None if error else covered, unit="share",
        better=Better.MORE, reason=f"fio could not measure: {error}" if error else "", resolution=10**-DECIMALS,
    )


def _fio(evidence: Evidence, result: Event, baseline: Event | None, name: str, way: str) -> Iterator[Figure]:
    """The figures of one direction of one job, and how they stand to those of the undisturbed job."""
    during = str(result.data.get("during"))
    told, reason = _told(result, way)
    if told and during != BASELINE:
        told, reason = _disturbed(evidence, result, told, way)
    for axis, key, unit, better in AXES:
        value = float(told[key]) if key in told else None
        why = reason
        if told and value is None:
            why = f"{told['ios']:g} operations are too few for a 99th percentile, {ENOUGH_OPERATIONS} are needed; {why}"
        yield Figure(axis=axis, object=name, value=value, unit=unit, better=better, reason=why)
        if during != BASELINE:
            yield _against(baseline, way, axis, key, value, better, name, why)


def _disturbed(
    evidence: Evidence, result: Event, told: Mapping[str, Any], way: str
) -> tuple[Mapping[str, Any], str]:
    """What fio told of the disturbance, and of how much of it; `told` is what it told of all the time that it ran.

    Where the record has no steps, what was told of all the time stands for the disturbance that took most of it.
    """
    during, known = str(result.data.get("during")), steps(result)
    covered = overlap(evidence, result, during)
    if not known:
        note = f"the {during} took {covered:.0%} of the time that was measured"
        if covered < ENOUGH:
            return {}, note if covered else f"no {during} took place while it was measured"
        return told, note
    chosen = within(known, disturbed_by(evidence, during))
    if not chosen:
        return {}, f"no {during} took place while it was measured, or one shorter than what fio tells apart"
    spans = [one.span for one in chosen]
    seconds = sum(span.seconds for span in spans)
    note = f"of {seconds:.1f} s, of which the {during} took {share(evidence, spans, during):.0%}"
    return told_of(chosen, way), note


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
