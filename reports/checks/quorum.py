"""How near the cluster came to losing its quorum: machines on one node, or away at once, and members missing."""

from __future__ import annotations

from itertools import combinations, product

from drainproof.record import Event
from reports.absences import absence
from reports.checks import placement
from reports.checks.hypervisor import about
from reports.evidence import Evidence
from reports.members import State, all_states, asked, unwatched
from reports.migrations import Migration, migrations
from reports.series import Series, by_host, series
from reports.spans import Span
from reports.streams import HTTP_NEW
from reports.verdict import Claim, MissingEvidenceError, Part, Verdict, sum_up

ID = "quorum.margin"
TITLE = "The members kept their quorum: never two on one node, never two away at once unless that was the fault"


def check(evidence: Evidence) -> Claim:
    """Judge the nodes, the pauses of each pair, and the smallest primary component that was told or scraped."""
    need = len(evidence.vms) // 2 + 1
    parts = [_nodes(evidence)]
    parts += [_pair(evidence, first.name, second.name) for first, second in combinations(evidence.vms, 2)]
    margins = [_told(evidence, need), _scraped(evidence, need)]
    parts += [*margins, *_unwatched(evidence)]
    smallest = min((part.measured for part in margins if part.measured is not None), default=None)
    good = f"{len(evidence.vms)} members, {need} are the quorum; never fewer than {smallest or 0:g} more than that"
    if outages := _outages(evidence):
        seconds = sum(span.seconds for span in outages)
        good += f", but for {seconds:.1f} s in which a fault was to take all of them: what happened then is not counted"
    summary = sum_up(parts, lambda _: good, evidence.window.incomplete)
    return Claim(
        id=ID,
        title=TITLE,
        verdict=summary.verdict,
        measured=smallest,
        limit=0,
        bound="at least",
        unit="members more than the quorum, at the worst moment",
        detection=f"each member is {asked(evidence)} and scraped once a second; the configuration id counts the rest",
        reason=summary.reason,
        evidence=("events.jsonl: membership/state, hypervisor/downtime, watch/vmi", "metrics.json: cluster_size"),
        hint="Move or disturb one member at a time." if summary.verdict is Verdict.FAIL else "",
        parts=summary.parts,
    )


def _nodes(evidence: Evidence) -> Part:
    found = placement.check(evidence)
    return Part(object="nodes", verdict=found.verdict, reason=found.reason)


def _pair(evidence: Evidence, first: str, second: str) -> Part:
    name = f"{first}, {second}"
    allowed = _allowed(evidence, first, second)
    for one in _away(evidence, first):
        for other in _away(evidence, second):
            both = one.within(other)
            if both.end > both.begin and not any(span.begin <= both.begin <= span.end for span in allowed):
                moment = evidence.at(both.begin)
                reason = f"both away at {moment}, for {both.seconds:.3f} s, and no fault was to take both"
                return Part(object=name, verdict=Verdict.FAIL, reason=reason, at=moment)
    if unseen := _unseen(evidence, first, second, allowed):
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=unseen)
    return Part(object=name, verdict=Verdict.PASS, reason="never away at the same moment, but where a fault took both")


def _unseen(evidence: Evidence, first: str, second: str, allowed: list[Span]) -> str:
    """Why two may have paused at the same moment without anybody's seeing it, or empty."""
    moved = migrations(evidence)
    for one, other in product(*([move for move in moved if move.vm == vm] for vm in (first, second))):
        begin = max(one.span.begin, other.span.begin)
        if not one.span.touches(other.span) or any(begin in span for span in allowed):
            continue
        unpaused = [move.vmim for move in (one, other) if not _paused(evidence, move)]
        if unpaused:
            both = f"{one.vmim} and {other.vmim} were under way at {evidence.at(begin)}"
            return f"{both}, and when the guest paused in {', '.join(unpaused)} is not recorded"
    return ""


def _paused(evidence: Evidence, migration: Migration) -> bool:
    """Whether the record tells when the guest was stopped for a migration, and when it ran again."""
    return any(_stopped(event) for event in evidence.of_kind("hypervisor", "downtime") if about(event, migration))


def _stopped(event: Event) -> bool:
    return bool(event.data.get("stop_ns") and event.data.get("resume_ns"))


