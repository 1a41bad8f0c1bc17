"""`drainproof trend`: what it concludes, what it names as the first bad run, and what it shows."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import tomllib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drainproof.settings import Limits
from reports.gate.policy import Requirement
from reports.trend import document, page, terminal
from reports.trend.analysis import Options, Trend, analyse, told_apart
from reports.trend.changes import changes
from reports.trend.command import main
from reports.trend.entries import Key
from reports.trend.findings import Answer, Finding, answer
from reports.trend.history import load
from reports.verdict import Part, Verdict
from tests.unit.reports.trend_runs import CASE, FIRST, Night, upgraded, write_night, write_nights

RANDOM = np.random.default_rng(21)
NOISE = [float(value) for value in RANDOM.normal(0.4, 0.02, 400)]
HOSTILE = "</script><script>alert(1)</script>\x1b[31m\u202e{{7*7}}=cmd|'"


def quiet(count: int) -> list[Night]:
    return [Night(outage=NOISE[number]) for number in range(count)]


def concluded(runs: Path, **options: Any) -> tuple[Trend, Answer]:
    trend = analyse(load([runs]), Options(**options))
    return trend, answer(trend)


def printed(trend: Trend, told: Answer) -> str:
    stream = io.StringIO()
    terminal.show(trend, told, stream)
    return stream.getvalue()


def weighing(told: Answer, weight: Verdict) -> list[Finding]:
    return [finding for finding in told.findings if finding.weight is weight]


def test_nothing_worse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(write_nights(tmp_path / "runs", quiet(30)))]) == 0
    assert capsys.readouterr().out.startswith("NOTHING WORSE: 2 series over 30 runs: none worse")


def test_the_first_bad_run_is_named_with_what_changed(tmp_path: Path) -> None:
    nights = [*quiet(20), *(replace(upgraded(night), lost=3) for night in quiet(3))]
    trend, told = concluded(write_nights(tmp_path, nights))
    assert told.verdict is Verdict.FAIL
    (finding,) = weighing(told, Verdict.FAIL)
    assert finding.key is not None
    assert (finding.key.name, finding.kind, finding.at, finding.since) == ("ledger.complete", "bad", 20, 19)
    assert [str(one) for one in finding.causes] == ["versions.kubevirt: v1.9.0 → v1.10.0"]
    shown = printed(trend, told)
    first, last_good = trend.streams[0].stream.rows[20], trend.streams[0].stream.rows[19]
    assert f"WORSE since run {first.id} of 2026-09-21 01:00 UTC" in shown
    assert f"changed since {last_good.id}: versions.kubevirt: v1.9.0 → v1.10.0" in shown
    assert "measured 3, limit 0: 3 rows lost" in shown
    assert "3 of 3 runs failed (with 95 % confidence 29% to 100% of such runs do)" in shown


def test_a_worsening_within_the_limit_is_named_with_its_size(tmp_path: Path) -> None:
    later = [replace(upgraded(night), outage=(night.outage or 0) * 2) for night in quiet(8)]
    trend, told = concluded(write_nights(tmp_path, [*quiet(25), *later]))
    (finding,) = weighing(told, Verdict.FAIL)
    assert (finding.kind, finding.at) == ("worse", 25)
    assert re.search(r"median 0\.4\d\d s → 0\.\d+ s \(\+(9|10)\d%\), p", finding.headline)
    assert [str(one) for one in finding.causes] == ["versions.kubevirt: v1.9.0 → v1.10.0"]
    assert "outage_seconds" not in printed(trend, told)  # eight runs since the change propose nothing


def test_a_small_or_an_old_worsening_does_not_fail(tmp_path: Path) -> None:
    later = [replace(night, outage=(night.outage or 0) + 0.2) for night in quiet(20)]
    runs = write_nights(tmp_path, [*quiet(25), *later])
    assert concluded(runs, last=21)[1].verdict is Verdict.FAIL
    assert concluded(runs, last=21, tolerance=0.9)[1].verdict is Verdict.PASS
    assert concluded(runs, last=10)[1].verdict is Verdict.PASS


def test_an_improvement_is_told_and_passes(tmp_path: Path) -> None:
    later = [replace(night, outage=(night.outage or 0) / 2) for night in quiet(8)]
    _, told = concluded(write_nights(tmp_path, [*quiet(25), *later]))
    assert told.verdict is Verdict.PASS
    assert [finding.kind for finding in weighing(told, Verdict.PASS)] == ["better"]


def test_a_failure_with_the_worsening_does_not_hide_it(tmp_path: Path) -> None:
    """The first run after the change failed, all later ones pass at twice the level."""
    later = [replace(night, outage=(night.outage or 0) * 2) for night in quiet(9)]
    later[0] = replace(later[0], verdict=Verdict.FAIL)
    _, told = concluded(write_nights(tmp_path, [*quiet(25), *later]))
    assert [finding.kind for finding in weighing(told, Verdict.FAIL)] == ["worse"]


def test_a_figure_is_followed_too(tmp_path: Path) -> None:
    nights = [replace(night, drain_time=40 + 10 * (night.outage or 0)) for night in quiet(25)]
    nights += [replace(night, drain_time=80 + 10 * (night.outage or 0)) for night in quiet(6)]
    _, told = concluded(write_nights(tmp_path, nights))
    (finding,) = weighing(told, Verdict.FAIL)
    assert finding.key is not None
    assert (finding.key.name, finding.key.object) == ("drain time", "node-a")


def test_more_frequent_failures_are_a_worsening_even_when_the_newest_run_is_good(tmp_path: Path) -> None:
    nights = quiet(60)
    for number in (47, 48, 50, 51, 53, 54, 56, 57):
        nights[number] = replace(nights[number], lost=1)
    _, told = concluded(write_nights(tmp_path, nights))
    (finding,) = weighing(told, Verdict.FAIL)
    assert (finding.kind, finding.at) == ("flaky", 47)
    assert finding.headline.startswith("flaky, good in the newest run: 8 of 13 runs failed")
    assert finding.told[0].startswith("0% → 62% of the runs fail, p < 0.0001")


def test_one_failure_long_ago_is_flaky_and_passes(tmp_path: Path) -> None:
    nights = quiet(20)
    nights[15] = replace(nights[15], lost=1)
    _, told = concluded(write_nights(tmp_path, nights))
    assert told.verdict is Verdict.PASS
    assert [(finding.kind, finding.at) for finding in told.findings if finding.kind == "flaky"] == [("flaky", 15)]


def test_an_unknown_newest_run_is_undecided(tmp_path: Path) -> None:
    nights = [*quiet(20), Night(outage=None, verdict=Verdict.UNKNOWN, reason="no samples")]
    trend, told = concluded(write_nights(tmp_path, nights))
    assert told.verdict is Verdict.UNKNOWN
    assert "undecided in the newest run: no samples" in printed(trend, told)


def test_values_of_unknown_verdicts_do_not_count(tmp_path: Path) -> None:
    blind = [Night(outage=30.0 + number, verdict=Verdict.UNKNOWN) for number in range(6)]
    trend, _ = concluded(write_nights(tmp_path, [*quiet(20), *blind, *quiet(3)]))
    (line,) = [line for line in trend.streams[0].lines if line.key.name == "outage.udp"]
    assert len(line.series.measured) == 23
    assert line.steps == ()


@pytest.mark.parametrize(("count", "code"), [(1, 2), (7, 2), (8, 0)])
def test_too_few_runs_cannot_be_decided(tmp_path: Path, count: int, code: int) -> None:
    assert main([str(write_nights(tmp_path / "runs", quiet(count)))]) == code


def test_few_runs_that_fail_are_worse_all_the_same(tmp_path: Path) -> None:
    assert main([str(write_nights(tmp_path / "runs", [Night(), Night(lost=1)]))]) == 1


def test_a_case_that_is_gone_is_missed(tmp_path: Path) -> None:
    write_nights(tmp_path, quiet(12))
    for number in range(9):
        write_night(tmp_path, 100 + number, Night(case="snapshot", started=FIRST + timedelta(days=number, hours=1)))
    trend, told = concluded(tmp_path, patterns=("snap*",))
    assert told.verdict is Verdict.UNKNOWN
    assert "case snapshot is missing in the newest 3 runs" in printed(trend, told)


def test_a_case_that_runs_now_and_then_is_not_missed(tmp_path: Path) -> None:
    write_nights(tmp_path, quiet(21))
    for number in range(0, 20, 4):
        write_night(tmp_path, 100 + number, Night(case="weekly", started=FIRST + timedelta(days=number, hours=1)))
    assert concluded(tmp_path)[1].verdict is Verdict.PASS


def test_a_damaged_run_weighs_when_it_may_be_the_newest(tmp_path: Path) -> None:
    runs = write_nights(tmp_path, quiet(10))
    newest = write_night(runs, 50, Night())
    (next(newest.glob("case-*")) / "verdict.json").write_text("{")
    _, told = concluded(runs)
    assert told.verdict is Verdict.UNKNOWN
    assert "repeat it, or remove it" in told.general[0].headline


def test_an_old_damaged_run_is_told_only(tmp_path: Path) -> None:
    runs = write_nights(tmp_path, quiet(12))
    (next((runs / "07919-1").glob("case-*")) / "verdict.json").write_text("{")
    _, told = concluded(runs)
    assert told.verdict is Verdict.PASS
    assert [finding.kind for finding in told.general] == ["damaged"]


def test_unreadable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 3
    assert main([]) == 3
    assert main([str(write_nights(tmp_path / "runs", quiet(2))), "--by", "versions.none"]) == 3
    assert main([str(tmp_path / "runs"), "--case", "no such case"]) == 3
    assert capsys.readouterr().err.count("could not tell a trend") == 4


def test_what_stands_out_of_one_series_may_not_stand_out_of_a_hundred() -> None:
    """The same step is told when it was the only thing looked at, and not when it is the best of many."""
    random = np.random.default_rng(2)
    weak = np.concatenate((random.normal(0, 1, 20), random.normal(1.6, 1, 8)))
    (change,) = changes(weak)
    assert 0.001 < change.p < 0.05
    key = Key(CASE, "claim", "outage.udp", "")
    others = {(key, number, "values"): random.normal(0, 1, 28) for number in range(1, 100)}
    assert list(told_apart({(key, 0, "values"): weak})) == [(key, 0, "values")]
    assert told_apart({(key, 0, "values"): weak, **others}) == {}


def test_only_the_worst_of_many_identical_causes_is_grouped(tmp_path: Path) -> None:
    """Two series that change with one upgrade are told under one run, with the cause once."""
    later = [
        replace(upgraded(night), outage=(night.outage or 0) * 2, drain_time=90 + 10 * (night.outage or 0))
        for night in quiet(8)
    ]
    before = [replace(night, drain_time=40 + 10 * (night.outage or 0)) for night in quiet(25)]
    shown = printed(*concluded(write_nights(tmp_path, [*before, *later])))
    assert shown.count("versions.kubevirt: v1.9.0 → v1.10.0") == 1
    assert shown.count("worse: median") == 2


def test_limits_that_history_proposes_fit_a_profile_and_a_policy(tmp_path: Path) -> None:
    trend, told = concluded(write_nights(tmp_path, quiet(60)))
    content = json.loads(json.dumps(document.content(trend, told)))["streams"][0]
    limits = tomllib.loads(content["limits_toml"])["limits"]
    assert Limits(**limits).outage_seconds == pytest.approx(max(NOISE[:60]), rel=0.01)
    (required,) = tomllib.loads(content["policy_toml"])["require"]
    requirement = Requirement.model_validate_json(json.dumps(required))
    assert list(requirement.limits) == ["outage.udp"]  # and not ledger.complete: losses are no budget


def test_limits_come_from_passing_runs_since_the_last_change(tmp_path: Path) -> None:
    before = [replace(night, outage=(night.outage or 0) + 1) for night in quiet(40)]
    after = quiet(40)
    after[20] = replace(after[20], outage=9.0)
    trend, _ = concluded(write_nights(tmp_path, [*before, *after]))
    (proposed,) = trend.streams[0].limits
    assert proposed.limit == pytest.approx(max(NOISE[:40]), rel=0.02)
    assert proposed.decides.proposal is not None
    assert proposed.decides.proposal.runs == 39


def test_a_limit_below_what_the_instrument_sees_is_not_proposed(tmp_path: Path) -> None:
    trend, told = concluded(write_nights(tmp_path, [replace(night, detection=5.0) for night in quiet(30)]))
    assert "# the limit lies below what the instrument is sure to see: outage_seconds = 5" in printed(trend, told)


def test_the_documents_are_the_same_each_time(tmp_path: Path) -> None:
    runs = write_nights(tmp_path / "runs", [*quiet(30), *(replace(night, lost=1) for night in quiet(3))])
    for name in ("one", "two"):
        main([str(runs), "--out", str(tmp_path / name), "--json", str(tmp_path / name / "again.json")])
    for file in ("trend.html", "trend.json", "again.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert (tmp_path / "one" / "trend.json").read_bytes() == (tmp_path / "one" / "again.json").read_bytes()


class _Reader(HTMLParser):
    """What the page holds, as a browser without scripts sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        (self.scripts if self._inside == "script" else self.text).append(data)


