"""What a run says in each series of the trend: a verdict, a measured value, or both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from reports.statistics import finite
from reports.verdict import Better, CaseVerdict, Claim, Figure, Part, Verdict, worst

CLAIM, FIGURE = "claim", "figure"
AT_LEAST = "at least"


class Key(NamedTuple):
    """What makes two values of different runs the same quantity."""

    case: str
    kind: str
    name: str
    """The id of a claim, or the axis of a figure."""
    object: str
    """Empty for a claim as a whole."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one run says; `verdict` is None where nothing was judged, as in a figure that is not in doubt."""

    key: Key
    unit: str
    better: Better
    value: float | None = None
    verdict: Verdict | None = None
    reason: str = ""
    """Of a verdict that is not pass, or of a missing value."""
    limit: float | None = None
    detection: float | None = None
    limit_key: str = ""
    """The key of drainproof.settings.Limits that this value is held against, or empty."""
    checks: str = ""
    """The version of the checks that judged."""


OUTAGE = "outage_seconds"
KEYS: Final[Mapping[str, str]] = {
    "outage.udp": OUTAGE,
    "outage.heartbeat": OUTAGE,
    "outage.tcp-kept": OUTAGE,
    "outage.tcp-new": OUTAGE,
    "recovery.times": "rto_seconds",
    "prometheus.load": "gap_agreement_seconds",
}
"""Claims whose measured value is held against one limit of the profile."""

GAP_KEYS: Final[Mapping[str, str]] = {
    "http-new": "http_new_gap_seconds", "http-reused": "http_reused_gap_seconds", "sql": "sql_gap_seconds",
}
"""Kinds of streams whose gaps have limits of their own, inside one claim."""


def entries(case: CaseVerdict) -> dict[Key, Entry]:
    """All entries of a case; of several with one key the worst stands for them."""
    found: dict[Key, Entry] = {}
    for entry in _all(case):
        known = found.get(entry.key)
        found[entry.key] = entry if known is None else _worse(known, entry)
    return found


def _all(case: CaseVerdict) -> Iterator[Entry]:
    checks = "; figures ".join(str(case.judged_by[key]) for key in ("version", "figures") if key in case.judged_by)
    for claim in case.claims:
        yield _of_claim(case, claim, checks)
        for split in SPLITS:
            yield from split(case, claim)
    for figure in case.figures:
        yield _of_figure(case, figure)


def _of_claim(case: CaseVerdict, claim: Claim, checks: str) -> Entry:
    limit_key = KEYS.get(claim.id, "")
    return Entry(
        key=Key(case.case, CLAIM, claim.id, ""),
        unit=claim.unit,
        better=Better.MORE if claim.bound == AT_LEAST else Better.LESS,
        value=finite(claim.measured),
        verdict=claim.verdict,
        reason="" if claim.verdict is Verdict.PASS else claim.reason,
        limit=finite(claim.limit),
        detection=finite(claim.detection_limit),
        limit_key=limit_key if limit_key and claim.limit == case.limits.get(limit_key) else "",
        checks=checks,
    )


def _of_figure(case: CaseVerdict, figure: Figure) -> Entry:
    """A figure; of one that is only a lower bound, or of a case that nobody could decide, the verdict is unknown.

    Its value is then shown and not computed with, as that of a claim of which the instrument was blind.
    """
    doubtful = figure.at_least or case.verdict is Verdict.UNKNOWN
    return Entry(
        key=Key(case.case, FIGURE, figure.axis, figure.object), unit=figure.unit, better=figure.better,
        value=finite(figure.value), verdict=Verdict.UNKNOWN if doubtful else None, reason=figure.reason,
        detection=finite(figure.resolution),
    )


def _gaps(case: CaseVerdict, claim: Claim) -> Iterator[Entry]:
    """The longest gap of each kind of stream, which have limits of their own."""
    if claim.id != "continuity.requests":
        return
    for kind, limit_key in GAP_KEYS.items():
        parts = [part for part in claim.parts if part.object.startswith(f"{kind}/") and part.measured is not None]
        if parts:
            yield _of_parts(case, claim, kind, parts, (limit_key, "s, longest gap", lambda part: part.measured))


def _flow_control(case: CaseVerdict, claim: Claim) -> Iterator[Entry]:
    parts = [part for part in claim.parts if "paused_share" in part.facts]
    if claim.id == "galera.steady" and parts:
        told = ("flow_control_paused", "share of a drain in which replication was held", _fact("paused_share"))
        yield _of_parts(case, claim, "flow control", parts, told)


def _budget(case: CaseVerdict, claim: Claim) -> Iterator[Entry]:
    parts = [part for part in claim.parts if "share_limit" in part.facts]
    if claim.id == "service.survives" and parts:
        told = ("error_budget", "share of failed requests", lambda part: part.measured)
        yield _of_parts(case, claim, "failed requests", parts, told)


SPLITS: Final[tuple[Callable[[CaseVerdict, Claim], Iterator[Entry]], ...]] = (_gaps, _flow_control, _budget)
"""Quantities inside a claim that the profile limits by themselves."""

MIXED: Final = frozenset({"continuity.requests"})
"""Claims whose measured value is now of one kind of stream and now of another: only the kinds are compared."""

Told = tuple[str, str, Callable[[Part], Any]]


def _of_parts(case: CaseVerdict, claim: Claim, name: str, parts: Iterable[Part], told: Told) -> Entry:
    """The worst of some parts as a series of its own, with the verdict of those parts."""
    limit_key, unit, value = told
    collected = list(parts)
    values = [number for part in collected if (number := finite(value(part))) is not None]
    detection = [number for part in collected if (number := finite(part.facts.get("detection_limit_s"))) is not None]
    return Entry(
        key=Key(case.case, CLAIM, claim.id, name),
        unit=unit,
        better=Better.LESS,
        value=max(values, default=None),
        verdict=worst(part.verdict for part in collected),
        reason="; ".join(f"{part.object}: {part.reason}" for part in collected if part.verdict is not Verdict.PASS),
        limit=finite(case.limits.get(limit_key)),
        detection=max(detection, default=None),
        limit_key=limit_key,
    )


def _fact(name: str) -> Callable[[Part], Any]:
    return lambda part: part.facts.get(name)


def _worse(one: Entry, other: Entry) -> Entry:
    verdict = worst(entry.verdict for entry in (one, other) if entry.verdict is not None)
    if one.verdict is not other.verdict:
        return one if one.verdict is verdict else other
    if one.value is None or other.value is None:
        return one if other.value is None else other
    return one if (one.value >= other.value) == (one.better is Better.LESS) else other
