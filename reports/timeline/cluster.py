"""The rows of the database's own state: the members' view of their cluster, and flow control, scrape by scrape."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from reports.checks.galera import HOLE_SECONDS, PRIMARY, SIZE, STATE, STATUS, SYNCED
from reports.evidence import Evidence
from reports.members import states
from reports.series import Series, by_host, series
from reports.spans import Span
from reports.timeline.model import Bar, Line, Row
from reports.timeline.palette import machine
from reports.verdict import MissingEvidenceError

STATES = {0: "undefined", 1: "joining", 2: "donor", 3: "joined", 4: "Synced", 5: "error"}
UNSCRAPED = "not scraped"
LONGEST_NS = int(HOLE_SECONDS * 1e9)
SCRAPE_NS = 1_000_000_000


def members(evidence: Evidence) -> Row:
    """How many members each one saw, and its own state; by scrapes, else by what the members told when asked."""
    names = tuple(vm.name for vm in evidence.vms)
    try:
        bars, note = tuple(_scraped(evidence)), "by Prometheus; blank: no scrape"
    except MissingEvidenceError as error:
        bars, note = tuple(_told(evidence)), "as the members told when asked"
        if not bars:
            raise MissingEvidenceError(f"{error}; and no member told when asked") from error
    return Row("members", "Galera: cluster size and state of each member", note, names, bars=bars)


def _scraped(evidence: Evidence) -> Iterator[Bar]:
    found = {name: by_host(series(evidence, name)) for name in (SIZE, STATUS, STATE)}
    for lane, vm in enumerate(evidence.vms):
        if all(vm.address in found[name] for name in found):
            size, status, state = (found[name][vm.address].within(evidence.window.span) for name in found)
            yield from _runs(evidence, lane, size, status, state)


def _runs(evidence: Evidence, lane: int, size: Series, status: Series, state: Series) -> Iterator[Bar]:
    """Stretches in which scrape after scrape told the same."""
    whole = len(evidence.vms)
    told = [
        (int(time), (int(value), _at(status, int(time)), _at(state, int(time))))
        for time, value in zip(size.times, size.values, strict=True)
    ]
    begin = 0
    for number in range(1, len(told) + 1):
        at_end = number == len(told)
        if at_end or told[number][1] != told[begin][1] or told[number][0] - told[number - 1][0] > LONGEST_NS:
            last = told[number - 1][0] + SCRAPE_NS
            until = last if at_end else min(last, told[number][0])
            yield _member(evidence, lane, Span(told[begin][0], until), *told[begin][1], whole)
            begin = number


def _at(one: Series, time: int) -> int | None:
    """The value of the scrape nearest to an instant; None without any."""
    return int(one.values[int(np.abs(one.times - time).argmin())]) if len(one) else None


def _told(evidence: Evidence) -> Iterator[Bar]:
    for lane, vm in enumerate(evidence.vms):
        found = states(evidence, vm.name)
        ends = [*(state.t_ns for state in found), evidence.window.span.end][1:]
        for state, end in zip(found, ends, strict=True):
            span = Span(state.t_ns, end)
            status = int(PRIMARY) if state.primary else 0
            yield _member(evidence, lane, span, state.size, status, state.local_state, len(evidence.vms))


def _member(
    evidence: Evidence, lane: int, span: Span, size: int, status: int | None, state: int | None, whole: int
) -> Bar:
    """How a member stood; neither well nor badly where a part of it was not scraped and the rest is well."""
    words = UNSCRAPED if state is None else STATES.get(state, str(state))
    primary = UNSCRAPED if status is None else "Primary" if status == PRIMARY else "not Primary"
    bad = size != whole or status not in (PRIMARY, None) or state not in (SYNCED, None)
    colour = "reduced" if bad else "calm" if None in (status, state) else "whole"
    label = f"{size} {words}" if status == PRIMARY else f"{size} {primary.lower()}"
    inside = span.within(evidence.window.span)
    return Bar(lane, inside.begin, inside.end, label, f"cluster size {size}, status {primary}, state {words}", colour)


def flow_control(evidence: Evidence) -> Row:
    """The share of time in which flow control held replication, between two scrapes each."""
    found = by_host(series(evidence, "flow_control_paused_ns"))
    window = evidence.window.span
    lines = []
    count = max(1, min(1500, (window.end - window.begin) // SCRAPE_NS))
    width = (window.end - window.begin) / count
    for lane, vm in enumerate(evidence.vms):
        one = found.get(vm.address)
        if one is None or len(one) < 2:
            continue
        shares = 100 * np.clip(np.diff(one.values), 0, None) / np.diff(one.times)
        values = np.full(count, np.nan)
        inside = (one.times[1:] >= window.begin) & (one.times[1:] < window.end)
        places = ((one.times[1:][inside] - window.begin) / width).astype(int)
        np.fmax.at(values, places, shares[inside])
        lines.append(Line(vm.name, machine(lane), window.begin, width, values))
    missing = "" if lines else "flow control was scraped of no member twice"
    return Row("flow", "Galera: time held by flow control", unit="%", lines=tuple(lines), missing=missing)
