"""What a drawing must not hide, and of what it must not accuse: gaps beside a bad baseline, answers that stand alone,
migrations without an end, what nobody saw, and what faults excuse."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.evidence import Evidence
from reports.text import measured, number
from reports.timeline import palette, stalls
from reports.timeline.beams import heights
from reports.timeline.build import timeline
from reports.timeline.interactive import figure
from reports.timeline.layout import limits
from reports.timeline.model import Gaps, Level, Line, Row, Timeline
from reports.timeline.static import picture
from reports.timeline.text import drawn
from reports.verdict import Claim, Verdict
from tests.unit.reports.fault_records import BACK, DIED, LOST, SURVIVORS, fault_record
from tests.unit.reports.records import Record
from tests.unit.reports.storage_records import BASELINE as DISK_BASELINE
from tests.unit.reports.storage_records import CLOSED, OPENED, VM, disk_record, hold, number_at, session, waits_for_ever
from tests.unit.reports.storage_records import END as DISK_END
from tests.unit.reports.timeline import ADDRESSES, BEGIN, DRAIN, END, S, at, drain_begin

WINDOW_SECONDS = 100


def made(record: Record, tmp_path: Path) -> Timeline:
    return timeline(Evidence.of(record.write(tmp_path / "run-1")))


def rows(found: Timeline) -> dict[str, Row]:
    return {row.id: row for row in found.rows}


def one_row(**marks: Any) -> Timeline:
    """A timeline of a hundred seconds with one row of curves or beams."""
    row = Row("sql", "SQL", logarithmic=True, unit="s", **marks)
    return Timeline(BEGIN, BEGIN + WINDOW_SECONDS * S, 1_767_225_600 * S, (row,))


def beam(name: str, *spans: tuple[float, float], limits: Any = None, colour: str = "vm0") -> Gaps:
    begins, ends = (np.array([at(edge) for edge in edges], np.int64) for edges in zip(*spans, strict=True))
    return Gaps(name, colour, begins, ends, 0.2, limits=limits)


def test_a_bad_baseline_hides_no_gap_over_the_limit(record: Record, tmp_path: Path) -> None:
    """Three seconds are over the limit of two, even if the baseline was silent for four; and the row tells of that."""
    record.silence("http-new/portal-a", 1.0, 5.0)
    record.silence("http-new/portal-a", 15.0, 18.0)
    row = rows(made(record, tmp_path))["http-new"]
    gaps = next(one for one in row.gaps if one.name == "portal-a")
    assert [round(seconds) for seconds in gaps.seconds] == [4, 3]
    assert "the baseline itself had a gap of 4" in row.note


def test_a_good_baseline_is_told_of(record: Record, tmp_path: Path) -> None:
    """Each row says from when on a gap is drawn."""
    assert "normal up to 0.4 s" in rows(made(record, tmp_path))["http-new"].note


def test_an_answer_between_failures_is_drawn() -> None:
    """The worst answer of all may stand between two moments without any; a line alone would not show it."""
    values = np.array([0.1, 0.1, np.nan, 5.54, np.nan, 0.1, 0.1])
    line = Line("portal-a", "vm0", BEGIN, WINDOW_SECONDS * S / len(values), values)
    found = one_row(lines=(line,))
    markers = [trace for trace in figure(found)["data"] if trace.get("mode") == "markers"]
    assert [trace["legendgroup"] for trace in markers] == ["vm0"]
    assert _numbers(markers[0]["y"], "<f4") == pytest.approx([5.54])
    assert _numbers(markers[0]["x"], "<f8") == pytest.approx(found.wall_ms(line.times[[3]]))
    assert (_uses(picture(found)), _uses(picture(one_row(lines=(_whole(line),))))) == (1, 0)


def _whole(line: Line) -> Line:
    return Line(line.name, line.colour, line.begin, line.width, np.full(len(line.values), 0.1))


def _numbers(packed: dict[str, str], kind: str) -> list[float]:
    found: list[float] = np.frombuffer(base64.b64decode(packed["bdata"]), kind).tolist()
    return found


def _uses(svg: str) -> int:
    """How many marks stand in a picture, those of its axes left out."""
    return len(re.findall(r"<use ", svg))


def test_gaps_have_ends_on_paper() -> None:
    """A gap that is too short for a beam is seen by the marks at its ends."""
    assert _uses(picture(one_row(gaps=(beam("a", (10, 10.3), (50, 50.4)),)))) == 4


def test_equal_gaps_at_one_time_lie_beside_each_other() -> None:
    """Three machines that were silent together are three beams, and none is moved over the limit."""
    gaps = tuple(beam(name, (10, 11.95), colour=f"vm{place}") for place, name in enumerate("abc"))
    row = one_row(gaps=gaps, levels=(Level(2.0, "limit 2 s"),)).rows[0]
    shown = [float(one[0]) for one in heights(row)]
    assert len({round(height, 3) for height in shown}) == 3
    assert max(shown) < 2.0
    assert shown[0] == pytest.approx(1.95)
    told = [trace for trace in figure(one_row(gaps=gaps))["data"] if trace.get("customdata")]
    assert [_numbers(trace["customdata"], "<f4")[0] for trace in told] == pytest.approx([1.95] * 3)


def test_the_limit_that_decides_is_drawn(tmp_path: Path) -> None:
    """While others take over another limit holds, and what was taken away is excused: neither is told as too long."""
    found = rows(made(fault_record(), tmp_path))
    row = found["sql"]
    assert [(level.value, level.eased) for level in row.levels] == [(2.0, False), (15.0, True)]
    assert "– – limit when undisturbed 2 s, · · · in a failover 15 s" in limits(row)
    for kind in ("sql", "http-new", "tcp-new"):
        assert max(float(gaps.seconds.max(initial=0)) for gaps in found[kind].gaps) > 10
        assert not any(gaps.over.any() for gaps in found[kind].gaps)
    longest = {gaps.name: float(gaps.seconds.max()) for gaps in row.gaps}
    assert longest[LOST] > BACK - DIED - 1
    assert min(longest[vm] for vm in SURVIVORS) > 2.0


def test_only_what_is_too_long_is_red_on_a_terminal(tmp_path: Path) -> None:
    """An excused gap is yellow; the same gap in a run in which nothing excuses it is red."""
    spans = ((10.0, 20.0),)
    for limit, colour in ((15.0, "yellow"), (5.0, "red")):
        gaps = beam("portal-a", *spans, limits=np.array([limit]))
        found = one_row(gaps=(gaps,), levels=(Level(2.0, "limit when undisturbed 2 s"),))
        styles = {str(span.style) for line in drawn(found, 100) for span in line.spans}
        assert styles & {"red", "yellow"} == {colour}


def test_only_what_is_too_long_has_red_ends() -> None:
    """On the page and on paper: the ends of a beam tell whether it may be as long as it is."""
    gaps = beam("portal-a", (10.0, 20.0), (30.0, 40.0), limits=np.array([15.0, 5.0]))
    trace = next(one for one in figure(one_row(gaps=(gaps,)))["data"] if one.get("customdata"))
    assert trace["marker"]["color"] == ["var(--vm0)"] * 4 + ["var(--fail)"] * 4
    assert [re.sub(r".*; (.*)", r"\1", text) for text in trace["text"][::4]] == [
        "15 s allowed then", "5 s allowed then, which is exceeded"
    ]
    red = f"stroke: {palette.LIGHT['fail']}"
    assert red in picture(one_row(gaps=(gaps,)))
    assert red not in picture(one_row(gaps=(replace(gaps, limits=np.array([15.0, 15.0])),)))


def test_planned_runs_have_one_limit(record: Record, tmp_path: Path) -> None:
    assert [level.label for level in rows(made(record, tmp_path))["sql"].levels] == ["limit 2 s"]


def test_what_no_claim_limits_has_no_limit(tmp_path: Path) -> None:
    """Under faults the stopwatch's echoes inform only; its connections are judged."""
    found = rows(made(fault_record(), tmp_path))
    assert (found["udp"].levels, "no limit under faults" in found["udp"].note) == ((), True)
    assert [level.value for level in found["tcp-new"].levels] == [2.0, 5.0]


