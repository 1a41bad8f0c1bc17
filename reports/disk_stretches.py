"""The parts of a disk's run that are each judged by a limit of their own, and what each disturbance has to show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reports import fio
from reports.disks import FAILOVER, PAUSE, RESTORE, injected
from reports.evidence import Evidence, Fault
from reports.spans import Span, outside


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the run that is judged by one limit."""

    name: str
    spans: tuple[Span, ...]
    limit_s: float
    why: str = ""
    least_s: float = 0.0
    """So long the writes must have stood still if what was done reached this disk at all."""
    unless_felt: str = ""
    """Why nothing is known if no write felt what was done; empty: something else tells that it was done."""
    doubt: str = ""
    """Why nothing is known, whatever the writes felt; empty if something is."""
    settles: bool = False
    """Whether the guest must have caught up with its schedule by the end."""
    may_rest: bool = False
    """Whether nothing need be written meanwhile: the machine is stopped, or nothing is done to it."""


def stretches(evidence: Evidence) -> Iterator[Stretch]:
    """The baseline, each disturbance with the settling after it, fio undisturbed, and what is left of the window."""
    limit, window, baseline = evidence.limits.io_pause_seconds, evidence.window.span, evidence.window.baseline
    yield Stretch("baseline", (baseline,), limit, settles=True)
    disturbed = [Span(drain.span.begin, _settled(evidence, drain.phase, drain.span)) for drain in evidence.drains]
    for drain, span in zip(evidence.drains, disturbed, strict=True):
        yield Stretch(f"{drain.phase} of {drain.node}", (span,), limit, settles=True)
    for fault in evidence.faults:
        span = Span(fault.span.begin, evidence.settled(fault))
        disturbed.append(span)
        yield _of_fault(evidence, fault, span)
    for job, span in _fio_alone(evidence):
        disturbed.append(span)
        yield Stretch(f"fio {job}, undisturbed", (span,), limit, may_rest=True)
    if rest := outside([window], sorted([baseline, *disturbed])):
        yield Stretch("undisturbed", tuple(rest), limit, may_rest=True)


def _settled(evidence: Evidence, phase: str, span: Span) -> int:
    settle = evidence.phases.get(f"settle/{phase.rpartition('/')[2]}")
    return settle.end if settle else span.end


def _fio_alone(evidence: Evidence) -> Iterator[tuple[str, Span]]:
    """When fio worked while nothing else was done."""
    for begin, result in fio.asked(evidence):
        if result and begin.data.get("during") == fio.BASELINE:
            yield str(begin.data.get("job")), Span(begin.t_ns, result.t_ns)


def _of_fault(evidence: Evidence, fault: Fault, span: Span) -> Stretch:
    limits, name = evidence.limits, f"{fault.phase}, {fault.kind} of {fault.target}"
    if fault.kind == FAILOVER:
        doubt, unless_felt = _other_server(evidence, fault)
        return Stretch(
            name, (span,), limits.io_recovery_seconds, "the recovery limit", settles=True, doubt=doubt,
            unless_felt=unless_felt,
        )
    if fault.kind == PAUSE:
        over = fault.over_ns or fault.span.end
        away = (over - fault.begun_ns) / 1e9
        sure = (over - (fault.injected_ns or over)) / 1e9
        why = f"{away:.1f} s of its server's pause and {limits.io_recovery_seconds:g} s to recover"
        return Stretch(name, (span,), away + limits.io_recovery_seconds, why, least_s=sure, settles=True)
    return Stretch(name, (span,), limits.io_pause_seconds, may_rest=fault.kind == RESTORE, settles=True)


def _other_server(evidence: Evidence, fault: Fault) -> tuple[str, str]:
    """Why a failover may not have taken place, and why not unless writes felt it; at most one of them.

    Two generations that differ tell that it did. Where none is told, before or after, only the writes can tell.
    """
    own = [event for event in evidence.of_kind("fault", "healed") if event.object.endswith(f"/{fault.number}")]
    before = str(injected(evidence, fault).get("generation") or "")
    after = str(own[0].data.get("generation") or "") if own else ""
    if before and before == after:
        return f"what serves afterwards is what served before, {after}: it did not fail over", ""
    if before and after:
        return "", ""
    if before or after:
        return "the generation of its server is told on one side of the failover only: nothing is proved by it", ""
    return "", "nothing tells one generation of its server from the next, and no write felt the failover"
