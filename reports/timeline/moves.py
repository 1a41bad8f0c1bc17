"""The row of migrations: each by its phases, in red if it failed, and in it the hypervisor's own pause of the guest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from drainproof.record import Event
from reports.checks.hypervisor import about, downtime
from reports.evidence import Evidence
from reports.migrations import FINAL, Migration, drain_of, migrations
from reports.spans import Span
from reports.timeline.bars import bar, name_of, within
from reports.timeline.model import Bar, Row

PHASE_COLOURS = {"Running": "copy", "PreparingTarget": "prepare", "TargetReady": "prepare"}
FAILED = "Failed"
UNSEEN = ", not seen to end"
SHORTEST_NS = 1_000_000
"""A migration that began and ended at once is drawn as if it had lasted so long."""


def moves(evidence: Evidence) -> Row:
    """The migrations of every machine; one whose end nobody saw lasts until its drain, or the window, is over."""
    names = [vm.name for vm in evidence.vms]
    found = migrations(evidence)
    bars: list[Bar] = []
    for number, move in enumerate(found):
        later = [other.span.begin for other in found[number + 1 :] if other.vm == move.vm]
        bars += _bars(evidence, move, names.index(move.vm), min(later, default=evidence.window.span.end))
    missing = "" if bars else "the record has no migration of these machines"
    note = "dark: the hypervisor’s own pause of the guest; red: it failed"
    return Row("moves", "Migrations", note, tuple(names), bars=within(bars, evidence.window.span), missing=missing)


def _bars(evidence: Evidence, move: Migration, lane: int, latest: int) -> Iterator[Bar]:
    told = [event for event in evidence.of_kind("watch", "vmim")
            if str(event.data.get("name") or name_of(event)) == move.vmim]
    end, doubt = _end(evidence, move, told, latest)
    way = f"{move.source or '?'} → {move.target or '?'}"
    if move.phase == FAILED:
        way, doubt = f"failed: {way}", f"; it failed: {move.failure or 'no reason is told'}{doubt}"
    phases = list(_phases(told, move.span.begin, end))
    for number, (phase, span) in enumerate(phases, 1):
        words = f"{way}: {phase or 'its phase is not known'} for {span.seconds:.1f} s{doubt}"
        label, colour = way if phase == "Running" else "", PHASE_COLOURS.get(phase, "wait")
        if number == len(phases) and move.phase == FAILED:
            label, colour = way, "fault"
        elif number == len(phases) and doubt.endswith(UNSEEN):
            label, colour = f"{way}{UNSEEN}", PHASE_COLOURS.get(phase, "calm")
        yield bar(lane, span, label, words, colour)
    for event in evidence.of_kind("hypervisor", "downtime"):
        if about(event, move):
            yield from _pause(lane, event, move.span)


def _end(evidence: Evidence, move: Migration, told: Sequence[Event], latest: int) -> tuple[int, str]:
    """When it was over, and a word if that was not seen."""
    if any(event.data.get("phase") in FINAL for event in told):
        return move.span.end, ""
    makers = [*evidence.of_kind("drain", "migrated"), *evidence.of_kind("migrate", "outcome")]
    if said := [event.t_ns for event in makers if event.data.get("vmim") == move.vmim]:
        return max(said[0], move.span.end), "; its end was not watched, but told by who waited for it"
    drain = drain_of(evidence, move)
    until = min(latest, drain.span.end) if drain else latest
    return max(until, move.span.end), UNSEEN


def _phases(told: Sequence[Event], begin: int, end: int) -> Iterator[tuple[str, Span]]:
    """Each phase from its first sight to that of the next, the last until the end; one of no length has a little."""
    first: dict[str, int] = {}
    for event in told:
        if phase := str(event.data.get("phase") or ""):
            first.setdefault(phase, event.t_ns)
    lasting = [(phase, since) for phase, since in first.items() if phase not in FINAL] or [("", begin)]
    for (phase, since), (_, until) in pairwise([*lasting, ("", max(end, lasting[-1][1] + SHORTEST_NS))]):
        if until > since:
            yield phase, Span(since, until)


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