def test_a_failed_migration_is_red_and_says_why(record: Record, tmp_path: Path) -> None:
    """Its last phase has the colour of a fault, and what the machine's migration state gives as its reason."""
    events = [event for event in record.found("watch", "vmim") if event["data"]["vmi"] == "portal-b"]
    events[-1]["data"]["phase"] = "Failed"
    events[-1]["data"]["migration"] |= {"failureReason": "the target went away"}
    bars = [bar for bar in rows(made(record, tmp_path))["moves"].bars if bar.lane == 1 and not bar.thin]
    assert bars[-1].colour == "fault"
    assert bars[-1].label.startswith("failed: node-b → node-a")
    assert "the target went away" in bars[-1].told
    assert "fault" not in {bar.colour for bar in bars[:-1]}


def test_a_migration_that_failed_at_once_is_drawn(record: Record, tmp_path: Path) -> None:
    """One of which the watch tells nothing but its failure leaves a mark too."""
    keep = at(drain_begin(1) + 2.9)
    record.drop("watch", "vmim", lambda event: event["data"]["vmi"] == "portal-b" and event["t_ns"] != keep)
    event = next(one for one in record.found("watch", "vmim") if one["data"]["vmi"] == "portal-b")
    event["data"]["phase"] = "Failed"
    bars = [bar for bar in rows(made(record, tmp_path))["moves"].bars if bar.lane == 1 and not bar.thin]
    assert [(bar.colour, bar.begin) for bar in bars] == [("fault", keep)]


