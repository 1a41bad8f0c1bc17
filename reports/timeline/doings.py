"""The rows of what was done and where machines were: phases, drains, faults, nodes, migrations, stalled observers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from drainproof.record import Event
from drainproof.streams import AWAY
from reports.checks.hypervisor import about, downtime
from reports.evidence import OBSERVERS, Evidence
from reports.migrations import migrations
from reports.spans import Span
from reports.timeline.model import Bar, Moment, Row
from reports.timeline.palette import machine

PHASE_COLOURS = {"Running": "copy", "PreparingTarget": "prepare", "TargetReady": "prepare", "Failed": "fault"}
FINAL = ("Succeeded", "Failed")
LEAST_STALL_NS = 50_000_000
KEPT_STALLS = 300


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
        _bar(0, span, name, f"phase {name}", "calm")
        for name, span in evidence.phases.items() if span.overlaps(window)
    ]
    faulty = {f"{fault.kind} of {fault.target}" if fault.target else fault.kind for fault in evidence.faults}
    found = list(disturbances(evidence))
    lanes = [[one for one in found if one.label not in faulty], [one for one in found if one.label in faulty]]
    names = ["phase"]
    for name, colour, moments in (("drain", "drain", lanes[0]), ("fault", "fault", lanes[1])):
        if moments:
            bars += [_bar(len(names), Span(one.begin, one.end), one.label, one.label, colour) for one in moments]
            names.append(name)
    return Row("done", "What was done", lanes=tuple(names), bars=_within(bars, window))


def nodes(evidence: Evidence) -> Row:
    """Where each virtual machine was, as the watch told."""
    names = tuple(vm.name for vm in evidence.vms)
    bars: list[Bar] = []
    for lane, vm in enumerate(names):
        told = [event for event in evidence.of_kind("watch", "vmi") if event.data.get("name", _name(event)) == vm
                and _ours(event, evidence.namespace)]
        bars += _residences(lane, told, machine(lane), evidence.window.span)
    missing = "" if bars else "the record has no event of the machines' watch"
    return Row("nodes", "Node of each virtual machine", lanes=names, bars=tuple(bars), missing=missing)


def _residences(lane: int, told: Sequence[Event], colour: str, window: Span) -> Iterator[Bar]:
    states = [(event.t_ns, _state(event)) for event in told]
    changes = [pair for number, pair in enumerate(states) if number == 0 or pair[1] != states[number - 1][1]]
    for (begin, state), (end, _) in pairwise([*changes, (window.end, "")]):
        span = Span(begin, end).within(window)
        if span.end > span.begin and state:
            away = state.startswith("not ")
            yield _bar(lane, span, state, state, "reduced" if away else colour)


def _state(event: Event) -> str:
    """The node of a running machine, or what it is instead; empty when it is gone."""
    data = event.data
    if data.get("event") == "DELETED":
        return ""
    node, phase = str(data.get("node") or ""), str(data.get("phase") or "")
    if phase == "Running":
        return f"not ready, {node}" if data.get("ready") is False else node
    return f"not running: {phase or 'new'}"


def moves(evidence: Evidence) -> Row:
    """The migrations by their phases, and in them the hypervisor's own pause of the guest."""
    names = [vm.name for vm in evidence.vms]
    bars: list[Bar] = []
    for move in migrations(evidence):
        lane, way = names.index(move.vm), f"{move.source or '?'} → {move.target or '?'}"
        told = [event for event in evidence.of_kind("watch", "vmim")
                if str(event.data.get("name") or _name(event)) == move.vmim]
        found = list(_phases(lane, told, way, move.span.end))
        bars += found or [_bar(lane, move.span, way, f"{way}, {move.phase or 'its end is not known'}", "copy")]
        for event in evidence.of_kind("hypervisor", "downtime"):
            if about(event, move):
                bars += _pause(lane, event, move.span)
    missing = "" if bars else "the record has no migration of these machines"
    note = "dark: the hypervisor’s own pause of the guest"
    return Row("moves", "Migrations", note, tuple(names), bars=_within(bars, evidence.window.span), missing=missing)


