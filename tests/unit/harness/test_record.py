"""The record: what was written is read back, and damage is named."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from drainproof.clock import Anchor
from drainproof.errors import RecordError
from drainproof.record import Case, CaseReader, Outcome, Run, RunInfo
from drainproof.record.case import read_json, write_json
from drainproof.record.spool import KEYED_ROW, header


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    """An empty case."""
    made = Case(tmp_path / "case")
    yield made
    made.close()


def _shard(case: Case, observer: str, rows: int = 10) -> Path:
    path = case.shard(observer)
    path.parent.mkdir(exist_ok=True)
    content = [(number + 1, number + 2, 1, number % 2, Outcome.OK, 0, number) for number in range(rows)]
    streams = [f"{observer}/0", f"{observer}/1"]
    path.write_bytes(header(streams, keyed=True) + np.array(content, KEYED_ROW).tobytes())
    return path


def test_samples_of_all_observers_come_back_by_stream(case: Case) -> None:
    """Shards merge into one file, in which each stream is found again, and are gone then."""
    shards = [_shard(case, "a"), _shard(case, "b")]
    case.merge_samples()
    samples = CaseReader(case.directory).samples()
    assert list(samples) == ["a/0", "a/1", "b/0", "b/1"]
    assert samples["a/1"].start_ns.tolist() == [2, 4, 6, 8, 10]
    assert samples["a/1"].intended_ns.tolist() == [1, 3, 5, 7, 9]
    assert samples["a/1"].key.tolist() == [1, 3, 5, 7, 9]
    assert not any(shard.exists() for shard in shards)


def test_a_killed_observer_keeps_what_it_had_written(case: Case) -> None:
    """A shard that ends in the middle of a row gives the rows before it, is told, and stays."""
    shard = _shard(case, "a")
    shard.write_bytes(shard.read_bytes()[:-5])
    case.merge_samples()
    reader = CaseReader(case.directory)
    assert reader.samples().count("a/0") + reader.samples().count("a/1") == 9
    assert shard.name in reader.events("record", "damaged-shard")[0].data["reason"]
    assert shard.exists()


def test_a_damaged_shard_is_told(case: Case) -> None:
    """Rubbish in a shard becomes an event, and the others are still merged."""
    _shard(case, "good")
    case.shard("bad").write_bytes(b"rubbish" * 100)
    case.merge_samples()
    reader = CaseReader(case.directory)
    assert list(reader.samples()) == ["good/0", "good/1"]
    assert case.shard("bad").name in reader.events("record", "damaged-shard")[0].data["reason"]


def test_a_case_without_samples_has_an_empty_file(case: Case) -> None:
    """Nothing observed is a file without streams, not a missing one."""
    case.merge_samples()
    assert dict(CaseReader(case.directory).samples()) == {}


def test_events_come_back_by_time_without_an_unfinished_line(case: Case) -> None:
    """Events of several writers are sorted; a line that a killed writer left unfinished is dropped."""
    case.events.add_at(20, "drain", "begin", "node-a", vms=["x"])
    case.events.add_at(10, "run", "phase", phase="baseline")
    with (case.directory / "events.jsonl").open("a") as file:
        file.write('{"t_ns": 30, "source": "dr')
    assert [event.t_ns for event in CaseReader(case.directory).events()] == [10, 20]


@pytest.mark.parametrize(
    "line",
    [
        "not json", "[]", '{"t_ns": 1e999, "source": "a", "kind": "b", "object": "", "data": {}}',
        '{"t_ns": 1, "source": "a", "kind": "b", "object": "", "data": []}', "[" * 100_000,
    ],
)
def test_a_broken_event_line_is_an_error(case: Case, line: str) -> None:
    """A finished line that is no event is named with its number."""
    (case.directory / "events.jsonl").write_text(line + "\n")
    with pytest.raises(RecordError, match="line 1 is not an event"):
        CaseReader(case.directory).events()


def test_events_that_are_no_text_are_an_error(case: Case) -> None:
    """Bytes that are not UTF-8 are told, not thrown."""
    (case.directory / "events.jsonl").write_bytes(b"\xff\xfe\n")
    with pytest.raises(RecordError, match="cannot be read"):
        CaseReader(case.directory).events()


def test_run_description_round_trips_and_refuses_other_formats(tmp_path: Path) -> None:
    """run.json is read back as it was written; another format is refused by number."""
    info = RunInfo("r1", "2026-01-01T00:00:00Z", Anchor(5, 7), "drainproof certify", 1, {}, {}, {}, notes=("n",))
    run = Run(tmp_path / "r1")
    run.describe(info)
    assert RunInfo.read(run.directory) == info
    path = run.directory / "run.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(RecordError, match="format 99"):
        RunInfo.read(run.directory)


def test_json_is_on_the_disk_before_its_name_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the directory is: whoever finds the new name after a power loss finds its content."""
    path, synced = tmp_path / "one.json", list[tuple[str, bool]]()
    fsync = os.fsync

    def told(number: int) -> None:
        synced.append((Path(f"/proc/self/fd/{number}").readlink().name, path.exists()))
        fsync(number)

    monkeypatch.setattr(os, "fsync", told)
    write_json(path, {"a": 1})
    assert synced == [("one.json.tmp", False), (tmp_path.name, True)]
    assert read_json(path) == {"a": 1}


def test_anchor_converts_both_ways() -> None:
    """Monotonic and wall times convert into each other."""
    anchor = Anchor(monotonic_ns=1_000_000_000, wall_ns=1_700_000_000_000_000_000)
    assert anchor.wall_seconds(2_500_000_000) == pytest.approx(1_700_000_001.5)
    assert anchor.monotonic(1_700_000_001.5) == 2_500_000_000
