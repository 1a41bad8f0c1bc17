"""Whether one case holds what a requirement demands of it: claims, stricter limits, figures."""

from __future__ import annotations

from collections.abc import Iterator

from reports.gate.answer import Reason, against, lacking
from reports.gate.examined import ExaminedCase
from reports.gate.policy import INTACT, Bounds, Requirement, matches
from reports.text import SYMBOLS
from reports.verdict import Claim, Figure, Verdict

LOOK_AT = "Look at the case in the run's report; what failed there has to be mended."
MEASURE = "Make the run again so that its instruments see it; the claim's reason says what was missing."


def reasons_of(run_id: str, case: ExaminedCase, wanted: Requirement) -> Iterator[Reason]:
    """Everything that keeps a case from counting as a pass."""
    where = f"run {run_id}, case {case.name}"
    if case.verdict is None:
        yield lacking(where, "a case that can be judged", case.trouble, "Use a run that came to its end.")
        return
    claims = {claim.id: claim for claim in case.verdict.claims}
    for claim in claims.values():
        if matches(claim.id, (*wanted.claims, INTACT)):
            yield from _claim(where, claim)
    for pattern in wanted.claims:
        if not any(matches(claim, (pattern,)) for claim in claims):
            remedy = "Require it only of tests that make this claim."
            yield lacking(where, f"the claim {pattern!r}", "the case makes no such claim", remedy)
    for claim_id, limit in sorted(wanted.limits.items()):
        yield from _limit(f"{where}, claim {claim_id}", claims.get(claim_id), limit)
    for bounds in wanted.figures:
        fitting = [
            one for one in case.verdict.figures if one.axis == bounds.axis and matches(one.object, (bounds.object,))
        ]
        expected = f"{bounds.axis} of {bounds.object!r} {bounds.words()}"
        if not fitting:
            yield lacking(where, expected, "the case has no such figure", "Correct the axis or object in the policy.")
        for figure in fitting:
            yield from _figure(f"{where}, {figure.axis} of {figure.object}", figure, bounds)


def beside(run_id: str, case: ExaminedCase, wanted: Requirement) -> Iterator[str]:
    """What did not hold without having been required, in sentences."""
    for claim in case.verdict.claims if case.verdict else ():
        if claim.verdict is not Verdict.PASS and not matches(claim.id, (*wanted.claims, INTACT)):
            yield f"Not required, but {claim.verdict} in run {run_id}, case {case.name}: {claim.id}: {claim.reason}"


def _claim(where: str, claim: Claim) -> Iterator[Reason]:
    if claim.verdict is Verdict.FAIL:
        yield against(f"{where}, claim {claim.id}", claim.title, f"fail: {claim.reason}", claim.hint or LOOK_AT)
    elif claim.verdict is Verdict.UNKNOWN:
        yield lacking(f"{where}, claim {claim.id}", claim.title, f"unknown: {claim.reason}", claim.hint or MEASURE)


def _limit(where: str, claim: Claim | None, limit: float | Bounds) -> Iterator[Reason]:
    if claim is None:
        yield lacking(where, "a claim with a measured value", "the case makes no such claim", MEASURE)
        return
    symbol = claim.unit.partition(",")[0] if claim.unit.partition(",")[0] in SYMBOLS else ""
    bounds = limit if isinstance(limit, Bounds) else _as_meant(claim, limit)
    if bounds is None:
        remedy = "Say in the policy whether it is meant at_most or at_least."
        yield lacking(where, f"the limit {limit}", "a claim without a bound of its own", remedy)
        return
    expected = f"{bounds.words()} {symbol}".strip()
    if claim.measured is None:
        yield lacking(where, expected, f"not measured: {claim.reason}", MEASURE)
    elif not bounds.held_by(claim.measured):
        yield against(where, expected, _shown(claim.measured, symbol), LOOK_AT)
    elif bounds.at_most is not None and not _sees(claim.detection_limit, bounds.at_most, counted=not symbol):
        seen = f"{_shown(claim.measured, symbol)}, but up to {_shown(claim.detection_limit, symbol)} may hide"
        yield lacking(where, expected, seen, "Raise the rate of the stream in the profile, or the limit in the policy.")


def _as_meant(claim: Claim, limit: float) -> Bounds | None:
    """A limit that is a number alone bounds as the claim's own does."""
    if claim.bound == "at most":
        return Bounds(at_most=limit)
    return Bounds(at_least=limit) if claim.bound == "at least" else None


def _sees(detection_limit: float | None, limit: float, *, counted: bool) -> bool:
    """Whether whatever is above the limit would have been seen; of what is counted, the next is one more."""
    return detection_limit is None or detection_limit <= limit + (1 if counted else 0)


def _shown(value: float | None, unit: str) -> str:
    """A value with all the digits that decide."""
    return f"{value:.6g} {unit}".strip() if value is not None else "nothing"


def _figure(where: str, figure: Figure, bounds: Bounds) -> Iterator[Reason]:
    expected = f"{bounds.words()} {figure.unit}"
    if figure.value is None:
        yield lacking(where, expected, f"not measured: {figure.reason}", MEASURE)
    elif not bounds.held_by(figure.value):
        yield against(where, expected, _shown(figure.value, figure.unit), LOOK_AT)
    elif figure.at_least and bounds.at_most is not None:
        yield lacking(where, expected, f"at least {_shown(figure.value, figure.unit)}: {figure.reason}", MEASURE)
