"""What the trend may not take for granted: figures in doubt, other hosts, rare cases, steps from nothing, few runs."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drainproof.record.case import write_json
from reports.trend.analysis import Options, Trend, analyse
from reports.trend.changes import changes
from reports.trend.command import main
from reports.trend.findings import Answer, answer
from reports.trend.history import load
from reports.trend.proposals import policy, toml
from reports.verdict import Part, Verdict
from tests.unit.reports.trend_runs import Night, write_nights

NOISE = [float(value) for value in np.random.default_rng(21).normal(0.4, 0.02, 400)]
HOST = {"host": {"cpu": "made", "kernel": "6.1", "memory_mib": 1000}, "nodes": [{"memory": "8123456Ki", "count": 3}]}


def quiet(count: int) -> list[Night]:
    return [Night(outage=NOISE[number]) for number in range(count)]


def concluded(runs: Path, **options: Any) -> tuple[Trend, Answer]:
    trend = analyse(load([runs]), Options(**options))
    return trend, answer(trend)


def edit(runs: Path, number: int, file: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a file of the run of a night."""
    (case,) = runs.glob(f"*/case-{number}")
    path = case / file if file == "verdict.json" else case.parent / file
    content = json.loads(path.read_text())
    change(content)
    write_json(path, content)


@pytest.mark.parametrize("doubt", [
    lambda verdict: verdict["figures"][0].update(at_least=True),
    lambda verdict: verdict.update(verdict="unknown"),
])
def test_a_figure_in_doubt_is_shown_and_not_computed_with(
    tmp_path: Path, doubt: Callable[[dict[str, Any]], None]
) -> None:
    """A lower bound is no value, and of a run that nobody could decide nobody knows what it measured."""
    nights = [replace(night, drain_time=NOISE[number] * 100) for number, night in enumerate(quiet(30))]
    later = [replace(night, drain_time=90.0) for night in quiet(8)]
    trend, told = concluded(write_nights(tmp_path, [*nights, *later]))
    assert told.verdict is Verdict.FAIL
    for number in range(30, 38):
        edit(tmp_path, number, "verdict.json", doubt)
    trend, told = concluded(tmp_path)
    (line,) = [line for line in trend.streams[0].lines if line.key.name == "drain time"]
    assert line.series.value(37) == 90
    assert len(line.series.measured) == 30
    assert not line.steps
    assert told.verdict is Verdict.PASS


def set_environment(runs: Path, numbers: range, environment: Mapping[str, Any]) -> None:
    for number in numbers:
        edit(runs, number, "run.json", lambda info: info.update(environment=environment))


def test_another_host_is_a_mark_and_a_cause(tmp_path: Path) -> None:
    """A node's new kernel is what a night's worsening is put down to first."""
    later = [replace(night, outage=(night.outage or 0) * 2) for night in quiet(8)]
    write_nights(tmp_path, [*quiet(25), *later])
    set_environment(tmp_path, range(25), HOST)
    set_environment(tmp_path, range(25, 33), {**HOST, "host": {**HOST["host"], "kernel": "6.18"}})  # type: ignore[dict-item]
    trend, told = concluded(tmp_path)
    assert [mark.at for mark in trend.streams[0].marks] == [25]
    (finding,) = [finding for finding in told.findings if finding.weight is Verdict.FAIL]
    assert [str(cause) for cause in finding.causes] == ["environment.host.kernel: 6.1 → 6.18"]
    assert len(load([tmp_path], ["environment.host.kernel"]).streams) == 2


def test_what_differs_in_every_run_is_no_mark(tmp_path: Path) -> None:
    """A client's address, free memory, some KiB of a node; an environment that older runs did not record."""
    write_nights(tmp_path, quiet(12))
    for number in range(4, 12):
        nodes = [{"memory": f"{8123456 + number}Ki", "count": 3}]
        host = {**HOST, "host": {**HOST["host"], "memory_mib": number}, "nodes": nodes}  # type: ignore[dict-item]
        set_environment(tmp_path, range(number, number + 1), host)
        edit(tmp_path, number, "run.json", lambda info, at=number: info["target"].update(client_address=f"10.0.0.{at}"))  # type: ignore[misc]
    trend, _ = concluded(tmp_path)
    assert trend.streams[0].marks == ()


def test_a_weekly_case_is_judged_by_its_own_newest_runs(tmp_path: Path) -> None:
    """Its change takes weeks to be seen; by then it lies beyond the newest nights."""
    weekly = [Night(outage=NOISE[number] * (2 if number >= 20 else 1), case="weekly") for number in range(28)]
    nights = [
        weekly[number // 7] if number % 7 == 6 else Night(outage=NOISE[number]) for number in range(28 * 7)
    ]
    _, told = concluded(write_nights(tmp_path, nights))
    (finding,) = [finding for finding in told.findings if finding.weight is Verdict.FAIL]
    assert finding.key is not None
    assert (finding.key.case, finding.kind) == ("weekly", "worse")


def test_a_step_from_nothing_counts_when_the_instrument_is_sure_to_see_it(tmp_path: Path) -> None:
    """From zero, any step is infinitely large; a millisecond is none."""
    for name, outage, weight in (("small", 0.001, Verdict.PASS), ("large", 0.3, Verdict.FAIL)):
        runs = write_nights(tmp_path / name, [Night(outage=outage if number >= 25 else 0.0) for number in range(33)])
        trend, told = concluded(runs)
        assert any(line.steps for line in trend.streams[0].lines)
        assert told.verdict is weight


def test_a_clear_step_among_rounded_values_stands_out_of_thousands() -> None:
    """Random orders tell no p below 1 in 20 000, and of rounded values some are equal."""
    values = np.array([*([1.0, 2.0, 3.0] * 10), *([8.0, 9.0, 10.0] * 10)])
    (change,) = changes(values)
    assert change.p < 1e-10


def test_limits_of_few_runs_are_not_to_be_taken_over(tmp_path: Path) -> None:
    """20 to 58 runs do not even bound P95; how often all limits together fail of themselves is told."""
    parts = (Part(object="http-new/vip", verdict=Verdict.PASS, reason="", measured=0.2),)
    few, _ = concluded(write_nights(tmp_path / "few", [replace(night, parts=parts) for night in quiet(30)]))
    (stream,) = few.streams
    assert stream.limits
    assert not tomllib.loads(toml(stream))["limits"]
    assert "# 30 runs are too few, P95 alone takes 59: " in toml(stream)
    assert "by chance alone" not in toml(stream)
    assert not tomllib.loads(policy(stream))["require"][0]["limits"]
    many, _ = concluded(write_nights(tmp_path / "many", quiet(60)))
    assert tomllib.loads(toml(many.streams[0]))["limits"]
    assert "about 1 night in 61 exceeds one of these limits by chance alone" in toml(many.streams[0])


def test_what_breaks_the_analysis_cannot_steer_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message may hold words of a cluster."""

    def broken(*_: object) -> None:
        raise IndexError("odd\x1b[31m")

    monkeypatch.setattr("reports.trend.command.analyse", broken)
    assert main([str(write_nights(tmp_path, quiet(1)))]) == 3
    assert "\x1b" not in capsys.readouterr().err
