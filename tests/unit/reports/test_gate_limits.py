"""A policy's limits: held against the worst of what was measured, and refuted only by what was proved."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from drainproof.settings import Limits
from reports.checks import CHECKS
from reports.gate.answer import Reason
from reports.gate.examined import ExaminedCase, examine
from reports.gate.holding import reasons_of
from reports.gate.policy import Bounds, FigureLimit, Requirement
from reports.gate.stricter import LIMITS_OF
from reports.verdict import Figure, Part, Verdict
from tests.unit.reports.gate_runs import write_run
from tests.unit.reports.records import Record


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> ExaminedCase:
    """The case of a good run."""
    return _case(write_run(tmp_path_factory.mktemp("limits") / "run-a"))


def _case(run: Path) -> ExaminedCase:
    (case,) = examine(run).cases
    return case


def _with(case: ExaminedCase, claim_id: str, **changes: object) -> ExaminedCase:
    """The case with one claim changed, which is then all there is."""
    assert case.verdict is not None
    claims = [replace(claim, **changes) for claim in case.verdict.claims if claim.id == claim_id]  # type: ignore[arg-type]
    assert claims
    return replace(case, directory=None, verdict=replace(case.verdict, claims=tuple(claims)))


def _reasons(case: ExaminedCase, limits: dict[str, float | Bounds]) -> list[Reason]:
    """What keeps the case from passing by its limits, whatever else it claims."""
    wanted = Requirement(tests=("*",), claims=("record.intact",), limits=limits)
    return [reason for reason in reasons_of("run-a", case, wanted) if "record.intact" not in reason.expected]


def test_a_limited_claim_is_a_required_claim(case: ExaminedCase) -> None:
    """Its verdict counts though `claims` does not name it: a value alone shows nothing of a claim that is unknown."""
    unknown = _with(case, "outage.udp", verdict=Verdict.UNKNOWN, measured=0.3)
    assert [reason.against for reason in _reasons(unknown, {"outage.udp": 1.0})] == [False]
    failed = _with(case, "outage.udp", verdict=Verdict.FAIL, measured=3.0)
    assert [reason.against for reason in _reasons(failed, {"outage.udp": 5.0})] == [True]


def test_the_worst_part_is_held_against_the_limit(case: ExaminedCase) -> None:
    """The claim's own value is the one nearest to its limit, which need not be the longest."""
    parts = (
        Part(object="sql", verdict=Verdict.PASS, reason="", measured=10.0),
        Part(object="web", verdict=Verdict.PASS, reason="", measured=4.0),
    )
    spoiled = _with(case, "prometheus.load", measured=4.0, parts=parts, detection_limit=None)
    assert [reason.against for reason in _reasons(spoiled, {"prometheus.load": 5.0})] == [True]
    assert _reasons(spoiled, {"prometheus.load": 10.0}) == []


def test_each_stream_is_judged_by_the_stricter_limit(tmp_path: Path) -> None:
    """A silence that the run's own limit for writes allows is refuted by the policy's, beside a shorter one."""

    def silent(record: Record) -> None:
        record.settings["limits"]["sql_gap_seconds"] = 15.0
        record.silence("sql/portal-a", 7, 12)
        record.silence("http-new/portal-a", 7, 8.5)

    case = _case(write_run(tmp_path / "run-a", silent))
    assert case.verdict is not None
    (claim,) = (claim for claim in case.verdict.claims if claim.id == "continuity.requests")
    assert (claim.verdict, (claim.measured or 9) < 2) == (Verdict.PASS, True)
    (reason,) = _reasons(case, {"continuity.requests": 2.5})
    assert reason.against
    assert "sql/portal-a: silent for" in reason.seen
    assert _reasons(case, {"continuity.requests": 15.0}) == []


def test_what_cannot_be_excluded_is_not_proved(case: ExaminedCase) -> None:
    """An outage of which only the longest possible length is beyond the limit: UNKNOWN; a shorter limit refutes it."""
    assert case.verdict is not None
    (claim,) = (claim for claim in case.verdict.claims if claim.id == "outage.udp")
    assert claim.measured is not None
    just_below = _reasons(case, {"outage.udp": claim.measured - 0.001})
    assert [reason.against for reason in just_below] == [False]
    assert any(reason.against for reason in _reasons(case, {"outage.udp": 0.01}))
    assert _reasons(case, {"outage.udp": claim.measured + 0.001}) == []
    without = replace(case, directory=None)
    assert [reason.against for reason in _reasons(without, {"outage.udp": claim.measured - 0.001})] == [False]


def test_the_map_of_limits_names_claims_and_keys() -> None:
    """Each claim that is judged again is one that a check makes, by limits that a profile has."""
    assert set(LIMITS_OF) <= {check.id for check in CHECKS}
    assert {key for keys in LIMITS_OF.values() for key in keys} <= set(Limits.model_fields)
    assert {check.id for check in CHECKS if check.id.startswith("outage.")} <= set(LIMITS_OF)


def test_a_limit_may_be_for_a_pattern_of_claims(case: ExaminedCase) -> None:
    """Each claim that fits has to keep it; a pattern that fits none in this case is lacking."""
    told = _reasons(case, {"outage.*": 0.001})
    assert {reason.object.rpartition(" ")[2] for reason in told} >= {"outage.udp", "outage.heartbeat", "outage.tcp-new"}
    assert [reason.seen for reason in _reasons(case, {"storage.*": 1.0})] == ["the case makes no such claim"]


@pytest.mark.parametrize(("value", "against"), [(math.nan, [False]), (None, [False]), (4.0, [True]), (6.0, [])])
def test_at_least(case: ExaminedCase, value: float | None, against: list[bool]) -> None:
    """What is no number is not measured, rather than too small."""
    spoiled = _with(case, "migration.live", measured=value)
    assert [reason.against for reason in _reasons(spoiled, {"migration.live": Bounds(at_least=5)})] == against


@pytest.mark.parametrize(("limit", "lacks"), [(2.0, 1), (4.0, 0)])
def test_periods_are_no_counts(case: ExaminedCase, limit: float, lacks: int) -> None:
    """Of what is counted the next is one more; a share of a period is not."""
    spoiled = _with(case, "instrument.control", measured=1.0, parts=(), detection_limit=2.9)
    assert len(_reasons(spoiled, {"instrument.control": limit})) == lacks


def _figure(case: ExaminedCase, bounds: FigureLimit, **facts: object) -> list[bool]:
    figure = Figure(**{"axis": "downtime", "object": "vip", "unit": "s", "value": 0.5, **facts})  # type: ignore[arg-type]
    assert case.verdict is not None
    changed = replace(case, verdict=replace(case.verdict, figures=(figure,)))
    found = reasons_of("run-a", changed, Requirement(tests=("*",), claims=("record.intact",), figures=(bounds,)))
    return [reason.against for reason in found]


def test_figures_show_what_their_instrument_can_tell(case: ExaminedCase) -> None:
    """Zero by a coarse instrument shows no fine limit; what is at least so large may be larger, and never too small."""
    most, least = FigureLimit(axis="downtime", at_most=1.0), FigureLimit(axis="downtime", at_least=1.0)
    assert _figure(case, most, value=0.0, resolution=1.5) == [False]
    assert _figure(case, most, value=0.0, resolution=0.5) == []
    assert _figure(case, most, value=1.2, at_least=True) == [True]
    assert _figure(case, least, value=0.5, at_least=True) == [False]
    assert _figure(case, least, value=0.5) == [True]
    assert _figure(case, most, value=math.nan) == _figure(case, least, value=math.nan) == [False]
