"""How long each machine that a fault took away was gone: until another instance ran, until its clients were served."""

from __future__ import annotations

from collections.abc import Iterator

from reports.absences import absence
from reports.evidence import Evidence
from reports.figures.disturbed import WATCHED, cut_short
from reports.returns import Lost
from reports.streams import period
from reports.verdict import Figure

SERVED, RESTARTED = "recovery", "restart"


def figures(evidence: Evidence) -> Iterator[Figure]:
    """From the loss of each machine, as its clients saw it, until all of its streams served again, in seconds.

    Of a machine that is to stay down while its node is away, from the node's return.
    """
    names = {vm.name for vm in evidence.vms}
    for fault in evidence.faults:
        for vm in sorted(names if fault.expects.outage else fault.away & names):
            one = Lost(evidence, fault, vm)
            yield _served(one)
            if vm in fault.expects.restarted:
                yield _restarted(one)


def _served(one: Lost) -> Figure:
    evidence, fault = one.evidence, one.fault
    missing = [stream for stream in one.streams if stream not in evidence.samples]
    if missing:
        reason = f"the record has no sample of {', '.join(missing)}"
        return Figure(axis=SERVED, object=one.vm, value=None, unit="s", reason=reason)
    stays = one.vm in fault.expects.stays_down
    since = (fault.healed_ns or fault.span.end) if stays else one.lost_ns
    found = [away for stream in one.streams if (away := absence(evidence, fault, stream)) is not None]
    settled = evidence.settled(fault)
    ends = [settled if away.end is None else away.end for away in found]
    open_ended = any(away.end is None for away in found)
    reason = "it had not come back when the record of it ends" if open_ended else cut_short(evidence)
    return Figure(
        axis=SERVED, object=one.vm, value=max(0, max(ends, default=since) - since) / 1e9, unit="s", reason=reason,
        resolution=max(period(evidence, stream) for stream in one.streams), at_least=bool(reason),
    )


def _restarted(one: Lost) -> Figure:
    when = one.restarted()
    if when is None:
        reason = "no other instance of it was seen running"
        return Figure(axis=RESTARTED, object=one.vm, value=None, unit="s", reason=reason)
    return Figure(
        axis=RESTARTED, object=one.vm, value=max(0, when - one.lost_ns) / 1e9, unit="s", resolution=WATCHED
    )
