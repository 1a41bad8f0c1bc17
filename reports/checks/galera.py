"""Claim 5: at every scrape each member was in one primary component and synced; no missing scrape is ignored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from drainproof.record import Outcome
from reports.evidence import Drain, Evidence, Vm
from reports.migrations import migrations
from reports.series import INTERVAL_SECONDS, Series, by_host, holes, series
from reports.spans import Span
from reports.streams import HTTP_NEW, HTTP_REUSED, SQL, judged_gaps
from reports.verdict import Claim, Facts, MissingEvidenceError, Part, Verdict, sum_up

ID = "galera.steady"
TITLE = "At every scrape the Galera cluster was whole, primary and synced, its configuration unchanged"
SIZE, STATUS, STATE, CONFIGURATION = "cluster_size", "cluster_status", "local_state", "conf_id"
PRIMARY, SYNCED = 1.0, 4.0
HOLE_SECONDS = 2.5
"""Two scrapes of a member further apart than this leave a hole that must be accounted for."""
SUSPECT_SECONDS = 5.0
"""Galera's evs.suspect_timeout: a member that is silent for longer is expelled."""
LONGEST_HOLE_SECONDS = SUSPECT_SECONDS + HOLE_SECONDS
"""A silence of the suspect timeout, seen through scrapes."""
AROUND_SECONDS = 2.0
"""A hole may begin and end this much before and after what accounts for it."""


@dataclass(frozen=True, slots=True)
class _Members:
    """The series of each query by the member's address."""

    by_query: Mapping[str, Mapping[str, Series]]

    def of(self, query: str, vm: Vm) -> Series | None:
        return self.by_query[query].get(vm.address)


def check(evidence: Evidence) -> Claim:
    """Judge each member's scrapes, their holes, the configuration they agree on, and flow control in each drain."""
    window = evidence.window.span
    members = _Members(
        {
            query: {host: one.within(window) for host, one in by_host(series(evidence, query)).items()}
            for query in (SIZE, STATUS, STATE, CONFIGURATION)
        }
    )
    parts = [_member(evidence, members, vm) for vm in evidence.vms]
    parts += [_holes(evidence, members, vm) for vm in evidence.vms]
    parts.append(_configuration(evidence, members))
    parts += _flow_control(evidence)
    summary = sum_up(parts, _good, evidence.window.incomplete)
    return Claim(
        id=ID,
        title=TITLE,
        verdict=summary.verdict,
        measured=sum(part.measured or 0 for part in parts),
        limit=0,
        unit="deviating scrapes",
        detection="between two scrapes, 1 s apart, only an expulsion is seen: the configuration id counts each",
        reason=summary.reason,
        evidence=("metrics.json: cluster_size, cluster_status, local_state, conf_id, flow_control_paused_ns, up",),
        hint="Read the members' error logs at that moment." if summary.verdict is Verdict.FAIL else "",
        parts=summary.parts,
    )


def _good(parts: tuple[Part, ...]) -> str:
    scrapes = [int(part.facts["scrapes"] or 0) for part in parts if "scrapes" in part.facts]
    paused = max((float(part.facts.get("paused_share") or 0) for part in parts), default=0.0)
    found = sum(int(part.facts.get("holes") or 0) for part in parts)
    told = f"{found} holes accounted for" if found else "no hole between scrapes"
    scraped = f"{sum(scrapes)} scrapes of {len(scrapes)} members"
    return f"{scraped}; {told}; flow control held at most {paused:.1%} of a drain"


