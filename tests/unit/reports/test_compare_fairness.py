"""What a comparison may not overlook: runs that were left out, data that was lost, values that hide behind a median."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drainproof.campaign.journal import Attempt, CampaignJournal, State
from drainproof.campaign.plan import Plan
from drainproof.record.case import write_json
from reports.compare.__main__ import main
from reports.compare.outcome import Outcome
from reports.compare.words import difference, interval, winner
from reports.verdict import Better, Claim, Figure, Verdict
from tests.unit.reports.compared import ENVIRONMENT, Values, figure, write_groups, write_run
from tests.unit.reports.test_compare import TURNS, compared, normal, only, refusal


def edit_verdict(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = run / "drain" / "verdict.json"
    content = json.loads(path.read_text())
    change(content)
    write_json(path, content)


def test_a_median_hides_no_quarter_of_bad_runs(tmp_path: Path) -> None:
    """8 of 30 runs of one class at 20 s: medians and intervals agree, and the class is not the same."""
    order = (TURNS + "ABBA" * 10)[:60]
    bad = [number for number, group in enumerate(order) if group == "B"][::4]
    hung: Values = lambda chance, _, number: 20.0 if number in bad else float(chance.normal(1, 0.01))  # noqa: E731
    assert len(bad) == 8
    _, pair = only(compared(write_groups(tmp_path, order, hung)))
    assert pair.outcome is Outcome.OPEN
    assert len(pair.measured.extremes) == 8
    assert not pair.measured.alike


def test_quartiles_that_differ_are_no_tie(tmp_path: Path) -> None:
    """9 of 30 runs of one class are a fifth worse: none stands out of so wide a group, and the medians agree."""
    order = (TURNS + "ABBA" * 10)[:60]
    worse = [number for number, group in enumerate(order) if group == "B"][:27:3]
    wide: Values = lambda _, __, number: 1.2 if number in worse else 1.0  # noqa: E731
    assert len(worse) == 9
    _, pair = only(compared(write_groups(tmp_path, order, wide)))
    assert not pair.measured.extremes
    assert (pair.outcome, pair.reason) == (Outcome.OPEN, "the medians agree, but the quartiles do not")


def test_a_value_that_is_no_number_is_missing(tmp_path: Path) -> None:
    """Nobody computes with it, and nothing breaks."""
    write_groups(tmp_path, TURNS, normal(0.5))
    edit_verdict(tmp_path / "run-003", lambda verdict: verdict["figures"][0].update(value=float("nan")))
    row, pair = only(compared(tmp_path))
    assert row.spreads["A"].missing == 1
    assert next(cell for cell in row.line.cells if cell.run == "run-003").reason == "its value is nan, no number"
    assert winner(pair) in ("", "A")


def test_what_breaks_the_comparison_is_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A traceback would end with 1, which elsewhere means that something was refuted."""

    def broken(*_: object) -> None:
        raise IndexError("odd\x1b[31m")

    monkeypatch.setattr("reports.compare.__main__.compare", broken)
    assert main([str(write_groups(tmp_path, "ABBA", normal()))]) == 3
    told = capsys.readouterr().err
    assert "the comparison itself broke: IndexError: odd" in told
    assert "\x1b" not in told


def test_nothing_shown_is_nothing_decided(tmp_path: Path) -> None:
    """Who asks which class is better got no answer."""
    assert main([str(write_groups(tmp_path, TURNS, normal(spread=0.5)))]) == 2


def test_figures_of_another_definition_are_refused(tmp_path: Path) -> None:
    """Their names are the same, and what they measure is not."""
    write_groups(tmp_path, TURNS, normal())
    edit_verdict(tmp_path / "run-003", lambda verdict: verdict["judged_by"].update(figures="1"))
    assert "judged_by differs: figures 1, version 4 in run-003; version 4 in" in refusal(tmp_path)


def test_memory_that_differs_by_some_kibibytes_is_no_other_node(tmp_path: Path) -> None:
    """Nodes report a little less or more after each boot."""
    write_groups(tmp_path, TURNS[:-2], normal())
    for number, memories in ((50, ("263837228Ki", "263837220Ki")), (51, ("263837220Ki", "263837220Ki"))):
        nodes = [{"cpu": "4", "memory": memory, "count": 2} for memory in memories]
        write_run(tmp_path / "same", number, "AB"[number % 2], {"drain": [figure(1.0)]},
                  environment={**ENVIRONMENT, "nodes": nodes})
    assert not compared(tmp_path / "same").allowed
    fewer = {**ENVIRONMENT, "nodes": [{"cpu": "4", "memory": "131000000Ki", "count": 4}]}
    write_run(tmp_path / "same", 52, "A", {"drain": [figure(1.0)]}, environment=fewer)
    assert "environment.nodes differs" in refusal(tmp_path / "same")


