"""The comparison: who wins, who does not, what is refused, over stored runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drainproof.errors import CannotRunError
from drainproof.record.case import write_json
from drainproof.record.run_manifest import seal_run
from reports.compare import statistics
from reports.compare.cells import lines
from reports.compare.comparison import Comparison, Row, compare
from reports.compare.options import Options
from reports.compare.outcome import Outcome, Pair
from reports.compare.runs import STORAGE_CLASS, Gathered, GroupedRun, gather, group_of
from reports.compare.words import winner
from reports.verdict import Better, Figure, Verdict
from tests.unit.reports.compared import ENVIRONMENT, Values, figure, write_groups, write_run

TURNS = "ABBAABBAABABBAABABBA"
FIVE = ("one", "two", "three", "four", "five")


def normal(shift: float = 0.0, spread: float = 0.02) -> Values:
    """About a second, on B so much longer."""
    return lambda chance, group, _: float(chance.normal(1 + (shift if group == "B" else 0), spread))


def compared(directory: Path, **options: Any) -> Comparison:
    chosen = Options(**options)
    return compare(gather([directory], chosen.by), chosen)


def only(comparison: Comparison) -> tuple[Row, Pair]:
    (row,) = comparison.leading
    (pair,) = row.pairs
    return row, pair


def refusal(directory: Path, **options: Any) -> str:
    with pytest.raises(CannotRunError) as caught:
        compared(directory, **options)
    return "\n".join(caught.value.reasons)


def test_a_known_shift_is_found(tmp_path: Path) -> None:
    row, pair = only(compared(write_groups(tmp_path, TURNS, normal(0.5))))
    assert pair.outcome is Outcome.WORSE
    assert winner(pair) == "A"
    effect = pair.measured.effect
    assert effect is not None
    assert effect.low <= 0.5 <= effect.high
    assert effect.shift == pytest.approx(0.5, abs=0.05)
    assert effect.delta == 1
    assert row.spreads["A"].n == 10


def test_more_can_be_better(tmp_path: Path) -> None:
    for number, group in enumerate(TURNS):
        speed = Figure(axis="IOPS", object="fio", value=100.0 + number % 7 + 50 * (group == "B"), unit="1/s",
                       better=Better.MORE)
        write_run(tmp_path, number, group, {"fio": [speed]})
    _, pair = only(compared(tmp_path))
    assert pair.outcome is Outcome.BETTER
    assert winner(pair) == "B"


def test_without_a_difference_winners_are_as_rare_as_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", (199, 199))
    stored = gather([write_groups(tmp_path, TURNS, normal())], STORAGE_CLASS)
    wrong = 0
    for seed in range(60):
        chance = np.random.default_rng(seed)
        wrong += any(winner(pair) for row in compare(_redrawn(stored, chance), Options()).leading for pair in row.pairs)
    assert wrong <= 8  # 5 % of 60 are 3; more than 8 has a chance of 0.2 %


def _redrawn(stored: Gathered, chance: np.random.Generator) -> Gathered:
    """The same runs with other figures on five axes, none of which knows of the group."""

    def redrawn(run: GroupedRun) -> GroupedRun:
        figures = tuple(figure(float(chance.gamma(2)), axis) for axis in FIVE)
        cases = tuple(replace(case, figures=figures) for case in run.stored.cases)
        return replace(run, stored=replace(run.stored, cases=cases))

    return replace(stored, runs=tuple(map(redrawn, stored.runs)))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_three_runs_never_name_a_winner(tmp_path: Path, count: int) -> None:
    _, pair = only(compared(write_groups(tmp_path, "AB" * count, normal(50))))
    assert pair.outcome in (Outcome.TOO_FEW, Outcome.TIME)
    assert not winner(pair)


def test_four_runs_of_one_line_suffice_but_not_of_many(tmp_path: Path) -> None:
    write_groups(tmp_path / "one", "ABBABAAB", normal(50))
    assert winner(only(compared(tmp_path / "one"))[1]) == "A"
    write_groups(tmp_path / "many", "ABBABAAB", normal(50), axes=FIVE)
    comparison = compared(tmp_path / "many")
    assert {row.pairs[0].outcome for row in comparison.leading} == {Outcome.TOO_FEW}
    assert any("it takes 5 runs of each group" in remark for remark in comparison.remarks)


def test_three_runs_lose_to_nobody_however_many_the_others_are(tmp_path: Path) -> None:
    _, pair = only(compared(write_groups(tmp_path, "BBABBBBBBBABBBBBBABBBB", normal(50))))
    assert pair.outcome is Outcome.TOO_FEW


def test_a_tie_is_called_a_tie_and_not_for_lack_of_runs(tmp_path: Path) -> None:
    write_groups(tmp_path / "ten", TURNS, normal(spread=0.01))
    assert only(compared(tmp_path / "ten"))[1].outcome is Outcome.TIE
    write_groups(tmp_path / "four", "ABBABAAB", normal(spread=0.01))
    assert only(compared(tmp_path / "four"))[1].outcome is not Outcome.TIE
    write_groups(tmp_path / "wide", TURNS, normal(spread=0.5))
    assert only(compared(tmp_path / "wide"))[1].outcome is Outcome.OPEN


def test_a_significant_difference_within_the_margin_is_a_tie(tmp_path: Path) -> None:
    write_groups(tmp_path, TURNS, normal(0.02, spread=0.001))
    _, pair = only(compared(tmp_path))
    assert (pair.outcome, pair.reason) == (Outcome.TIE, "the whole interval lies within the margin")
    assert only(compared(tmp_path, margin=0.01))[1].outcome is Outcome.WORSE


def test_what_the_instrument_cannot_tell_apart_is_a_tie(tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    for number, group in enumerate(TURNS):
        seen = chance.normal(0.2 if group == "B" else 0.1, 0.01)
        write_run(tmp_path, number, group, {"drain": [figure(float(seen), resolution=0.5)]})
    _, pair = only(compared(tmp_path))
    assert (pair.outcome, pair.reason) == (
        Outcome.TIE, "the whole interval lies within the resolution of the instrument"
    )


def test_one_run_that_stands_out_is_seen_and_no_tie(tmp_path: Path) -> None:
    gap: Values = lambda chance, _, number: 20.0 if number == 7 else float(chance.normal(1, 0.01))  # noqa: E731
    row, pair = only(compared(write_groups(tmp_path, TURNS, gap)))
    assert row.spreads[TURNS[7]].largest == 20
    assert [(one.run, one.value) for one in pair.measured.extremes] == [("run-007", 20)]
    assert pair.outcome is Outcome.OPEN
    assert "stand out" in pair.reason


def test_runs_that_took_no_turns_have_no_winner(tmp_path: Path) -> None:
    comparison = compared(write_groups(tmp_path, "A" * 10 + "B" * 10, normal(0.5)))
    _, pair = only(comparison)
    assert pair.outcome is Outcome.TIME
    assert "were made before" in comparison.turns["A", "B"].confounded


def test_drift_over_time_is_told(tmp_path: Path) -> None:
    rising: Values = lambda chance, group, number: float(1 + 0.1 * number + 0.05 * (group == "B"))  # noqa: E731
    _, pair = only(compared(write_groups(tmp_path, TURNS, rising)))
    assert pair.measured.drifted == pytest.approx(1.9, abs=0.2)


def _with_missing(directory: Path, group: str, value: Callable[[np.random.Generator], Figure]) -> Path:
    chance = np.random.default_rng(1)
    for number, letter in enumerate(TURNS):
        plain = figure(float(chance.normal(1 + 0.5 * (letter == "B"), 0.02)))
        lost = letter == group and number % 2 == 0
        write_run(directory, number, letter, {"drain": [value(chance) if lost else plain]})
    return directory


@pytest.mark.parametrize("lacking", [
    lambda _: figure(None, reason="it broke off"), lambda _: figure(1.0, at_least=True, reason="it had not ended"),
])
def test_what_is_missing_counts_against_the_winner(
    tmp_path: Path, lacking: Callable[[np.random.Generator], Figure]
) -> None:
    row, pair = only(compared(_with_missing(tmp_path / "winner", "A", lacking)))
    assert pair.outcome is Outcome.OPEN
    assert "counted against the winner" in pair.reason
    assert row.spreads["A"].missing + row.spreads["A"].at_least > 0


def test_what_the_loser_lacks_changes_nothing(tmp_path: Path) -> None:
    _, pair = only(compared(_with_missing(tmp_path, "B", lambda _: figure(None, reason="it broke off"))))
    assert winner(pair) == "A"


def test_a_group_without_any_value_cannot_be_compared(tmp_path: Path) -> None:
    nothing: Values = lambda chance, group, _: None if group == "B" else 1.0  # noqa: E731
    row, pair = only(compared(write_groups(tmp_path, TURNS, nothing)))
    assert pair.outcome is Outcome.NOTHING
    assert row.spreads["B"].missing == 10


def test_figures_of_failed_cases_count_and_the_failures_beside_them(tmp_path: Path) -> None:
    for number, group in enumerate(TURNS):
        verdict = Verdict.FAIL if group == "B" else Verdict.PASS
        write_run(tmp_path, number, group, {"drain": [figure(30.0 + number if group == "B" else 1.0 + number / 100)]},
                  verdicts={"drain": verdict})
    comparison = compared(tmp_path)
    row, pair = only(comparison)
    assert row.spreads["B"].n == 10
    assert winner(pair) == "A"
    (case,) = comparison.passes
    assert [(one.passed, one.failed) for one in case.groups] == [(10, 0), (0, 10)]
    assert case.chances[0][2] < 0.001


def test_several_figures_of_a_run_count_once(tmp_path: Path) -> None:
    values = [figure(1.0, object="a"), figure(3.0, object="a"), figure(2.0, object="b")]
    times = [figure(value, "migration time", "a") for value in (1.0, 2.0, 9.0)]
    write_run(tmp_path, 0, "A", {"drain": [*values, *times]})
    table = {(line.key.axis, line.key.object): line for line in lines(gather([tmp_path], STORAGE_CLASS).runs)}
    assert table["downtime", ""].cells[0].value == 3
    assert table["downtime", ""].leads
    assert not table["downtime", "a"].leads
    assert table["downtime", "a"].cells[0].value == 3
    assert table["migration time", "a"].cells[0].value == 2
    assert table["migration time", "a"].leads


def test_a_worst_of_which_a_part_is_missing_is_at_least_the_rest(tmp_path: Path) -> None:
    write_run(tmp_path, 0, "A", {"drain": [figure(3.0, object="a"), figure(None, object="b", reason="lost")]})
    write_run(tmp_path, 1, "A", {"drain": [figure(3.0, object="a"), figure(4.0, object="b")]})
    first, second = next(line for line in lines(gather([tmp_path], STORAGE_CLASS).runs) if not line.key.object).cells
    assert (first.value, first.at_least, first.reason) == (3, True, "b: lost")
    assert (second.value, second.at_least) == (4, False)


def test_three_groups_each_with_each_or_with_a_reference(tmp_path: Path) -> None:
    write_groups(tmp_path, "ABCCBABACCABABCBCA" * 2, normal(0.5))
    assert len(only_row(compared(tmp_path)).pairs) == 3
    pairs = only_row(compared(tmp_path, reference="C")).pairs
    assert [(pair.measured.reference, pair.measured.candidate) for pair in pairs] == [("C", "A"), ("C", "B")]
    assert "choose one of A, B, C" in refusal(tmp_path, reference="D")


def only_row(comparison: Comparison) -> Row:
    (row,) = comparison.leading
    return row


def test_one_group_is_nothing_to_compare(tmp_path: Path) -> None:
    assert "nothing to compare" in refusal(write_groups(tmp_path, "AAA", normal()))


@pytest.mark.parametrize(("changed", "named"), [
    ({"versions": {"kubevirt": "v1.8.0", "python": "3.11.7"}}, "versions.kubevirt differs: v1.8.0 in run-"),
    ({"environment": {**ENVIRONMENT, "host": {"cpu": "other", "cores": 2}}}, "environment.host.cpu differs: made in"),
    ({"environment": {**ENVIRONMENT, "migrations": {"bandwidthPerMigration": "64Mi"}}}, "PerMigration differs"),
    ({"seed": 2}, "seed differs: 1 in"),
    ({"target": {"name": "prod", "storage_classes": {"shared": "B"}}}, "target.name differs: lab in"),
])
def test_other_conditions_are_refused_by_name_and_can_be_let_pass(
    tmp_path: Path, changed: dict[str, Any], named: str
) -> None:
    write_groups(tmp_path, TURNS[:-1], normal(0.5))
    write_run(tmp_path, 50, "B", {"drain": [figure(1.5)]}, **changed)
    told = refusal(tmp_path)
    assert named in told
    key = next(line for line in told.splitlines() if "differs" in line).partition(" ")[0]
    allowed = compared(tmp_path, allow=tuple(line.partition(" ")[0] for line in told.splitlines() if "differs" in line))
    assert key in [difference.key for difference in allowed.allowed]


def test_other_load_and_other_tests_are_refused(tmp_path: Path) -> None:
    write_groups(tmp_path, TURNS, normal())
    path = tmp_path / "run-003" / "run.json"
    info = json.loads(path.read_text())
    info["settings"]["load"]["sql_rate"] = 99.0
    write_json(path, info)
    verdict = tmp_path / "run-004" / "drain" / "verdict.json"
    write_json(verdict, {**json.loads(verdict.read_text()), "title": "another test", "judged_by": {"version": "3"}})
    told = refusal(tmp_path)
    assert "settings.load.sql_rate differs" in told
    assert "cases.drain.title differs" in told
    assert "judged_by differs" in told


def test_seeds_may_differ_when_each_group_has_the_same(tmp_path: Path) -> None:
    for number, group in enumerate("ABBA"):
        write_run(tmp_path, number, group, {"drain": [figure(1.0)]}, seed=[1, 1, 2, 2][number])
    assert compared(tmp_path).allowed == ()


def test_runs_are_grouped_by_any_fact(tmp_path: Path) -> None:
    for number, version in enumerate(("v1", "v2", "v2", "v1")):
        write_run(tmp_path, number, "A", {"drain": [figure(1.0)]}, versions={"kubevirt": version})
    assert compared(tmp_path, by="versions.kubevirt").groups == ("v1", "v2")
    assert "has no versions.none" in refusal(tmp_path, by="versions.none")


def test_the_class_of_the_profile_comes_before_the_targets(tmp_path: Path) -> None:
    write_run(tmp_path, 0, "target", {})
    info = gather([tmp_path], STORAGE_CLASS).runs[0].stored.info
    assert group_of(info, STORAGE_CLASS) == "target"
    settings = {**info.settings, "portal": {"storage_class": "profile"}}
    assert group_of(replace(info, settings=settings), STORAGE_CLASS) == "profile"


def test_a_run_that_was_altered_is_refused(tmp_path: Path) -> None:
    write_groups(tmp_path, TURNS, normal())
    for run in tmp_path.iterdir():
        seal_run(run)
    assert not any("never sealed" in remark for remark in compared(tmp_path).remarks)
    path = tmp_path / "run-002" / "drain" / "verdict.json"
    path.write_text(path.read_text().replace('"value": ', '"value": 0'))
    assert "run-002 is not as it was sealed: drain/verdict.json" in refusal(tmp_path)


def test_a_verdict_that_was_added_later_is_refused(tmp_path: Path) -> None:
    write_groups(tmp_path, "ABBA", normal())
    seal_run(tmp_path / "run-000")
    added = tmp_path / "run-000" / "extra"
    added.mkdir()
    (added / "events.jsonl").write_text("")
    (added / "verdict.json").write_text((tmp_path / "run-000" / "drain" / "verdict.json").read_text())
    assert "extra/verdict.json" in refusal(tmp_path)


def test_a_copied_run_is_refused(tmp_path: Path) -> None:
    write_groups(tmp_path, "ABBA", normal())
    info = json.loads((tmp_path / "run-001" / "run.json").read_text())
    copy = tmp_path / "copy"
    copy.mkdir()
    write_json(copy / "run.json", info)
    assert "the same run is there 2 times" in refusal(tmp_path)
    write_json(copy / "run.json", {**info, "run_id": "renamed"})
    assert "the same run is there 2 times" in refusal(tmp_path)


def test_what_cannot_be_read_is_left_out_by_name(tmp_path: Path) -> None:
    write_groups(tmp_path, TURNS, normal(0.5))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    (tmp_path / "run-001" / "drain" / "verdict.json").write_text("{")
    comparison = compared(tmp_path)
    assert set(comparison.left_out) == {"broken"}
    assert only(comparison)[0].spreads["B"].missing == 1
    assert comparison.passes[0].groups[1].absent == 1
    assert any("not judged in all cases" in remark for remark in comparison.remarks)


def test_verdicts_without_figures_are_told_with_the_remedy(tmp_path: Path) -> None:
    write_groups(tmp_path, TURNS, normal(0.5), axes=())
    assert any("rejudge" in remark for remark in compared(tmp_path).remarks)


def test_details_need_stronger_evidence_than_what_leads(tmp_path: Path) -> None:
    chance = np.random.default_rng(2)
    for number, group in enumerate(TURNS):
        values = [figure(float(chance.normal(1 + 0.5 * (group == "B"), 0.02)), object=f"s{one}") for one in range(8)]
        write_run(tmp_path, number, group, {"drain": values})
    comparison = compared(tmp_path)
    (lead,) = comparison.leading
    details = [row for row in comparison.rows if not row.line.leads]
    assert len(details) == 8
    assert all(row.pairs[0].corrected > lead.pairs[0].corrected for row in details)