def _member(evidence: Evidence, members: _Members, vm: Vm) -> Part:
    wanted = {SIZE: float(len(evidence.vms)), STATUS: PRIMARY, STATE: SYNCED}
    deviations: list[tuple[int, str]] = []
    scrapes = 0
    for query, value in wanted.items():
        one = members.of(query, vm)
        if one is None or not len(one):
            reason = f"no scrape of {query} at {vm.address} in the window"
            return Part(object=vm.name, verdict=Verdict.UNKNOWN, reason=reason)
        scrapes = max(scrapes, len(one))
        odd = np.flatnonzero(one.values != value)
        deviations += [(int(one.times[row]), f"{query} {one.values[row]:g} instead of {value:g}") for row in odd]
    facts: Facts = {"scrapes": scrapes}
    if not deviations:
        reason = f"whole, primary and synced at {scrapes} scrapes"
        return Part(object=vm.name, verdict=Verdict.PASS, measured=0, reason=reason, facts=facts)
    time, what = min(deviations)
    moment, moments = evidence.at(time), len({time for time, _ in deviations})
    reason = f"{what} at {moment}, {len(deviations)} deviating values in all"
    return Part(object=vm.name, verdict=Verdict.FAIL, measured=moments, reason=reason, at=moment, facts=facts)


def _configuration(evidence: Evidence, members: _Members) -> Part:
    """The id of the cluster's configuration: a change means that a member was expelled or came back."""
    seen: dict[float, tuple[int, str]] = {}
    for vm in evidence.vms:
        one = members.of(CONFIGURATION, vm)
        if one is None or not len(one):
            return Part(object="configuration", verdict=Verdict.UNKNOWN, reason=f"no scrape of conf_id of {vm.name}")
        for time, value in zip(one.times, one.values, strict=True):
            seen[float(value)] = min(seen.get(float(value), (int(time), vm.name)), (int(time), vm.name))
    if len(seen) == 1:
        reason = f"{next(iter(seen)):g} on all members throughout"
        return Part(object="configuration", verdict=Verdict.PASS, reason=reason)
    first, *others = sorted((time, name, value) for value, (time, name) in seen.items())
    time, name, value = others[0]
    reason = f"the configuration id was {value:g} on {name} at {evidence.at(time)}, {first[2]:g} on {first[1]} before"
    return Part(object="configuration", verdict=Verdict.FAIL, measured=len(others), reason=reason, at=evidence.at(time))


def _holes(evidence: Evidence, members: _Members, vm: Vm) -> Part:
    """Every missing scrape of a member must be accounted for.

    Either this very VM was migrating or silent to clients then, for no longer than Galera waits for a member, or other
    evidence bridges the hole: the member went on acknowledging writes, and the configuration id, which counts every
    change of the membership, is the same on both sides. A slow exporter leaves such holes; a member that left the
    cluster cannot.
    """
    name = f"holes of {vm.name}"
    scraped = [members.of(query, vm) for query in (STATE, SIZE, STATUS, CONFIGURATION)]
    read = [one for one in scraped if one is not None and len(one)]
    if len(read) < len(scraped):
        return Part(object=name, verdict=Verdict.UNKNOWN, reason="one of the four states was not scraped in the window")
    missing = {hole for one in read for hole in holes(map(int, one.times), evidence.window.span, HOLE_SECONDS)}
    found = sorted({*missing, *_down(evidence, read[0])})
    accounts = _accounts(evidence, vm)
    facts: Facts = {"holes": len(found)}
    for hole in found:
        if _bridged(evidence, members, vm, hole):
            continue
        moment = evidence.at(hole.begin)
        reason = f"no scrape for {hole.seconds:.1f} s from {moment} on"
        if not any(hole.overlaps(span) for span in accounts):
            reason = f"{reason}, and nothing else accounts for that time"
            return Part(object=name, verdict=Verdict.UNKNOWN, reason=reason, at=moment, facts=facts)
        if hole.seconds > LONGEST_HOLE_SECONDS:
            reason = f"{reason}, longer than Galera waits for a member"
            return Part(object=name, verdict=Verdict.UNKNOWN, reason=reason, at=moment, facts=facts)
    told = ", ".join(f"{hole.seconds:.1f} s at {evidence.at(hole.begin)}" for hole in found)
    reason = f"accounted for by its migration, its gap or its writes: {told}" if found else "none"
    return Part(object=name, verdict=Verdict.PASS, reason=reason, facts=facts)