def hostile_page(tmp_path: Path) -> _Reader:
    nights = [
        replace(
            night, case=HOSTILE, reason=HOSTILE, lost=number >= 28, verdict=Verdict.FAIL if number >= 28 else None,
            target={"name": HOSTILE}, versions={"kubevirt": HOSTILE if number >= 28 else "1"},
            parts=(Part(object=HOSTILE, verdict=Verdict.PASS, reason=HOSTILE),),
        )
        for number, night in enumerate(quiet(30))
    ]
    main([str(write_nights(tmp_path / "runs", nights)), "--out", str(tmp_path)])
    reader = _Reader()
    reader.feed((tmp_path / "trend.html").read_text(encoding="utf-8"))
    return reader


def test_hostile_names_stay_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reader = hostile_page(tmp_path)
    assert [tag for tag, _ in reader.tags].count("script") == 3
    assert not any("\x1b" in text or "\u202e" in text for text in reader.text)
    assert any("</script><script>alert(1)</script>\\x1b[31m" in text for text in reader.text)
    data = json.loads(reader.scripts[0])
    assert "<" not in reader.scripts[0]
    assert "&lt;script&gt;" in data[0]["series"][0]["name"]
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_the_page_allows_its_own_scripts_only(tmp_path: Path) -> None:
    reader = hostile_page(tmp_path)
    (policy,) = [told["content"] for tag, told in reader.tags if tag == "meta" and "http-equiv" in told]
    assert policy is not None
    assert "default-src 'none'" in policy
    for script in reader.scripts[1:]:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert not [told for _, told in reader.tags if "src" in told or "href" in told]