def _allowed(evidence: Evidence, first: str, second: str) -> list[Span]:
    """When both were to be away: one fault took both, moved both at once, or took the whole service."""
    return [
        Span(fault.span.begin, evidence.settled(fault))
        for fault in evidence.faults
        if fault.expects.outage or {first, second} <= {*fault.members, *fault.expects.moved}
    ]


def _away(evidence: Evidence, vm: str) -> list[Span]:
    """When a machine did not run or its member did not take part: the hypervisor's pauses, what a fault took."""
    pauses = [
        Span(int(event.data["stop_ns"]), int(event.data["resume_ns"]))
        for event in evidence.of_kind("hypervisor", "downtime", vm)
        if _stopped(event)
    ]
    lost = []
    for fault in evidence.faults:
        away = absence(evidence, fault, f"{HTTP_NEW}/{vm}") if vm in fault.away else None
        if away is not None:
            lost.append(Span(away.begin, evidence.settled(fault) if away.end is None else away.end))
    return [*pauses, *lost, *_outside(evidence, vm)]


def _outside(evidence: Evidence, vm: str) -> list[Span]:
    """When a member told that it was not in the primary component."""
    found: list[Span] = []
    since: State | None = None
    for state in all_states(evidence):
        if state.vm == vm and not state.primary:
            since = since or state
        elif state.vm == vm and since is not None:
            found.append(Span(since.t_ns, state.t_ns))
            since = None
    return [*found, Span(since.t_ns, evidence.window.span.end)] if since else found


def _outages(evidence: Evidence) -> list[Span]:
    """When nobody was to be left."""
    return [Span(fault.span.begin, evidence.settled(fault)) for fault in evidence.faults if fault.expects.outage]


def _told(evidence: Evidence, need: int) -> Part:
    """The smallest primary component that a member told of, or none at all when every member was outside."""
    name, outages = "members that were asked", _outages(evidence)
    latest: dict[str, State] = {}
    sizes: list[tuple[int, int]] = []
    for state in all_states(evidence):
        latest[state.vm] = state
        if any(state.t_ns in span for span in outages):
            continue
        if state.primary:
            sizes.append((state.size, state.t_ns))
        elif len(latest) == len(evidence.vms) and not any(one.primary for one in latest.values()):
            sizes.append((0, state.t_ns))
    return _margin(evidence, name, sizes, need, "no member told the size of its cluster")


def _scraped(evidence: Evidence, need: int) -> Part:
    """The smallest primary component that Prometheus scraped."""
    name, outages = "members that were scraped", _outages(evidence)
    try:
        sizes, statuses = (by_host(series(evidence, query)) for query in ("cluster_size", "cluster_status"))
    except MissingEvidenceError as error:
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=str(error))
    found = []
    for vm in evidence.vms:
        size, status = (one.get(vm.address) for one in (sizes, statuses))
        if size is not None and status is not None:
            found += _primary_sizes(size.within(evidence.window.span), status.within(evidence.window.span))
    counted = [(value, time) for value, time in found if not any(time in span for span in outages)]
    return _margin(evidence, name, counted, need, "no member was scraped in the window")


def _primary_sizes(size: Series, status: Series) -> list[tuple[int, int]]:
    """The sizes that were scraped together with the primary status."""
    primary = set(status.times[status.values == 1].tolist())
    pairs = zip(size.values.tolist(), size.times.tolist(), strict=True)
    return [(int(value), int(time)) for value, time in pairs if time in primary]


def _margin(evidence: Evidence, name: str, sizes: list[tuple[int, int]], need: int, missing: str) -> Part:
    if not sizes:
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=missing)
    size, time = min(sizes)
    moment = evidence.at(time)
    return Part(
        object=name,
        verdict=Verdict.PASS if size >= need else Verdict.FAIL,
        measured=size - need,
        reason=f"{size} members at the worst moment, first at {moment}; {need} are the quorum",
        at=moment,
        facts={"members": size, "quorum": need},
    )


def _unwatched(evidence: Evidence) -> list[Part]:
    """Whose membership nobody looked at for a while."""
    found = [(vm.name, unwatched(evidence, vm.name)) for vm in evidence.vms]
    return [Part(object=f"looks at {vm}", verdict=Verdict.UNKNOWN, reason=reason) for vm, reason in found if reason]