def _bridged(evidence: Evidence, members: _Members, vm: Vm, hole: Span) -> bool:
    """Whether the member acknowledged writes all through the hole, and the configuration id is the same after it.

    Only a member of the primary component acknowledges; between two writes it was silent for less than Galera waits.
    """
    ids, writes = members.of(CONFIGURATION, vm), evidence.samples.get(f"{SQL}/{vm.name}")
    if ids is None or writes is None:
        return False
    before, after = ids.values[ids.times <= hole.begin], ids.values[ids.times >= hole.end]
    acknowledged = np.sort(writes.end_ns[writes.outcome == Outcome.OK])
    inside = acknowledged[(acknowledged > hole.begin) & (acknowledged < hole.end)]
    silences = np.diff(np.concatenate(([hole.begin], inside, [hole.end])))
    lasting = len(inside) > 0 and silences.max() <= SUSPECT_SECONDS * 1e9
    return bool(lasting and len(before) > 0 and len(after) > 0 and before[-1] == after[0])


def _down(evidence: Evidence, one: Series) -> list[Span]:
    """Where Prometheus says that the scrape of this very exporter failed, from the good scrape before to the next."""
    try:
        ups = [up for up in series(evidence, "up") if up.labels.get("instance") == one.labels.get("instance")]
    except MissingEvidenceError:
        return []
    found = []
    for up in (up.within(evidence.window.span) for up in ups):
        good = up.times[up.values == 1]
        for time in up.times[up.values != 1]:
            before, after = good[good < time], good[good > time]
            begin = int(before[-1]) if len(before) else evidence.window.span.begin
            found.append(Span(begin, int(after[0]) if len(after) else evidence.window.span.end))
    return found


def _accounts(evidence: Evidence, vm: Vm) -> list[Span]:
    """When a VM migrated, and when its web server was silent to clients for longer than a scrape interval."""
    spans = [one.span for one in migrations(evidence) if one.vm == vm.name]
    for stream in (f"{HTTP_NEW}/{vm.name}", f"{HTTP_REUSED}/{vm.name}"):
        if stream in evidence.samples:
            found = judged_gaps(evidence.samples[stream], evidence.window.span, [], INTERVAL_SECONDS)
            spans += [gap.span for gap in found if gap.seconds >= INTERVAL_SECONDS]
    return [span.widened(AROUND_SECONDS) for span in spans]


def _flow_control(evidence: Evidence) -> list[Part]:
    """The share of each drain in which flow control held replication, worst member."""
    try:
        members = by_host(series(evidence, "flow_control_paused_ns"))
    except MissingEvidenceError as error:
        return [Part(object="flow control", verdict=Verdict.UNKNOWN, reason=str(error))]
    return [_paused(evidence, drain, vm, members.get(vm.address)) for drain in evidence.drains for vm in evidence.vms]


def _paused(evidence: Evidence, drain: Drain, vm: Vm, one: Series | None) -> Part:
    name = f"flow control of {vm.name} in {drain.phase}"
    seen = one.around(drain.span.widened(HOLE_SECONDS)) if one else None
    if seen is None or len(seen) < 2:
        return Part(object=name, verdict=Verdict.UNKNOWN, reason="no two scrapes of flow control around the drain")
    elapsed, steps = int(seen.times[-1] - seen.times[0]), np.diff(seen.values)
    if (steps < 0).any():
        return Part(object=name, verdict=Verdict.UNKNOWN, reason="the counter went back: the server restarted")
    share = float(steps.sum()) / elapsed
    limit = evidence.limits.flow_control_paused
    return Part(
        object=name,
        verdict=Verdict.PASS if share <= limit else Verdict.FAIL,
        reason=f"paused for {share:.1%} of {elapsed / 1e9:.1f} s; {limit:.0%} allowed",
        at=evidence.at(drain.span.begin),
        facts={"paused_share": share, "paused_share_limit": limit},
    )
