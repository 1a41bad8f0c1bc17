"""The rows of what was done and where machines were: phases, drains, faults, and the node of each machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from drainproof.record import Event
from reports.evidence import Evidence
from reports.spans import Span, outside
from reports.timeline.bars import bar, name_of, ours, within
from reports.timeline.model import Bar, Moment, Row
from reports.timeline.palette import machine
from reports.watches import unseen

UNSEEN = "not watched"


def disturbances(evidence: Evidence) -> Iterator[Moment]:
    """The drains and faults, in order."""
    done = [(drain.span, f"drain of {drain.node}") for drain in evidence.drains]
    for fault in evidence.faults:
        span = Span(fault.begun_ns, max(fault.begun_ns, fault.over_ns or fault.span.end))
        done.append((span, f"{fault.kind} of {fault.target}" if fault.target else fault.kind))
    for span, label in sorted(done):
        yield Moment(label, span.begin, span.end)


def done(evidence: Evidence) -> Row:
    """The phases of the run, and below them each drain and fault."""
    window = evidence.window.span
    bars = [
        bar(0, span, name, f"phase {name}", "calm")
        for name, span in evidence.phases.items() if span.overlaps(window)
    ]
    faulty = {f"{fault.kind} of {fault.target}" if fault.target else fault.kind for fault in evidence.faults}
    found = list(disturbances(evidence))
    lanes = [[one for one in found if one.label not in faulty], [one for one in found if one.label in faulty]]
    names = ["phase"]
    for name, colour, moments in (("drain", "drain", lanes[0]), ("fault", "fault", lanes[1])):
        if moments:
            bars += [bar(len(names), Span(one.begin, one.end), one.label, one.label, colour) for one in moments]
            names.append(name)
    return Row("done", "What was done", lanes=tuple(names), bars=within(bars, window))


def nodes(evidence: Evidence) -> Row:
    """Where each virtual machine was, as the watch told; while that could not see, nobody knows."""
    names, window = tuple(vm.name for vm in evidence.vms), evidence.window.span
    blind = unseen(evidence, "vmi", window)
    bars: list[Bar] = []
    for lane, vm in enumerate(names):
        told = [event for event in evidence.of_kind("watch", "vmi") if event.data.get("name", name_of(event)) == vm
                and ours(event, evidence.namespace)]
        bars += _residences(lane, told, machine(lane), window, blind)
        if told:
            bars += [bar(lane, span, UNSEEN, "the watch of machines could not see", "calm") for span in blind]
    missing = "" if bars else "the record has no event of the machines' watch"
    return Row("nodes", "Node of each virtual machine", lanes=names, bars=tuple(bars), missing=missing)


def _residences(
    lane: int, told: Sequence[Event], colour: str, window: Span, blind: Sequence[Span]
) -> Iterator[Bar]:
    states = [(event.t_ns, _state(event)) for event in told]
    changes = [pair for number, pair in enumerate(states) if number == 0 or pair[1] != states[number - 1][1]]
    for (begin, state), (end, _) in pairwise([*changes, (window.end, "")]):
        for span in outside([Span(begin, end).within(window)], blind) if state else ():
            away = state.startswith("not ")
            yield bar(lane, span, state, state, "reduced" if away else colour)


def _state(event: Event) -> str:
    """The node of a running machine, or what it is instead; empty when it is gone."""
    data = event.data
    if data.get("event") == "DELETED":
        return ""
    node, phase = str(data.get("node") or ""), str(data.get("phase") or "")
    if phase == "Running":
        return f"not ready, {node}" if data.get("ready") is False else node
    return f"not running: {phase or 'new'}"
