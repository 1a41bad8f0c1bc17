"""The timeline of a certificate: nothing that happened is averaged away, and what cannot be drawn says why."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from drainproof.record import Outcome, SampleFile
from reports.evidence import Evidence
from reports.render import _json
from reports.spans import Span
from reports.timeline import palette
from reports.timeline.build import timeline
from reports.timeline.interactive import figure
from reports.timeline.model import Row, Timeline
from reports.timeline.reduce import CHUNK_ROWS, Grid, Reduced, reduced
from reports.timeline.static import picture
from reports.timeline.terms import literal
from tests.unit.reports.fault_records import fault_record
from tests.unit.reports.records import Record
from tests.unit.reports.storage_records import disk_record, hold
from tests.unit.reports.timeline import BEGIN, END, at, drain_begin, pause_of

STREAM = "udp/portal-a"
PERIOD = 0.001


def samples(path: Path, starts: Any, ends: Any, outcomes: Any) -> SampleFile:
    """A file with one stream."""
    count = len(starts)
    columns = {
        "stream": pa.array([STREAM] * count).dictionary_encode(), "intended_ns": pa.array(starts, pa.int64()),
        "start_ns": pa.array(starts, pa.int64()), "end_ns": pa.array(ends, pa.int64()),
        "outcome": pa.array(outcomes, pa.int8()), "key": pa.array(np.full(count, -1), pa.int64()),
    }
    pq.write_table(pa.table(columns), path, row_group_size=CHUNK_ROWS // 4)
    return SampleFile(path)


def seen(found: SampleFile, window: Span, buckets: int = 100) -> Reduced:
    baseline = Span(window.begin, window.begin + (window.end - window.begin) // 4)
    grid = Grid(window, buckets)
    return reduced(found, STREAM, grid, Grid(window, 50), baseline, PERIOD, late_counts=True)


def regular(count: int) -> tuple[Any, Any, Any]:
    """Probes every millisecond, answered within a tenth of one."""
    starts = BEGIN + np.arange(count, dtype=np.int64) * 1_000_000
    return starts, starts + 100_000, np.zeros(count, np.int8)


@pytest.mark.parametrize("count", [5_000, CHUNK_ROWS + 5_000])
def test_one_slow_answer_among_many_is_the_worst_of_its_bucket(tmp_path: Path, count: int) -> None:
    """A bucket shows its worst, however many good answers share it, and however the stream is cut when read."""
    starts, ends, outcomes = regular(count)
    ends[count // 2] += 700_000_000
    found = seen(samples(tmp_path / "s.parquet", starts, ends, outcomes), Span(BEGIN, int(starts[-1])))
    assert np.nanmax(found.worst) == pytest.approx(0.7001)
    assert np.nanmedian(found.worst) == pytest.approx(0.0001)
    assert found.answered.sum() >= count - 1


@pytest.mark.parametrize("middle", [2_500, CHUNK_ROWS // 2 - 20, CHUNK_ROWS - 20])
def test_a_short_gap_keeps_its_own_edges(tmp_path: Path, middle: int) -> None:
    """A gap of 40 ms is found to the nanosecond, in a bucket or across the pieces in which a stream is read."""
    starts, ends, outcomes = regular(CHUNK_ROWS + 10_000 if middle > 5_000 else 5_000)
    outcomes[middle : middle + 40] = Outcome.TIMEOUT
    found = seen(samples(tmp_path / "s.parquet", starts, ends, outcomes), Span(BEGIN, int(starts[-1])))
    assert found.gap_begins.tolist() == [int(ends[middle - 1])]
    assert found.gap_ends.tolist() == [int(ends[middle + 40])]
    assert (found.left_out, sum(int(told.split()[0]) for told in found.failures)) == (0, 40)


def test_an_answer_that_comes_late_makes_no_gap_of_its_own(tmp_path: Path) -> None:
    """One answer that is overtaken across two pieces leaves the answers around it as they were."""
    starts, ends, outcomes = regular(CHUNK_ROWS + 10_000)
    ends[CHUNK_ROWS - 5] += 500_000_000
    found = seen(samples(tmp_path / "s.parquet", starts, ends, outcomes), Span(BEGIN, int(starts[-1])))
    assert len(found.gap_begins) == 0


def test_gaps_as_long_as_those_of_the_baseline_are_normal(tmp_path: Path) -> None:
    """What the undisturbed stream did as well is no mark; what is longer is."""
    starts, ends, outcomes = regular(8_000)
    for first, length in ((1_000, 10), (4_000, 10), (6_000, 11)):
        outcomes[first : first + length] = Outcome.TIMEOUT
    found = seen(samples(tmp_path / "s.parquet", starts, ends, outcomes), Span(BEGIN, int(starts[-1])))
    assert found.normal == pytest.approx(0.011)
    assert found.gap_begins.tolist() == [int(ends[5_999])]


def rows(made: Timeline) -> dict[str, Row]:
    return {row.id: row for row in made.rows}


def made(record: Record, tmp_path: Path) -> Timeline:
    return timeline(Evidence.of(record.write(tmp_path / "run-1")))


def test_every_row_of_a_good_run_is_there(record: Record, tmp_path: Path) -> None:
    """Drains, nodes, migrations with the hypervisor's pause, members, streams with their gaps, rate, flow control."""
    whole = made(record, tmp_path)
    found = rows(whole)
    assert [bar.label for bar in found["done"].bars if bar.colour == "drain"] == [
        f"drain of node-{node}" for node in "abc"
    ]
    assert [bar.label for bar in found["nodes"].bars if bar.lane == 0] == ["node-a", "node-d"]
    pauses = [bar for bar in found["moves"].bars if bar.thin]
    assert [round((bar.end - bar.begin) / 1e6) for bar in pauses] == [145, 145, 145]
    assert {bar.colour for bar in found["members"].bars} == {"whole"}
    gaps = next(gaps for gaps in found["http-new"].gaps if gaps.name == "portal-b")
    begin, end = pause_of("portal-b")
    assert (len(gaps.begins), gaps.begins[0] <= at(begin), gaps.ends[0] >= at(end)) == (1, True, True)
    assert found["rate"].heat is not None
    assert found["rate"].heat.shares.shape[0] == len(found["rate"].lanes)
    assert len(found["flow"].lines) == 3
    assert [moment.begin for moment in whole.moments] == [at(drain_begin(number)) for number in range(3)]