def _phases(lane: int, told: Sequence[Event], way: str, end: int) -> Iterator[Bar]:
    first: dict[str, int] = {}
    for event in told:
        if phase := str(event.data.get("phase") or ""):
            first.setdefault(phase, event.t_ns)
    for (phase, begin), (_, until) in pairwise([*first.items(), ("", max(end, *first.values(), 0))]):
        if phase not in FINAL and until > begin:
            seconds = f"{(until - begin) / 1e9:.1f} s"
            label = way if phase == "Running" else ""
            yield _bar(lane, Span(begin, until), label, f"{way}: {phase} for {seconds}",
                       PHASE_COLOURS.get(phase, "wait"))


def _pause(lane: int, event: Event, span: Span) -> Iterator[Bar]:
    paused, data = downtime(event.data), event.data
    if data.get("stop_ns") and data.get("resume_ns"):
        held = Span(int(data["stop_ns"]), int(data["resume_ns"]))
        told = f"guest paused for {(held.end - held.begin) / 1e6:.0f} ms on the hosts’ clock"
        told += f", {paused:.0f} ms by the hypervisor’s account" if paused is not None else ""
        yield Bar(lane, held.begin, held.end, "", told, "pause", thin=True)
    elif paused is not None:
        held = Span(span.end - round(paused * 1e6), span.end)
        told = f"guest paused for {paused:.0f} ms by the hypervisor’s account; when, it does not tell"
        yield Bar(lane, held.begin, held.end, "", told, "pause", thin=True)


def stalls(evidence: Evidence) -> Row:
    """When the observers themselves were kept from looking: what happened then proves less."""
    spans: dict[str, list[Span]] = {}
    for event in evidence.events:
        if event.kind == "stall" and event.source in OBSERVERS:
            spans.setdefault(event.source, []).append(Span(int(event.data["start_ns"]), int(event.data["end_ns"])))
    for name in evidence.samples:
        if name.startswith(f"{AWAY}/"):
            for chunk in evidence.samples.chunks(name, ("start_ns", "end_ns")):
                long = chunk["end_ns"] - chunk["start_ns"] >= LEAST_STALL_NS
                pairs = zip(chunk["start_ns"][long].tolist(), chunk["end_ns"][long].tolist(), strict=True)
                spans.setdefault("stopwatch", []).extend(Span(begin, end) for begin, end in pairs)
    window = evidence.window.span
    names = sorted(name for name, found in spans.items() if any(span.overlaps(window) for span in found))
    bars = [
        _bar(lane, span, "", f"{name} could not look for {span.seconds:.3f} s", "reduced")
        for lane, name in enumerate(names)
        for span in sorted(spans[name], key=lambda one: -one.seconds)[:KEPT_STALLS]
    ]
    kept = _within(bars, window)
    missing = "" if kept else f"no observer was kept from looking for {LEAST_STALL_NS / 1e6:.0f} ms or more"
    return Row("stalls", "Observers kept from looking", lanes=tuple(names), bars=kept, missing=missing)


def _within(bars: Sequence[Bar], window: Span) -> tuple[Bar, ...]:
    """The part of each bar that lies in the window."""
    found = []
    for bar in bars:
        span = Span(bar.begin, bar.end).within(window)
        if span.end > span.begin:
            found.append(Bar(bar.lane, span.begin, span.end, bar.label, bar.told, bar.colour, bar.thin))
    return tuple(found)


def _bar(lane: int, span: Span, label: str, told: str, colour: str) -> Bar:
    return Bar(lane, span.begin, span.end, label, told, colour)


def _name(event: Event) -> str:
    return event.object.rpartition("/")[2]


def _ours(event: Event, namespace: str) -> bool:
    return "/" not in event.object or event.object.startswith(f"{namespace}/")
