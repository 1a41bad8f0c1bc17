"""Proposed limits as TOML for a profile, every line with where it comes from. Nothing applies them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from reports.text import clean
from reports.trend import words
from reports.trend.analysis import KeyProposal, Line, StreamTrend
from reports.trend.limits import Bound, Proposal


def toml(one: StreamTrend) -> str:
    """The [limits] of a profile that the history of a stream proposes; empty when it proposes none."""
    return "\n".join(clean(line) for line in _lines(one)) + "\n" if one.limits else ""


def _lines(one: StreamTrend) -> Iterator[str]:
    yield f"# Proposed by {words.period(one.stream)} ({one.stream.title}), from what passed since the last change."
    yield "[limits]"
    for proposed in one.limits:
        yield f"# {why(proposed)}"
        off = reservation(proposed)
        yield f"# {off}: {proposed.key} = {proposed.limit:g}" if off else f"{proposed.key} = {proposed.limit:g}"
    if alarms := false_alarms(one):
        told = f"about 1 night in {1 / alarms:.0f}" if alarms < 1 else "every night"
        yield f"# If nothing changes, {told} exceeds one of these limits by chance alone."


def policy(one: StreamTrend) -> str:
    """Requirements for a gate's policy (docs/gate.md) that hold the claims to their history; empty without any."""
    by_case: dict[str, list[Line]] = {}
    for line in one.lines:
        if line.proposal is not None and line.series.whole:
            by_case.setdefault(line.key.case, []).append(line)
    return "\n".join(_requirement(one, case, lines) for case, lines in by_case.items())


def _requirement(one: StreamTrend, case: str, lines: Sequence[Line]) -> str:
    storage_class = one.stream.name["storage class"]
    told = ["[[require]]", f"tests = [{_quoted(case)}]", f"storage_classes = [{_quoted(storage_class)}]"]
    told.append("[require.limits]")
    for line in lines:
        if line.proposal is not None:
            limit, off = f"{_quoted(line.key.name)} = {{ at_most = {line.proposal.limit:g} }}", too_few(line.proposal)
            told += [f"# {clean(basis(line))}", f"# {off}: {limit}" if off else limit]
    return "\n".join(told) + "\n"


def _quoted(text: str) -> str:
    """A TOML basic string, which has the escapes of JSON."""
    return json.dumps(clean(text), ensure_ascii=False)


def reservation(one: KeyProposal) -> str:
    """Why a proposal is not to be taken over as it is; empty when it may be."""
    proposal = one.decides.proposal
    if one.limit <= 0:
        return "leaves no room at all"
    if proposal is not None and one.now is not None and proposal.floor > one.now:
        return "the limit lies below what the instrument is sure to see"
    return too_few(proposal) if proposal is not None else ""


def too_few(proposal: Proposal) -> str:
    """That so few runs do not even bound P95, or empty."""
    bound = proposal.p95
    return "" if bound.holds else f"{proposal.runs} runs are too few, P95 alone takes {bound.needed}"


def false_alarms(one: StreamTrend) -> float:
    """How many of the proposed limits a next run exceeds, on average, if nothing has changed."""
    deciding = [proposed.decides.proposal for proposed in one.limits if not reservation(proposed)]
    return sum(proposal.exceeded_by_chance for proposal in deciding if proposal is not None)


def why(one: KeyProposal) -> str:
    """Which series decides, what it is now, and how certain the proposal is."""
    line = one.decides
    now = f"now {words.amount(one.now, line.series.newest.unit)}; " if one.now is not None else ""
    silent = f"; {one.silent} of {one.series} series have too few runs to speak" if one.silent else ""
    return f"{now}{line.key.case}, {words.label(line.key)}: {basis(line)}{silent}"


def basis(line: Line) -> str:
    """Over how many runs, what is certain of P95 and P99, and how often chance alone exceeds what was seen."""
    proposal, unit = line.proposal, line.series.newest.unit
    if proposal is None:
        return "too few runs"
    floor = ""
    if proposal.floor > proposal.p99.value:
        floor = f", raised to the detection limit {words.amount(proposal.floor, unit)}"
    return (
        f"{bound(proposal.p95, line)}, {bound(proposal.p99, line)} over {proposal.runs} runs{floor}; "
        f"of runs like these 1 in {proposal.runs + 1} exceeds the largest"
    )


def bound(one: Bound, line: Line) -> str:
    """`P95 ≤ 0.62 s (95 %)`, or that there are too few runs for it."""
    name, value = f"P{one.quantile * 100:.0f}", words.amount(one.value, line.series.newest.unit)
    if one.holds:
        return f"{name} ≤ {value} ({one.confidence:.0%} sure)"
    return f"{name} ≤ {value} only {one.confidence:.0%} sure ({one.needed} runs needed)"
