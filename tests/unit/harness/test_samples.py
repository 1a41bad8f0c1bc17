"""The file of samples: the same rows give the same bytes, and what cannot be true is an error, never a number."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drainproof.errors import RecordError
from drainproof.record import merging, samples
from drainproof.record.merging import merge_shards
from drainproof.record.samples import read_samples
from drainproof.record.spool import KEYED_ROW, NO_KEY, PLAIN_ROW, Rows, header

STREAMS = ("udp/a", "sql/a", "udp/a@node-b")
Row = tuple[str, int, int, int, int, int]
"""Stream, start, took, late, outcome, key."""

rows_of_streams = st.lists(
    st.tuples(
        st.sampled_from(STREAMS), st.integers(10, 14), st.integers(0, 3), st.integers(0, 3), st.integers(0, 4),
        st.integers(-1, 2),
    ),
    max_size=60,
)
Columns = dict[str, Any]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks, batches and row groups of a few rows, so that a few rows go over every border."""
    monkeypatch.setattr(merging, "BLOCK_ROWS", 3)
    monkeypatch.setattr(merging, "BATCH_ROWS", 7)
    monkeypatch.setattr(merging, "ROWS_PER_GROUP", 4)
    monkeypatch.setattr(samples, "ROWS_PER_GROUP", 4)


def _shard(path: Path, rows: Sequence[Row], streams: Sequence[str] = STREAMS) -> Path:
    content = [(start, start + took, late, streams.index(name), outcome, 0, key)
               for name, start, took, late, outcome, key in rows]
    path.write_bytes(header(streams, keyed=True) + np.array(content, KEYED_ROW).tobytes())
    return path


def _merged(directory: Path, shards: Sequence[Sequence[Row]], streams: Sequence[str] = STREAMS) -> bytes:
    target = directory / "samples.parquet"
    target.unlink(missing_ok=True)
    paths = [_shard(directory / f"{number}.spool", rows, streams) for number, rows in enumerate(shards)]
    assert merge_shards(paths, target) == []
    return target.read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(rows=rows_of_streams, shards=st.integers(1, 5), chance=st.randoms(use_true_random=False))
def test_the_rows_alone_decide_the_file(
    small: None, tmp_path: Path, rows: list[Row], shards: int, chance: random.Random
) -> None:
    """However rows are spread over shards, in whatever order and under whichever numbers: the same bytes, all rows."""
    parts: list[list[Row]] = [[] for _ in range(shards)]
    for row in chance.sample(rows, len(rows)):
        chance.choice(parts).append(row)
    whole = _merged(tmp_path, [rows])
    assert _merged(tmp_path, parts, chance.sample(STREAMS, len(STREAMS))) == whole
    found = read_samples(tmp_path / "samples.parquet")
    assert list(found) == sorted({row[0] for row in rows})
    back = [(name, *row) for name, one in found.items() for row in zip(
        one.start_ns.tolist(), (one.end_ns - one.start_ns).tolist(), (one.start_ns - one.intended_ns).tolist(),
        one.outcome.tolist(), one.key.tolist(), strict=True,
    )]
    assert sorted(back) == sorted(rows)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(rows=rows_of_streams, size=st.integers(1, 9))
def test_pieces_of_a_stream_are_the_stream(small: None, tmp_path: Path, rows: list[Row], size: int) -> None:
    """Pieces are no longer than asked for, and together they are the stream, also when it is read again."""
    _merged(tmp_path, [rows])
    found = read_samples(tmp_path / "samples.parquet")
    for name in [*found, *found]:
        pieces = list(found.chunks(name, ("end_ns", "key"), rows=size))
        assert all(0 < len(piece["end_ns"]) == len(piece["key"]) <= size for piece in pieces)
        assert np.concatenate([piece["end_ns"] for piece in pieces]).tolist() == found[name].end_ns.tolist()
        assert sum(len(piece["key"]) for piece in pieces) == found.count(name) == len(found[name])


def test_rows_without_keys_have_none(tmp_path: Path) -> None:
    """A shard without keys leaves them empty in the file; readers see that there is none."""
    plain = np.array([(5, 6, 2, 0, 0, 0)], PLAIN_ROW)
    shard = tmp_path / "a.spool"
    shard.write_bytes(header(["udp/a"], keyed=False) + plain.tobytes())
    merge_shards([shard], tmp_path / "samples.parquet")
    assert pq.read_table(tmp_path / "samples.parquet")["key"].null_count == 1
    assert read_samples(tmp_path / "samples.parquet")["udp/a"].key.tolist() == [NO_KEY]


