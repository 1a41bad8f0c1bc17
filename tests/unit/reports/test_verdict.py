"""Verdicts compose to the worst, and a check that breaks makes its claim unknown."""

from __future__ import annotations

import pytest

from reports.spans import Span, covered_seconds, union
from reports.verdict import Claim, MissingEvidenceError, Part, Verdict, guarded, sum_up, worst

PASS, FAIL, UNKNOWN = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [([PASS, PASS], PASS), ([PASS, UNKNOWN], UNKNOWN), ([UNKNOWN, FAIL, PASS], FAIL), ([], UNKNOWN)],
)
def test_worst_decides(verdicts: list[Verdict], expected: Verdict) -> None:
    """Fail beats unknown, unknown beats pass, and nothing at all is unknown."""
    assert worst(verdicts) is expected


@pytest.mark.parametrize("error", [MissingEvidenceError("no samples"), ZeroDivisionError("no samples")])
def test_check_that_raises_is_unknown(error: Exception) -> None:
    """A check that cannot conclude, or breaks, makes its claim unknown with the reason."""

    def check() -> Claim:
        raise error

    claim = guarded("a.claim", "A claim", check)
    assert claim.verdict is UNKNOWN
    assert "no samples" in claim.reason


def test_reason_names_those_who_decide() -> None:
    """The reason is of the parts with the deciding verdict only; trouble keeps a claim from passing."""
    parts = [Part(object="a", verdict=UNKNOWN, reason="odd"), Part(object="b", verdict=FAIL, reason="broken")]
    assert sum_up(parts, lambda _: "fine").reason == "b: broken"
    summary = sum_up([Part(object="a", verdict=PASS, reason="fine")], lambda _: "fine", "cut short")
    assert (summary.verdict, summary.reason) == (UNKNOWN, "cut short")


def test_stalls_count_once() -> None:
    """Overlapping stalls cover a gap once."""
    spans = union([Span(0, 2 * 10**9), Span(10**9, 3 * 10**9), Span(5 * 10**9, 6 * 10**9)])
    assert covered_seconds(Span(10**9, 10 * 10**9), spans) == 3.0
