"""Histories as they are found on disk: out of order, twice, damaged, of several clusters, with a wrong clock."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from drainproof.errors import CannotRunError, RecordError
from drainproof.settings import Profile
from reports.trend.differences import differences, marks
from reports.trend.entries import Key, entries
from reports.trend.history import load
from reports.verdict import Better, CaseVerdict, Claim, Figure, Part, Verdict
from tests.unit.reports.trend_runs import CASE, FIRST, Night, upgraded, write_night, write_nights


def test_runs_are_ordered_by_time_and_not_by_name(tmp_path: Path) -> None:
    write_night(tmp_path, 0, Night(), name="zzz")
    write_night(tmp_path, 1, Night(), name="aaa")
    write_night(tmp_path, 2, Night(), name="mmm")
    (stream,) = load([tmp_path]).streams
    assert [row.id for row in stream.rows] == ["zzz", "aaa", "mmm"]


def test_times_of_other_zones_are_compared_as_instants(tmp_path: Path) -> None:
    write_night(tmp_path, 0, Night(), name="later")
    early = write_night(tmp_path, 1, Night(), name="earlier")
    info = json.loads((early / "run.json").read_text())
    (early / "run.json").write_text(json.dumps({**info, "started": "2026-09-01T02:00:00+05:00"}))
    (stream,) = load([tmp_path]).streams
    assert [row.id for row in stream.rows] == ["earlier", "later"]


def test_a_run_that_is_found_twice_counts_once(tmp_path: Path) -> None:
    for copy in ("one", "other"):
        write_nights(tmp_path / copy, [Night()] * 3)
    history = load([tmp_path / "one", tmp_path / "other"])
    assert len(history.streams[0].rows) == 3
    assert len(history.duplicates) == 3


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"format": 99}', "\x00\xff", '{"format": 1, "run_id": 3}'],
)
def test_a_damaged_run_is_listed(tmp_path: Path, content: str) -> None:
    write_nights(tmp_path, [Night()] * 2)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text(content)
    history = load([tmp_path])
    assert [damage.directory.name for damage in history.damaged] == ["broken"]
    assert len(history.streams[0].rows) == 2


@pytest.mark.parametrize(
    ("key", "value"),
    [("started", "yesterday"), ("started", 5), ("target", []), ("settings", None), ("run_id", 7), ("versions", "1")],
)
def test_a_description_of_an_odd_shape_is_listed(tmp_path: Path, key: str, value: object) -> None:
    directory = write_nights(tmp_path, [Night()] * 2) / "00000-0"
    info = json.loads((directory / "run.json").read_text())
    (directory / "run.json").write_text(json.dumps({**info, key: value}))
    history = load([tmp_path])
    assert key in history.damaged[0].reason
    assert len(history.streams[0].rows) == 1


@pytest.mark.parametrize("content", ["", "{}", '{"format": 1, "claims": 5}', "[1]"])
def test_a_damaged_case_leaves_the_others_of_its_run(tmp_path: Path, content: str) -> None:
    directory = write_night(tmp_path, 0, Night())
    (directory / "other").mkdir()
    (directory / "other" / "events.jsonl").touch()
    (directory / "other" / "verdict.json").write_text(content)
    history = load([tmp_path])
    assert history.damaged[0].directory.name == "other"
    assert history.streams[0].rows[0].cases == {CASE}


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="neither a run"):
        load([tmp_path])


def test_what_is_not_comparable_is_kept_apart(tmp_path: Path) -> None:
    other = {"name": "lab", "storage_classes": {"shared": "ceph"}}
    nights = [Night(), Night(profile="standard"), Night(target=other), Night(target={"name": "prod"}), Night()]
    streams = load([write_nights(tmp_path, nights)]).streams
    assert sorted(stream.title for stream in streams) == [
        "lab, ceph, quick", "lab, lab-shared, quick", "lab, lab-shared, standard", "prod, not told, quick",
    ]


def test_another_version_is_a_mark_and_no_other_series(tmp_path: Path) -> None:
    (stream,) = load([write_nights(tmp_path, [Night(), Night(), upgraded(Night()), upgraded(Night())])]).streams
    (mark,) = marks(stream.rows)
    assert (mark.at, [str(one) for one in mark.differences]) == (2, ["versions.kubevirt: v1.9.0 → v1.10.0"])


def test_runs_are_kept_apart_by_a_key_that_was_asked_for(tmp_path: Path) -> None:
    runs = write_nights(tmp_path, [Night(), upgraded(Night())])
    assert len(load([runs], ["versions.kubevirt"]).streams) == 2
    with pytest.raises(CannotRunError, match=r"versions\.none"):
        load([runs], ["versions.none"])


def test_differences_name_what_came_went_and_changed(tmp_path: Path) -> None:
    before = Night(versions={"kernel": "6.1", "old": "1"})
    after = Night(versions={"kernel": "6.2", "new": "x" * 500}, profile="quick")
    (stream,) = load([write_nights(tmp_path, [before, after])]).streams
    told = [str(one) for one in differences(*stream.rows)]
    assert told[:2] == ["versions.kernel: 6.1 → 6.2", "versions.old: 1 → absent"]
    assert told[2].startswith("versions.new: absent → xxx")
    assert len(told[2]) < 100


def test_a_clock_that_was_set_is_told(tmp_path: Path) -> None:
    """The machine ran on, by its monotonic clock, while its wall clock went back by two days."""
    write_nights(tmp_path, [Night()] * 4)
    assert load([tmp_path]).streams[0].notes == ()
    directory = write_night(tmp_path, 4, Night(started=FIRST + timedelta(days=1, hours=12)), name="set-back")
    info = json.loads((directory / "run.json").read_text())
    info["anchor"]["monotonic_ns"] += 2 * 86400 * 10**9
    (directory / "run.json").write_text(json.dumps(info))
    (stream,) = load([tmp_path]).streams
    assert [row.id for row in stream.rows].index("set-back") == 2
    assert "the clock was set" in stream.notes[0]
    assert "set-back" in stream.notes[0]


def case_of(*claims: Claim, figures: tuple[Figure, ...] = ()) -> CaseVerdict:
    return CaseVerdict(
        case=CASE, title="", verdict=Verdict.PASS, limits=Profile(name="x").limits.model_dump(), claims=claims,
        judged_by={"version": "1"}, figures=figures,
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, True, "7"])
def test_what_is_no_number_is_no_value(value: float | None) -> None:
    claim = Claim(id="outage.udp", title="", verdict=Verdict.PASS, reason="", measured=value)
    figure = Figure(axis="drain time", object="", value=value, unit="s")
    assert [entry.value for entry in entries(case_of(claim, figures=(figure,))).values()] == [None, None]


@pytest.mark.parametrize(("better", "worse"), [(Better.LESS, 5.0), (Better.MORE, 1.0)])
def test_of_equal_keys_the_worst_counts(better: Better, worse: float) -> None:
    figures = tuple(
        Figure(axis="a", object="o", value=value, unit="s", better=better) for value in (2.0, 5.0, None, 1.0)
    )
    (entry,) = entries(case_of(figures=figures)).values()
    assert entry.value == worse


def test_a_fail_outweighs_a_pass_of_the_same_claim() -> None:
    good = Claim(id="x", title="", verdict=Verdict.PASS, reason="", measured=9)
    bad = replace(good, verdict=Verdict.FAIL, measured=1)
    for claims in ((good, bad), (bad, good)):
        (entry,) = entries(case_of(*claims)).values()
        assert (entry.verdict, entry.value) == (Verdict.FAIL, 1)


def test_kinds_of_streams_with_limits_of_their_own_are_series_of_their_own() -> None:
    parts = (
        Part(object="sql/portal-0", verdict=Verdict.PASS, reason="", measured=1.5, facts={"detection_limit_s": 0.3}),
        Part(object="sql/portal-1", verdict=Verdict.FAIL, reason="gone", measured=2.5),
        Part(object="http-new/portal-0", verdict=Verdict.PASS, reason="", measured=0.5),
    )
    claim = Claim(id="continuity.requests", title="", verdict=Verdict.FAIL, reason="", measured=2.5, parts=parts)
    found = entries(case_of(claim))
    sql = found[Key(CASE, "claim", "continuity.requests", "sql")]
    assert (sql.value, sql.verdict, sql.limit_key, sql.detection) == (2.5, Verdict.FAIL, "sql_gap_seconds", 0.3)
    assert found[Key(CASE, "claim", "continuity.requests", "http-new")].verdict is Verdict.PASS
