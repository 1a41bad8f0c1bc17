"""What clients on another host saw is placed on this host's clock well enough to lie beside what was done."""

from __future__ import annotations

from typing import Final

from drainproof.record import Event
from reports.evidence import Evidence
from reports.verdict import Claim, Facts, Part, Verdict, sum_up

ID = "clients.clock"
TITLE = "The clients' clock is known well enough to lay what they saw beside what was done"
SOURCE, KIND = "clock", "offset"
CLIENTS: Final = "clients"
LIMIT_SECONDS: Final = 0.05
"""Phases are quiet for seconds at their edges, and a scrape may lie 1.5 s from what it tells: so much changes neither.
What a gap lasted is read from one clock alone."""


def applies(evidence: Evidence) -> bool:
    """Whether clients were in the cluster, or another host's clock was told."""
    return bool(evidence.of_kind(CLIENTS, "begin") or evidence.of_kind(SOURCE, KIND))


def check(evidence: Evidence) -> Claim:
    """Judge how surely each clock is known, and whether what its observers wrote has come back whole."""
    told = evidence.of_kind(SOURCE, KIND)
    parts = [_known(event) for event in told]
    parts += [
        Part(object=event.object, verdict=Verdict.UNKNOWN, reason=f"what the clients saw was lost: {_reason(event)}")
        for event in evidence.of_kind(CLIENTS, "lost")
    ]
    if not told:
        parts.append(Part(object="clock", verdict=Verdict.UNKNOWN, reason="the clients' clock was never told"))
    worst = max((part.measured for part in parts if part.measured is not None), default=None)
    summary = sum_up(parts, lambda _: f"known within {1000 * (worst or 0):.1f} ms", evidence.window.incomplete)
    return Claim(
        id=ID,
        title=TITLE,
        verdict=summary.verdict,
        measured=worst,
        limit=LIMIT_SECONDS,
        unit="s, either way",
        detection="an exchange bounds the difference of two clocks, whatever the network does",
        reason=summary.reason,
        evidence=("events.jsonl: clock/offset, clients",),
        hint="Place clients where the API's proxy reaches them sooner." if summary.verdict is Verdict.UNKNOWN else "",
        parts=summary.parts,
    )


def _known(event: Event) -> Part:
    data = event.data
    uncertainty, offset = data.get("uncertainty_ns"), data.get("offset_ns")
    if not isinstance(uncertainty, int) or not isinstance(offset, int) or uncertainty < 0:
        return Part(object=event.object, verdict=Verdict.UNKNOWN, reason="how surely its clock is known is not told")
    seconds = uncertainty / 1e9
    facts: Facts = {"offset_s": offset / 1e9, "uncertainty_s": seconds, "one_clock": str(data.get("one_clock") is True)}
    reason, verdict = f"{1000 * seconds:.1f} ms either way", Verdict.PASS
    if data.get("trouble"):
        reason, verdict = f"its clock was not asked again at the end: {data['trouble']}", Verdict.UNKNOWN
    elif seconds > LIMIT_SECONDS:
        reason, verdict = f"{reason}, more than {1000 * LIMIT_SECONDS:.0f} ms", Verdict.UNKNOWN
    return Part(object=event.object, verdict=verdict, reason=reason, measured=seconds, facts=facts)


def _reason(event: Event) -> str:
    return str(event.data.get("reason") or "nobody knows why")