def test_a_class_that_was_made_anew_is_another_class(tmp_path: Path) -> None:
    """Under one name, with another provisioner; between the groups it differs of course."""
    provisioners = {"A": "nfs", "B": "ceph"}
    for number, group in enumerate(TURNS):
        of_class = {**ENVIRONMENT, "storage_class": {"name": group, "provisioner": provisioners[group]}}
        write_run(tmp_path, number, group, {"drain": [figure(1.0 + number / 100)]}, environment=of_class)
    assert not compared(tmp_path).allowed
    other = {**ENVIRONMENT, "storage_class": {"name": "A", "provisioner": "other"}}
    write_run(tmp_path, 50, "A", {"drain": [figure(1.0)]}, environment=other)
    assert "environment.storage_class.provisioner differs: nfs in run-000" in refusal(tmp_path)


def test_another_volume_mode_is_another_condition_of_a_class(tmp_path: Path) -> None:
    """Classes may need different ones, a class is compared in one; who chose it changes nothing."""
    modes = {"A": "Filesystem", "B": "Block"}
    for number, group in enumerate(TURNS):
        told = {"name": group, "volume_mode": modes[group], "volume_mode_reason": f"reason {number % 4}"}
        write_run(tmp_path, number, group, {"drain": [figure(1.0 + number / 100)]},
                  environment={**ENVIRONMENT, "storage_class": told})
    assert not compared(tmp_path).allowed
    other = {**ENVIRONMENT, "storage_class": {"name": "A", "volume_mode": "Block"}}
    write_run(tmp_path, 50, "A", {"drain": [figure(1.0)]}, environment=other)
    assert "environment.storage_class.volume_mode differs: Block in run-050" in refusal(tmp_path)


