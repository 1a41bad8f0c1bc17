"""Prometheus tells the same story of the cluster and of the virtual machines as those who watched them directly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from drainproof.record import Event
from reports.evidence import Evidence, Vm
from reports.members import State, states, unwatched
from reports.migrations import FINAL
from reports.series import INTERVAL_SECONDS, Series, by_host, series
from reports.spans import Span
from reports.verdict import Claim, MissingEvidenceError, Part, Verdict, sum_up

ID = "prometheus.cluster"
TITLE = "Prometheus tells of the members, the migrations and the nodes what those who watched them saw"
EXPORTED_SECONDS = 4.0
"""KubeVirt's own metrics follow its objects, and a watch follows them too: so long the two may differ."""
ANSWER_SECONDS = 2.0
"""A scrape or a look is dated by when it was asked for; a slow guest answers so much later."""
RUNNING = "Running"


@dataclass(frozen=True, slots=True)
class _Told:
    """One value of a member, as its cluster's metrics call it and as the observer of the membership tells it."""

    query: str
    of: Callable[[State], float]
    primary_only: bool = False


COMPARED = (
    _Told("cluster_size", lambda state: state.size, primary_only=True),
    _Told("cluster_status", lambda state: float(state.primary)),
    _Told("local_state", lambda state: state.local_state),
    _Told("conf_id", lambda state: state.conf_id, primary_only=True),
)


def check(evidence: Evidence) -> Claim:
    """Compare each scrape with what was seen around it; a contradiction is unknown, and both are shown."""
    parts = [_member(evidence, vm, told) for told in COMPARED for vm in evidence.vms]
    parts += [_migrations(evidence, query, phase) for query, phase in _OUTCOMES]
    parts += [_placed(evidence, vm) for vm in evidence.vms]
    compared = sum(int(part.facts.get("compared") or 0) for part in parts)
    good = f"{compared} scraped values of the cluster and its machines, none contradicts what was seen"
    summary = sum_up(parts, lambda _: good, evidence.window.incomplete)
    return Claim(
        id=ID,
        title=TITLE,
        verdict=summary.verdict,
        measured=sum(part.measured or 0 for part in parts),
        limit=0,
        unit="contradicting values",
        detection=f"within {_tolerance(evidence):.1f} s of a scrape both may tell of either side of a change",
        reason=summary.reason,
        evidence=("metrics.json: cluster_*, conf_id, migrations_*, vmi_info", "events.jsonl: membership/state, watch"),
        hint="One of the two instruments is wrong: look at both." if summary.verdict is Verdict.UNKNOWN else "",
        parts=summary.parts,
    )


def _tolerance(evidence: Evidence) -> float:
    """How far a scrape and a look may lie apart: one and a half of their intervals, and the time of the answer."""
    return 1.5 * (INTERVAL_SECONDS + 1 / evidence.load.membership_rate) + ANSWER_SECONDS


def _member(evidence: Evidence, vm: Vm, told: _Told) -> Part:
    name = f"{told.query} of {vm.name}"
    try:
        scraped = by_host(series(evidence, told.query)).get(vm.address)
    except MissingEvidenceError as error:
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=str(error))
    seen = states(evidence, vm.name)
    if scraped is None or not len(scraped := scraped.within(evidence.window.span)) or not seen:
        missing = unwatched(evidence, vm.name) or "it was not scraped in the window"
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=missing)
    silences = _silences(evidence, vm)
    compared = 0
    odd = _Oddities()
    for time, value in zip(scraped.times.tolist(), scraped.values.tolist(), strict=True):
        near = _near(seen, time, _tolerance(evidence))
        if not near or any(time in span for span in silences) or (told.primary_only and not _primary(near)):
            continue
        compared += 1
        values = {told.of(state) for state in near}
        contradicts = len(values) == 1 and value not in values
        odd.add(time, f"{value:g} was scraped, {values.pop():g} seen" if contradicts else "")
    return _judged(evidence, name, compared, odd.lasting(1 / evidence.load.membership_rate))


class _Oddities:
    """Scrapes that contradict what was seen. A state that came and went between two looks is none: it must last."""

    def __init__(self) -> None:
        self._runs: list[list[tuple[int, str]]] = [[]]

    def add(self, time: int, told: str) -> None:
        """The next scrape, with what it contradicts, or empty."""
        if told:
            self._runs[-1].append((time, told))
        elif self._runs[-1]:
            self._runs.append([])

    def lasting(self, seconds: float) -> list[tuple[int, str]]:
        """Those that are part of a contradiction of at least that length."""
        return [odd for run in self._runs if run and run[-1][0] - run[0][0] >= seconds * 1e9 for odd in run]


def _judged(evidence: Evidence, name: str, compared: int, odd: list[tuple[int, str]]) -> Part:
    facts = {"compared": compared}
    if odd:
        moment = evidence.at(odd[0][0])
        reason = f"{odd[0][1]} at {moment}; {len(odd)} of {compared} contradict"
        return Part(object=name, verdict=Verdict.UNKNOWN, measured=len(odd), reason=reason, at=moment, facts=facts)
    if not compared:
        return Part(object=name, verdict=Verdict.UNKNOWN, reason="nothing scraped and seen at one time", facts=facts)
    return Part(object=name, verdict=Verdict.PASS, measured=0, reason=f"{compared} scrapes agree", facts=facts)


def _near(seen: list[State], time: int, tolerance: float) -> list[State]:
    """What was seen around a scrape: the last before, and whatever changed a little earlier or later."""
    around = Span(time, time).widened(tolerance)
    before = [state for state in seen if state.t_ns <= around.begin]
    return [*before[-1:], *(state for state in seen if around.begin < state.t_ns <= around.end)]


