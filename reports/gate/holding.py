"""Whether one case holds what a requirement demands of it: claims, stricter limits, figures."""

from __future__ import annotations

import math
from collections.abc import Iterator

from reports.gate.answer import Reason, against, lacking
from reports.gate.examined import ExaminedCase
from reports.gate.policy import Bounds, Requirement, matches
from reports.gate.stricter import LIMITS_OF, judged_by
from reports.text import SYMBOLS
from reports.verdict import CaseVerdict, Claim, Figure, Verdict

LOOK_AT = "Look at the case in the run's report; what failed there has to be mended."
PERIODS = "periods"
"""A unit that is counted in fractions."""
ABLE = "Give the target what it lacks and certify again, or ask only for what it can do."
MEASURE = "Make the run again so that its instruments see it; the claim's reason says what was missing."


def reasons_of(run_id: str, case: ExaminedCase, wanted: Requirement) -> Iterator[Reason]:
    """Everything that keeps a case from counting as a pass."""
    where = f"run {run_id}, case {case.name}"
    if case.skipped:
        yield lacking(where, "a case that was run", f"skipped, it never ran: {case.skipped}", ABLE)
        return
    if case.verdict is None:
        yield lacking(where, "a case that can be judged", case.trouble, "Use a run that came to its end.")
        return
    claims = {claim.id: claim for claim in case.verdict.claims}
    for claim in claims.values():
        if matches(claim.id, wanted.required_claims):
            yield from _claim(where, claim)
    for pattern in wanted.claims:
        if not any(matches(claim, (pattern,)) for claim in claims):
            remedy = "Require it only of tests that make this claim."
            yield lacking(where, f"the claim {pattern!r}", "the case makes no such claim", remedy)
    for pattern, limit in sorted(wanted.limits.items()):
        limited = [claim for claim in claims.values() if matches(claim.id, (pattern,))]
        if not limited:
            seen = "the case makes no such claim"
            yield lacking(f"{where}, claim {pattern}", "a claim with a measured value", seen, MEASURE)
        for claim in limited:
            yield from _limit(f"{where}, claim {claim.id}", case, claim, limit)
    yield from _figures(where, case.verdict, wanted)


def _figures(where: str, verdict: CaseVerdict, wanted: Requirement) -> Iterator[Reason]:
    for bounds in wanted.figures:
        fitting = [
            one for one in verdict.figures if one.axis == bounds.axis and matches(one.object, (bounds.object,))
        ]
        expected = f"{bounds.axis} of {bounds.object!r} {bounds.words()}"
        if not fitting:
            yield lacking(where, expected, "the case has no such figure", "Correct the axis or object in the policy.")
        for figure in fitting:
            yield from _figure(f"{where}, {figure.axis} of {figure.object}", figure, bounds)


def beside(run_id: str, case: ExaminedCase, wanted: Requirement) -> Iterator[str]:
    """What did not hold without having been required, in sentences."""
    for claim in case.verdict.claims if case.verdict else ():
        if claim.verdict is not Verdict.PASS and not matches(claim.id, wanted.required_claims):
            yield f"Not required, but {claim.verdict} in run {run_id}, case {case.name}: {claim.id}: {claim.reason}"


def _claim(where: str, claim: Claim) -> Iterator[Reason]:
    if claim.verdict is Verdict.FAIL:
        yield against(f"{where}, claim {claim.id}", claim.title, f"fail: {claim.reason}", claim.hint or LOOK_AT)
    elif claim.verdict is Verdict.UNKNOWN:
        yield lacking(f"{where}, claim {claim.id}", claim.title, f"unknown: {claim.reason}", claim.hint or MEASURE)


def _limit(where: str, case: ExaminedCase, claim: Claim, limit: float | Bounds) -> Iterator[Reason]:
    symbol = claim.unit.partition(",")[0] if claim.unit.partition(",")[0] in SYMBOLS else ""
    bounds = limit if isinstance(limit, Bounds) else _as_meant(claim, limit)
    if bounds is None:
        remedy = "Say in the policy whether it is meant at_most or at_least."
        yield lacking(where, f"the limit {limit}", "a claim without a bound of its own", remedy)
        return
    expected = f"{bounds.words()} {symbol}".strip()
    if claim.measured is None or not math.isfinite(claim.measured):
        yield lacking(where, expected, f"not measured: {claim.reason}", MEASURE)
        return
    if bounds.at_least is not None and claim.measured < bounds.at_least:
        yield against(where, expected, _shown(claim.measured, symbol), LOOK_AT)
    if bounds.at_most is not None:
        yield from _upper(where, expected, symbol, case, claim, bounds.at_most)


def _upper(
    where: str, expected: str, symbol: str, case: ExaminedCase, claim: Claim, at_most: float
) -> Iterator[Reason]:
    """A limit from above: no part may be beyond it, and the check must have been able to see it."""
    longest, verdict = _largest(claim), case.verdict
    strict = judged_by(case.directory, verdict, claim, at_most) if case.directory and verdict else None
    if strict is not None and strict.verdict is Verdict.FAIL:
        yield against(where, expected, f"{_shown(longest, symbol)}: {strict.reason}", LOOK_AT)
    elif strict is not None and strict.verdict is Verdict.UNKNOWN:
        yield lacking(where, expected, f"up to {_shown(longest, symbol)}: {strict.reason}", MEASURE)
    elif longest > at_most and claim.id not in LIMITS_OF:
        yield against(where, expected, _shown(longest, symbol), LOOK_AT)
    elif longest > at_most:
        # What the check excuses for a fault, or cannot be proved to have lasted so long.
        yield lacking(where, expected, f"up to {_shown(longest, symbol)}", MEASURE)
    elif not _sees(claim.detection_limit, at_most, counted=not symbol and not claim.unit.startswith(PERIODS)):
        seen = f"{_shown(longest, symbol)}, but up to {_shown(claim.detection_limit, symbol)} may hide"
        yield lacking(where, expected, seen, "Raise the rate of the stream in the profile, or the limit in the policy.")


def _largest(claim: Claim) -> float:
    """The largest value of a claim or of one of its parts: the claim's own may be the one nearest to its limit."""
    values = [claim.measured or 0.0, *(part.measured for part in claim.parts if part.measured is not None)]
    return max(value for value in values if math.isfinite(value))


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
    expected, value = f"{bounds.words()} {figure.unit}", figure.value
    if value is None or not math.isfinite(value):
        yield lacking(where, expected, f"not measured: {figure.reason}", MEASURE)
        return
    told = _shown(value, figure.unit)
    if bounds.at_least is not None and value < bounds.at_least:
        if figure.at_least:
            yield lacking(where, expected, f"at least {told}: {figure.reason}", MEASURE)
        else:
            yield against(where, expected, told, LOOK_AT)
    if bounds.at_most is None:
        return
    if value > bounds.at_most:
        yield against(where, expected, told, LOOK_AT)
    elif figure.at_least:
        yield lacking(where, expected, f"at least {told}: {figure.reason}", MEASURE)
    elif figure.resolution is not None and figure.resolution > bounds.at_most:
        seen = f"{told}, told apart by no less than {_shown(figure.resolution, figure.unit)}"
        yield lacking(where, expected, seen, "Raise the rate of the stream in the profile, or the limit in the policy.")