def test_a_class_that_lost_data_is_named_beside_what_it_won(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not writing what was acknowledged is the quickest way to write."""
    write_groups(tmp_path, TURNS, normal(0.5))
    lost = Claim(id="storage.durability", title="Kept", verdict=Verdict.FAIL, reason="2 records are missing")
    for number in (0, 3):
        told = replace(lost).__dict__ | {"verdict": "fail", "parts": [], "evidence": []}
        edit_verdict(tmp_path / f"run-{number:03d}", lambda verdict, told=told: verdict["claims"].append(told))  # type: ignore[misc]
    comparison = compared(tmp_path)
    sentence = "A did not keep what it had acknowledged, in 2 of 10 runs (drain)"
    assert winner(only(comparison)[1]) == "A"
    assert comparison.losses["A"].startswith(sentence)
    assert comparison.remarks[0] == comparison.losses["A"]
    assert main([str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    assert sentence in " ".join(capsys.readouterr().out.split())
    assert (tmp_path / "out" / "comparison.html").read_text().count(sentence) == 2


def fio(number: int, group: str) -> list[Figure]:
    """IOPS and the bandwidth that follows from it."""
    rate = 100.0 + number % 7 + 50 * (group == "B")
    return [
        Figure(axis="IOPS", object="random read, baseline", value=rate, unit="1/s", better=Better.MORE),
        Figure(axis="bandwidth", object="random read, baseline", value=rate * 4096, unit="bytes/s", better=Better.MORE),
        Figure(axis="time covered", object="random, baseline", value=1.0, unit="share", better=Better.MORE),
    ]


def test_what_tells_the_same_again_is_a_detail(tmp_path: Path) -> None:
    """And raises the bar for nothing that leads."""
    for number, group in enumerate(TURNS):
        write_run(tmp_path, number, group, {"fio": fio(number, group)})
    comparison = compared(tmp_path)
    assert [row.line.key.axis for row in comparison.leading] == ["IOPS"]
    assert {row.line.key.axis for row in comparison.rows if not row.line.leads} == {"bandwidth", "time covered"}
    pair = comparison.leading[0].pairs[0]
    assert pair.corrected == pair.measured.probability
    assert main([str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    assert "bandwidth, random read, baseline" in (tmp_path / "out" / "comparison.html").read_text()


def test_lines_that_nothing_could_decide_raise_no_bar(tmp_path: Path) -> None:
    """Equal in every run, only bounds, or of three runs: whatever the groups, no order of them tells."""
    chance = np.random.default_rng(1)
    for number, group in enumerate(TURNS):
        value = float(chance.normal(1 + 0.5 * (group == "B"), 0.02))
        figures = [figure(value, "downtime"), figure(0.0, "outage"), figure(value, "recovery", at_least=True)]
        figures += [figure(value, "restart")] * (number < 5)
        write_run(tmp_path, number, group, {"drain": figures})
    comparison = compared(tmp_path)
    pairs = {row.line.key.axis: row.pairs[0] for row in comparison.leading}
    assert pairs["downtime"].corrected == pairs["downtime"].measured.probability
    assert pairs["outage"].outcome is Outcome.TIE or pairs["outage"].outcome is Outcome.OPEN
    assert pairs["recovery"].outcome is Outcome.OPEN
    assert pairs["restart"].outcome is Outcome.TOO_FEW


def test_only_what_is_asked_for_is_compared(tmp_path: Path) -> None:
    """Fewer lines need fewer runs."""
    write_groups(tmp_path, TURNS, normal(), axes=("downtime", "outage"), cases=("drain", "other"))
    rows = compared(tmp_path, cases=("dr*",), axes=("out*",)).rows
    assert [(row.line.key.case, row.line.key.axis) for row in rows] == [("drain", "outage")]
    assert "No line is of such a case and axis" in refusal(tmp_path, cases=("none",))
    assert main([str(tmp_path), "--case", "drain", "--axis", "none"]) == 3


def test_turns_are_those_of_the_runs_that_have_a_value(tmp_path: Path) -> None:
    """Values of one class from all hours against late ones of the other are no turns, whatever was run in between."""
    late: Values = lambda chance, group, number: (  # noqa: E731
        float(chance.normal(1 + (group == "B"), 0.02)) if group == "A" or number >= 30 else None
    )
    write_groups(tmp_path, TURNS * 2, late)
    comparison = compared(tmp_path)
    assert not comparison.turns["A", "B"].confounded
    assert only(comparison)[1].outcome is Outcome.TIME


def test_no_chance_is_told_of_passes_that_took_no_turns(tmp_path: Path) -> None:
    """The later hours may have failed, and not the class."""
    for number, group in enumerate("A" * 8 + "B" * 8):
        verdict = Verdict.FAIL if group == "B" else Verdict.PASS
        write_run(tmp_path, number, group, {"drain": [figure(1.0)]}, verdicts={"drain": verdict})
    assert compared(tmp_path).passes[0].chances == ()


def test_a_difference_of_shares_is_told_in_points(tmp_path: Path) -> None:
    """`+2.1 % (+150 %)` leaves the reader to guess which is which."""
    for number, group in enumerate(TURNS):
        share = 0.02 + number / 1000 + 0.1 * (group == "B")
        failed = Figure(axis="failed operations", object="sql", value=share, unit="share")
        write_run(tmp_path, number, group, {"drain": [failed]})
    effect = only(compared(tmp_path))[1].measured.effect
    assert effect is not None
    assert "points (+" in difference(effect, "share")
    assert interval(replace(effect, relative=None), "share").endswith("points")


def campaign(directory: Path) -> CampaignJournal:
    """Four runs of two classes, and two attempts on B that could not run."""
    write_groups(directory, "ABBA", normal())
    journal = CampaignJournal(directory, Plan(storage_classes=("A", "B"), repeat=2, balanced=True))
    attempts = [Attempt(number=number + 1, started="2026-11-20T00:00:00+00:00", before=(), run=f"run-{number:03d}",
                        state=State.DONE) for number in range(4)]
    failed = [Attempt(number=2, started="2026-11-20T00:00:00+00:00", before=(), state=State.COULD_NOT_RUN)] * 2
    journal.attempts = (attempts[0], *failed, *attempts[1:])
    journal.write()
    return journal


def test_attempts_that_do_not_count_are_told_of_each_class(tmp_path: Path) -> None:
    """Only the journal tells that every second machine never came up."""
    name = campaign(tmp_path).directory.name
    remarks = compared(tmp_path).remarks
    assert f"Of 4 attempts on B in the campaign {name} do not count: 2 could not run." in remarks
    assert f"Of 2 attempts on A in the campaign {name} do not count: none." in remarks


def test_a_run_of_a_campaign_that_is_gone_is_refused(tmp_path: Path) -> None:
    """Who takes away the bad ones decides who wins."""
    campaign(tmp_path)
    (tmp_path / "run-002" / "run.json").unlink()
    assert "has made the run run-002, and it is gone" in refusal(tmp_path)