def _primary(near: list[State]) -> bool:
    return all(state.primary for state in near)


def _silences(evidence: Evidence, vm: Vm) -> list[Span]:
    """When a member did not answer the observer, so that what it told before may no longer hold."""
    lost = [event.t_ns for event in evidence.of_kind("membership", "lost", vm.name)]
    told = [event.t_ns for event in evidence.of_kind("membership", "state", vm.name)]
    ends = [min((time for time in told if time > begin), default=evidence.window.span.end) for begin in lost]
    return [Span(begin, max(begin, end)).widened(_tolerance(evidence)) for begin, end in zip(lost, ends, strict=True)]


_OUTCOMES = (("migrations_succeeded", "Succeeded"), ("migrations_failed", "Failed"))


def _migrations(evidence: Evidence, query: str, phase: str) -> Part:
    """Whether the migrations that were watched to their end are those that KubeVirt counts."""
    name = f"migrations that {'succeeded' if phase == 'Succeeded' else 'failed'}"
    try:
        scraped = {one.labels.get("vmim", ""): one for one in series(evidence, query)}
    except MissingEvidenceError as error:
        if "returned no series" not in str(error):
            return Part(object=name, verdict=Verdict.UNKNOWN, reason=str(error))
        scraped = {}
    ended = {vmim: time for vmim, (time, told) in _ended(evidence).items() if told == phase}
    missing = sorted(vmim for vmim in ended if vmim not in scraped and _lasted(evidence, vmim, ended[vmim]))
    strange = sorted(vmim for vmim in scraped if vmim not in ended and _known(evidence, vmim) != phase)
    facts = {"compared": len(ended), "counted": len(scraped)}
    if missing or strange:
        only_seen = f"seen and not counted: {', '.join(missing)}" if missing else ""
        only_counted = f"counted and not seen: {', '.join(strange)}" if strange else ""
        reason = "; ".join(filter(None, (only_seen, only_counted)))
        odd = len(missing) + len(strange)
        return Part(object=name, verdict=Verdict.UNKNOWN, measured=odd, reason=reason, facts=facts)
    reason = f"{len(scraped)} counted, {len(ended)} seen"
    return Part(object=name, verdict=Verdict.PASS, measured=0, reason=reason, facts=facts)


def _watched(evidence: Evidence) -> Iterator[Event]:
    prefix = f"{evidence.namespace}/"
    return (event for event in evidence.of_kind("watch", "vmim") if event.object.startswith(prefix))


def _ended(evidence: Evidence) -> dict[str, tuple[int, str]]:
    """When each migration ended in the window, and how."""
    found: dict[str, tuple[int, str]] = {}
    for event in _watched(evidence):
        if event.data.get("phase") in FINAL and event.t_ns in evidence.window.span:
            found.setdefault(str(event.data.get("name")), (event.t_ns, str(event.data["phase"])))
    return found


def _known(evidence: Evidence, vmim: str) -> str:
    """How a migration ended by the watch, whenever that was."""
    phases = [str(event.data.get("phase")) for event in _watched(evidence) if event.data.get("name") == vmim]
    return phases[-1] if phases else ""


def _lasted(evidence: Evidence, vmim: str, since: int) -> bool:
    """Whether a migration that had ended was there for long enough to be scraped; it is counted while it exists."""
    deleted = [
        event.t_ns for event in _watched(evidence)
        if event.data.get("name") == vmim and event.data.get("event") == "DELETED"
    ]
    return min([*deleted, evidence.window.span.end]) - since > (EXPORTED_SECONDS + 2 * _interval(evidence)) * 1e9


def _interval(evidence: Evidence) -> float:
    """How often KubeVirt's own metrics were scraped, in seconds: each cluster has its own habit."""
    try:
        times = np.unique(np.concatenate([one.times for one in series(evidence, "vmi_info")]))
    except MissingEvidenceError:
        return INTERVAL_SECONDS
    return float(np.median(np.diff(times))) / 1e9 if len(times) > 1 else INTERVAL_SECONDS


def _placed(evidence: Evidence, vm: Vm) -> Part:
    """Whether KubeVirt's metrics and the watch place a running machine on the same node."""
    name = f"node of {vm.name}"
    try:
        own = [one for one in series(evidence, "vmi_info") if one.labels.get("name") == vm.name]
    except MissingEvidenceError as error:
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=str(error))
    homes = _homes(evidence, vm)
    compared, odd = 0, []
    for time, node in _scraped_nodes(evidence, own):
        around = Span(time, time).widened(EXPORTED_SECONDS)
        possible = {home for span, home in homes if span.overlaps(around)}
        compared += 1
        if node not in possible:
            odd.append((time, f"scraped on {node}, seen on {' or '.join(sorted(filter(None, possible))) or 'no node'}"))
    return _judged(evidence, name, compared, sorted(odd))


def _scraped_nodes(evidence: Evidence, own: list[Series]) -> Iterator[tuple[int, str]]:
    for one in own:
        if one.labels.get("phase", "").lower() == RUNNING.lower():
            yield from ((int(time), one.labels.get("node", "")) for time in one.within(evidence.window.span).times)


def _homes(evidence: Evidence, vm: Vm) -> list[tuple[Span, str]]:
    """Where the watch saw a machine, and from when until when."""
    events = evidence.of_kind("watch", "vmi", f"{evidence.namespace}/{vm.name}")
    edges = [(event.t_ns, _node(event)) for event in events]
    ends = [*edges, (evidence.window.span.end + 1, "")]
    return [(Span(begin, end), node) for (begin, node), (end, _) in pairwise(ends)]


def _node(event: Event) -> str:
    return "" if event.data.get("event") == "DELETED" else str(event.data.get("node") or "")