def test_rows_without_data_say_why(record: Record, tmp_path: Path) -> None:
    """What was not scraped, not watched or not sampled is told and not drawn as if nothing had happened."""
    unasked = ("cluster_size", "flow_control_paused_ns")
    record.metrics = [query for query in record.metrics if query["name"] not in unasked]
    record.drop("watch", "vmim")
    record.drop("drain", "migrated")
    record.drop("hypervisor", "downtime")
    for stream in [name for name in record.samples if name.startswith("sql/")]:
        record.samples.pop(stream)
    missing = {row.id: row.missing for row in made(record, tmp_path).missing}
    assert "cluster_size" in missing["members"]
    assert "flow_control_paused_ns" in missing["flow"]
    assert missing["moves"] == "the record has no migration of these machines"
    assert missing["sql"] == "the record has no such stream"


def test_damaged_samples_leave_the_other_rows(record: Record, tmp_path: Path) -> None:
    """A file of samples that cannot be read is told in its row."""
    case = record.write(tmp_path / "run-1")
    (case / "samples.parquet").write_bytes(b"no samples")
    found = timeline(Evidence.of(case))
    assert {"done", "nodes", "moves", "members"} <= {row.id for row in found.drawn}
    assert any("samples.parquet" in row.missing for row in found.missing)