def test_a_migration_that_never_ended_lasts_as_long_as_its_drain(record: Record, tmp_path: Path) -> None:
    """A stuck one is drawn until its drain is over, and says that its end was not seen."""
    record.drop("watch", "vmim", lambda event: event["data"]["vmi"] == "portal-b"
                and event["data"]["phase"] == "Succeeded")
    record.drop("drain", "migrated", lambda event: event["object"] == "portal-b")
    bars = [bar for bar in rows(made(record, tmp_path))["moves"].bars if bar.lane == 1 and not bar.thin]
    assert (bars[-1].end, bars[-1].colour) == (at(drain_begin(1) + DRAIN), "copy")
    assert bars[-1].label.endswith("not seen to end")


def test_observers_that_sent_late_are_shown(record: Record, tmp_path: Path) -> None:
    """A stall that nobody reported, but that the samples show, counts for the judge, and so it is drawn."""
    assert rows(made(record, tmp_path))["stalls"].missing == stalls.NONE
    begin, end = at(12.0), at(13.5)
    rows_of = record.samples["http-new/portal-a"]
    rows_of[:] = [row for row in rows_of if not begin < row[1] < end]
    row = rows(timeline(Evidence.of(record.write(tmp_path / "run-2"))))["stalls"]
    assert row.lanes == ("probe",)
    assert [round(bar.begin / S, 1) for bar in row.bars] == [pytest.approx(at(12.1) / S, abs=0.15)]