def test_a_row_of_a_stream_that_nobody_named_is_told(tmp_path: Path) -> None:
    """Such rows are counted in a sentence, the others are merged, and the shard stays."""
    shard = _shard(tmp_path / "a.spool", [("udp/a", 1, 1, 1, 0, 0)])
    stray = np.array([(1, 2, 0, 9, 0, 0, 0)], KEYED_ROW)
    shard.write_bytes(shard.read_bytes() + stray.tobytes())
    troubles = merge_shards([shard], tmp_path / "samples.parquet")
    assert troubles == ["a.spool: 1 samples are of no stream that it names"]
    assert read_samples(tmp_path / "samples.parquet").count("udp/a") == 1
    assert shard.exists()


def test_samples_are_merged_once(tmp_path: Path) -> None:
    """A file that is there is never replaced by the shards that came later, and these stay."""
    first = _merged(tmp_path, [[("udp/a", 1, 1, 1, 0, 0)]])
    later = _shard(tmp_path / "later.spool", [("udp/a", 9, 1, 1, 0, 0)])
    with pytest.raises(RecordError, match="merged once"):
        merge_shards([later], tmp_path / "samples.parquet")
    assert (tmp_path / "samples.parquet").read_bytes() == first
    assert later.exists()


def test_what_cannot_be_written_leaves_the_shards(tmp_path: Path) -> None:
    """A merge that fails takes nothing away."""
    shard = _shard(tmp_path / "a.spool", [("udp/a", 1, 1, 1, 0, 0)])
    with pytest.raises(RecordError, match="cannot be written"):
        merge_shards([shard], tmp_path / "nowhere" / "samples.parquet")
    assert shard.exists()


def test_a_stream_read_twice_is_the_same_object_and_cannot_be_changed(tmp_path: Path) -> None:
    """A short stream is kept; whoever gets it cannot spoil it for the next."""
    _merged(tmp_path, [[("udp/a", 1, 1, 1, 0, 0)]])
    found = read_samples(tmp_path / "samples.parquet")
    assert found["udp/a"] is found["udp/a"]
    with pytest.raises(ValueError, match="read-only"):
        found["udp/a"].end_ns[0] = 7


def test_a_stream_that_is_not_there_is_missing(tmp_path: Path) -> None:
    """As in any mapping, and without reading anything."""
    _merged(tmp_path, [[("udp/a", 1, 1, 1, 0, 0)]])
    found = read_samples(tmp_path / "samples.parquet")
    assert ("udp/a" in found, "udp/b" in found, found.get("udp/b")) == (True, False, None)
    with pytest.raises(KeyError):
        next(found.chunks("udp/b"))


def _columns(count: int = 10) -> Columns:
    start = np.arange(count, dtype=np.int64) * 1000 + 1000
    return {
        "stream": pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), ["udp/a"]), "intended_ns": start - 10,
        "start_ns": start, "end_ns": start + 100, "outcome": np.zeros(count, np.int8),
        "key": pa.nulls(count, pa.int64()),
    }


def _store(path: Path, columns: Columns, group: int = 4) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=group)
    return path


def _put(name: str, row: int, value: int) -> Callable[[Columns], None]:
    def put(columns: Columns) -> None:
        columns[name][row] = value

    return put


def _blank(columns: Columns) -> None:
    columns["end_ns"] = pa.array(columns["end_ns"], mask=np.arange(10) == 7)


UNTRUE = [
    (_put("start_ns", 8, 7_500), "row 8: start_ns lies before that of the row before it"),
    (_put("end_ns", 7, 7_999), "row 7: end_ns lies before start_ns"),
    (_put("intended_ns", 9, 10_001), "row 9: intended_ns lies after start_ns"),
    (_put("outcome", 6, 5), "row 6: its outcome is none that is known"),
    (_put("outcome", 6, -1), "row 6: its outcome is none that is known"),
    (_put("start_ns", 0, -5), "row 0: its clock stood at an instant that no host's clock can have"),
    (_put("end_ns", 3, 2**62), "row 3: its clock stood at an instant that no host's clock can have"),
    (_blank, "end_ns has rows without a value"),
]


@pytest.mark.parametrize(("spoil", "what"), UNTRUE)
@pytest.mark.parametrize("rows", [2, 4, 1 << 22])
def test_what_cannot_be_true_is_an_error(
    tmp_path: Path, spoil: Callable[[Columns], None], what: str, rows: int
) -> None:
    """Whole or in pieces, wherever these end: the file, the stream and the row are named, whatever columns are read."""
    columns = _columns()
    spoil(columns)
    found = read_samples(_store(tmp_path / "samples.parquet", columns))
    for read in (lambda: found["udp/a"], lambda: list(found.chunks("udp/a", ("key",), rows))):
        with pytest.raises(RecordError, match=rf"samples\.parquet: stream udp/a: .*{what}"):
            read()