def test_the_page_tells_everything_without_scripts(tmp_path: Path) -> None:
    nights = [*quiet(20), *(replace(upgraded(night), lost=3) for night in quiet(3))]
    main([str(write_nights(tmp_path / "runs", nights)), "--out", str(tmp_path)])
    reader = _Reader()
    reader.feed((tmp_path / "trend.html").read_text(encoding="utf-8"))
    text = " ".join(" ".join(reader.text).split())
    assert "WORSE" in text
    assert "versions.kubevirt: v1.9.0 → v1.10.0" in text
    assert "3 of 3 runs failed" in text
    assert "[limits]" in text
    assert [tag for tag, _ in reader.tags].count("svg") > 3


WRITERS: list[Callable[[Trend, Answer, Path], None]] = [document.write, page.write]


@pytest.mark.parametrize("write", WRITERS)
def test_a_history_without_any_value_is_written(tmp_path: Path, write: Callable[[Trend, Answer, Path], None]) -> None:
    trend, told = concluded(write_nights(tmp_path / "runs", [Night(outage=float("nan"), verdict=Verdict.PASS)] * 9))
    write(trend, told, tmp_path / "out")
    assert (tmp_path / "out").stat().st_size > 0
    assert CASE in (tmp_path / "out").read_text(encoding="utf-8")