def test_stalls_that_are_not_drawn_are_told_of(record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more stalls than are drawn the longest are, and the row says how many are missing."""
    monkeypatch.setattr(stalls, "KEPT_STALLS", 2)
    for begin, length in ((8.0, 0.3), (10.0, 0.9), (12.0, 0.6)):
        record.event(begin, "probe", "stall", start_ns=at(begin), end_ns=at(begin + length))
    row = rows(made(record, tmp_path))["stalls"]
    assert sorted(round((bar.end - bar.begin) / S, 1) for bar in row.bars) == [0.6, 0.9]
    assert row.note == "1 shorter stalls are not drawn"


def test_a_lost_watch_does_not_tell_where_machines_are(record: Record, tmp_path: Path) -> None:
    """Between the loss of the watch and its next word nobody knows where a machine was."""
    record.event(10.2, "watch", "lost", "vmi", reason="gone")
    bars = [bar for bar in rows(made(record, tmp_path))["nodes"].bars if bar.lane == 2]
    assert [(bar.label, bar.begin, bar.end) for bar in bars if bar.label == "not watched"] == [
        ("not watched", at(10.2), at(11))
    ]
    assert all(bar.end <= at(10.2) or bar.begin >= at(11) for bar in bars if bar.label == "node-c")


def test_a_silent_watch_does_not_tell_where_machines_are(record: Record, tmp_path: Path) -> None:
    """A watch that says nothing for longer than its interval may have missed a move."""
    record.drop("watch", "synced", lambda event: event["object"] == "vmi")
    record.drop("watch", "vmi", lambda event: event["t_ns"] > at(0))
    bars = rows(made(record, tmp_path))["nodes"].bars
    assert {(bar.label, bar.begin, bar.end) for bar in bars} == {("not watched", at(0), at(END))}


def test_a_stream_that_is_missing_beside_others_is_told_of(record: Record, tmp_path: Path) -> None:
    """The row is drawn, and its note names what it lacks; the whole reason stands beside it."""
    record.samples.pop("sql/portal-b")
    row = rows(made(record, tmp_path))["sql"]
    assert (row.empty, "portal-b not drawn" in row.note) == (False, True)
    assert row.lacking == "sql/portal-b: the record has no such stream"


def test_clinic_staff_s_note_tells_its_bucket(record: Record, tmp_path: Path) -> None:
    """What is drawn is the worst of each bucket, not each request."""
    assert re.fullmatch(r"the worst request of each \S+ s", rows(made(record, tmp_path))["clinic"].note)


def test_failures_are_hidden_with_their_machine(tmp_path: Path) -> None:
    """A cross belongs to the machine that was asked."""
    found = figure(made(fault_record(), tmp_path))["data"]
    crosses = [trace for trace in found if trace.get("marker", {}).get("symbol") == "x-thin-open"]
    of = {trace["hovertemplate"].partition("</b>")[0].rpartition("/")[2]: trace.get("legendgroup") for trace in crosses}
    assert of.items() >= {"portal-b": "vm1", "vip": "other"}.items()


def test_a_state_that_was_not_scraped_leaves_the_row(record: Record, tmp_path: Path) -> None:
    """A series that is empty in the window is told as such, neither as well nor as broken."""
    scraped = record.series("local_state", instance=f"{ADDRESSES['portal-b']}:9104")
    del scraped[1:]
    bars = rows(made(record, tmp_path))["members"].bars
    assert {(bar.label, bar.colour) for bar in bars if bar.lane == 1} == {("3 not scraped", "calm")}
    assert {bar.colour for bar in bars if bar.lane != 1} == {"whole"}


def test_refused_writes_are_marked(tmp_path: Path) -> None:
    """A write that the disk refused has a cross with its error."""
    record = disk_record()
    refused = number_at(10.0)
    record.found("io-ledger", "writes")[0]["data"]["refused"] = {str(refused): 5, str(refused + 40): 30}
    row = rows(made(record, tmp_path))["disks"]
    assert [(one.name, one.told, one.colour) for one in row.failures] == [
        (f"writes/{VM}", ("1 refused, error 5", "1 refused, error 30"), "vm0")
    ]
    assert any("x" in line.plain for line in drawn(made(record, tmp_path / "again"), 100) if VM in line.plain)


def test_a_ledger_without_end_is_silent_until_the_window_ends(tmp_path: Path) -> None:
    """A guest that was never heard of again wrote nothing until the end, and not only until its last word."""
    record = disk_record()
    waits_for_ever(record, 9.5, 11.0)
    record.drop("io-ledger", "end")
    record.found("io-ledger", "writes")[0]["t_ns"] = at(9.6)
    row = rows(made(record, tmp_path))["disks"]
    assert row.gaps[0].ends.tolist()[-1] == at(DISK_END)
    assert "1 of 1 ledgers have no end" in row.note


def test_disks_have_the_colours_of_the_key(tmp_path: Path) -> None:
    """The machine under test comes first in the key, whatever writes besides and however it is called."""
    record = disk_record()
    session(record, 1, OPENED, CLOSED, 0)
    events = [event for event in record.events if event["source"] == "io-ledger"][-3:]
    for event in events:
        event["object"] = "a-clone"
    found = made(record, tmp_path)
    assert found.colours == {VM: "vm0", "a-clone": "vm1"}
    assert {line.name: line.colour for line in rows(found)["disks"].lines} == found.colours


def test_a_disk_s_limit_is_that_of_what_was_done(tmp_path: Path) -> None:
    """While its server is away, and until it recovered, writes may wait for longer; undisturbed they may not."""
    record = disk_record("storage-failover")
    hold(record, 9.5, 3.0)
    row = rows(made(record, tmp_path))["disks"]
    assert [(level.value, level.eased) for level in row.levels] == [(2.0, False), (30.0, True)]
    assert row.gaps[0].limits is not None
    assert row.gaps[0].limits.tolist() == [30.0]


def test_a_bad_baseline_of_a_disk_hides_no_pause(tmp_path: Path) -> None:
    """As with the clients' streams."""
    record = disk_record()
    hold(record, DISK_BASELINE - 5.0, 4.0)
    hold(record, 9.5, 3.0)
    row = rows(made(record, tmp_path))["disks"]
    assert [round(seconds) for seconds in row.gaps[0].seconds] == [4, 3]
    assert "the baseline itself had a gap of 4" in row.note


@pytest.mark.parametrize(
    ("value", "beside", "shown"),
    [(0.0004, None, "0.0004"), (0.651, None, "0.651"), (2.0004, 2.0, "2.0004"), (1.99996, 2.0, "1.99996"),
     (2.0, 2.0, "2"), (100.04, 100.0, "100.04"), (123.456, 100.0, "123.5"), (0.0, 2.0, "0")],
)
def test_numbers_do_not_look_like_what_they_are_not(value: float, beside: float | None, shown: str) -> None:
    """A value that is not zero and not the limit has the decimals that show it."""
    assert number(value, beside) == shown


def test_a_claim_s_value_does_not_look_like_its_limit() -> None:
    claim = Claim(id="x", title="x", verdict=Verdict.FAIL, reason="", measured=2.0004, limit=2.0, unit="s, longest gap")
    assert measured(claim) == "2.0004 s"


def test_reading_evidence_anew_shares_nothing(record: Record, tmp_path: Path) -> None:
    """What one judgement derived is not handed to another by accident."""
    first = Evidence.of(record.write(tmp_path / "run-1"))
    assert first.once("x", lambda: 1) == 1
    assert replace(first, limits=first.limits).once("x", lambda: 2) == 2