def test_a_lost_machine_is_shown_as_lost(tmp_path: Path) -> None:
    """The fault has its bar, failures are marked, and the rate of the machine's streams falls to nothing."""
    found = rows(made(fault_record(), tmp_path))
    assert any(bar.colour == "fault" for bar in found["done"].bars)
    assert sum(len(failures.times) for failures in found["http-new"].failures) > 0
    heat = found["rate"].heat
    assert heat is not None
    assert heat.shares.min() == 0


def test_a_disk_s_writes_are_shown(tmp_path: Path) -> None:
    """A case without a service has the writes of its guest: the slowest of each moment, and when none was told."""
    record = disk_record()
    hold(record, 9.5, 1.5)
    found = rows(made(record, tmp_path))
    assert {"done", "disks"} <= found.keys()
    assert not {"members", "rate"} & found.keys()
    disk = found["disks"]
    assert np.nanmax(disk.lines[0].values) == pytest.approx(1.5, abs=0.15)
    assert ((disk.gaps[0].ends - disk.gaps[0].begins) / 1e9).tolist() == [pytest.approx(1.5, abs=0.15)]


def test_the_figure_holds_the_numbers_and_no_markup(record: Record, tmp_path: Path) -> None:
    """Curves are typed arrays of the values themselves, and labels cannot be read as markup."""
    found = made(record, tmp_path)
    drawn = figure(found)
    curve = next(trace for trace in drawn["data"] if trace.get("mode") == "lines")
    values = np.frombuffer(base64.b64decode(curve["y"]["bdata"]), "<f4")
    line = rows(found)["http-new"].lines[0]
    assert values == pytest.approx(line.values.astype(np.float32), nan_ok=True)
    assert drawn["layout"]["xaxis"]["range"] == [1_767_225_600_000, 1_767_225_600_000 + END * 1000]
    assert json.loads(str(_json(drawn))) == json.loads(json.dumps(drawn))


@pytest.mark.parametrize("text", ["<b>x</b>", "a & b", "%{x}", "&lt;", "$x$", "\x1b[31m\u202e"])
def test_literal_strings_cannot_be_markup(text: str) -> None:
    """No character that plotly.js gives a meaning survives, and what it decodes is what was meant."""
    assert not set("<>%${}") & set(literal(text))
    assert "\x1b" not in literal(text)


def test_json_between_script_tags_cannot_end_them() -> None:
    """Neither a closing tag nor a comment can stand in it, and it reads the same."""
    told = str(_json({"a": "</script><!--&\u2028"}))
    assert not set("<>&\u2028") & set(told)
    assert json.loads(told) == {"a": "</script><!--&\u2028"}


def test_the_picture_is_the_same_for_the_same_record(record: Record, tmp_path: Path) -> None:
    """The static picture has every row, and no time of its making."""
    found = made(record, tmp_path)
    text = picture(found)
    assert text == picture(found)
    assert all(row.title in text for row in found.drawn)


@pytest.mark.parametrize("colours", [palette.LIGHT, palette.DARK], ids=["light", "dark"])
def test_contrast_is_enough(colours: dict[str, str]) -> None:
    """WCAG 2.2 AA: text 4.5 to 1, marks of a chart 3 to 1, in both schemes."""
    text = {pair: round(palette.contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in palette.TEXT_PAIRS}
    marks = {pair: round(palette.contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in palette.MARK_PAIRS}
    assert {pair: value for pair, value in text.items() if value < 4.5} == {}
    assert {pair: value for pair, value in marks.items() if value < 3} == {}


def test_contrast_is_computed_as_defined() -> None:
    """Black on white has 21, a colour on itself 1, and grey #767676 is the lightest that white text may stand on."""
    assert palette.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert palette.contrast("#123456", "#123456") == 1
    assert palette.contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


def test_every_colour_is_in_both_palettes() -> None:
    """What a mark is painted with exists in light and dark."""
    assert palette.LIGHT.keys() == palette.DARK.keys()