def test_a_start_before_the_last_of_the_piece_before_is_an_error(tmp_path: Path) -> None:
    """Sorted pieces that are not in order are seen at their border."""
    columns = _columns(8)
    for name in ("intended_ns", "start_ns", "end_ns"):
        columns[name] = np.roll(columns[name], 4)
    found = read_samples(_store(tmp_path / "samples.parquet", columns))
    with pytest.raises(RecordError, match="row 4: start_ns lies before"):
        list(found.chunks("udp/a", rows=4))


def _retype(columns: Columns) -> None:
    columns["end_ns"] = columns["end_ns"].astype(np.float64)


def _mix(columns: Columns) -> None:
    columns["stream"] = pa.DictionaryArray.from_arrays(np.arange(10, dtype=np.int32) % 2, ["udp/a", "udp/b"])


def _forget(columns: Columns) -> None:
    columns["stream"] = pa.DictionaryArray.from_arrays(pa.array([None, *[0] * 9], pa.int32()), ["udp/a"])


SHAPES: list[tuple[Callable[[Columns], object], str]] = [
    (lambda columns: columns.pop("outcome"), "lacks the columns outcome"),
    (lambda columns: columns.update(more=columns["end_ns"]), "has the columns .*more"),
    (_retype, "column end_ns is of type double, not int64"),
    (_mix, "row group 0 does not hold the samples of one stream"),
    (_forget, "row group 0 does not hold the samples of one stream"),
]


@pytest.mark.parametrize(("spoil", "what"), SHAPES)
def test_another_shape_of_file_is_an_error(tmp_path: Path, spoil: Callable[[Columns], object], what: str) -> None:
    """Other columns, other types and mixed row groups are refused before anything is read."""
    columns = _columns()
    spoil(columns)
    with pytest.raises(RecordError, match=rf"samples\.parquet: {what}"):
        read_samples(_store(tmp_path / "samples.parquet", columns))


def test_row_groups_too_long_to_read_in_pieces_are_an_error(tmp_path: Path, small: None) -> None:
    """Memory is bounded by the file's row groups."""
    with pytest.raises(RecordError, match="longer than 4 rows"):
        read_samples(_store(tmp_path / "samples.parquet", _columns(), group=5))


@pytest.mark.parametrize("left", [0, 3, 100, -20, -1])
def test_a_truncated_file_is_an_error(tmp_path: Path, left: int) -> None:
    """Part of a Parquet file is never read as fewer samples."""
    path = tmp_path / "samples.parquet"
    path.write_bytes(_merged(tmp_path, [[("udp/a", 1, 1, 1, 0, 0)]])[:left])
    with pytest.raises(RecordError, match=r"samples\.parquet: not a readable sample file"):
        read_samples(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """It is called missing, without the words of an operating system."""
    with pytest.raises(RecordError, match=r"samples\.parquet: is missing$"):
        read_samples(tmp_path / "samples.parquet")


def _everything(path: Path) -> dict[str, list[npt.NDArray[Any]]]:
    return {name: [one.start_ns, one.end_ns, one.intended_ns, one.outcome, one.key]
            for name, one in read_samples(path).items()}


def test_a_flipped_bit_never_breaks_the_reader(tmp_path: Path) -> None:
    """Wherever a bit is flipped, the file is refused in a sentence or its samples are what they were."""
    chance = np.random.default_rng(3)
    path = tmp_path / "samples.parquet"
    rows: Rows = np.zeros(500, KEYED_ROW)
    rows["start"] = np.cumsum(chance.integers(0, 2000, 500)) + 10_000
    rows["end"] = rows["start"] + chance.integers(0, 900, 500)
    shard = tmp_path / "a.spool"
    shard.write_bytes(header(["udp/a"], keyed=True) + rows.tobytes())
    merge_shards([shard], path)
    good, expected = path.read_bytes(), _everything(path)
    refused = 0
    for place in chance.integers(0, len(good), 300).tolist():
        path.write_bytes(good[:place] + bytes([good[place] ^ 1 << place % 8]) + good[place + 1 :])
        try:
            found = _everything(path)
        except RecordError:
            refused += 1
            continue
        assert list(found) == ["udp/a"]
        assert all(map(np.array_equal, found["udp/a"], expected["udp/a"]))
    assert refused > 200
