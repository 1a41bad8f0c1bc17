"""Samples from the writer's memory to its shard: nothing is lost in order, whatever is lost otherwise is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drainproof.errors import RecordError
from drainproof.record import Outcome
from drainproof.record.shards import ShardWriter, read_shard
from drainproof.record.spool import (
    HEADER_BYTES,
    KEYED_ROW,
    LATE_MOST,
    NO_KEY,
    PENDING,
    PLAIN_ROW,
    Spool,
    header,
    read_header,
)

PROJECT = Path(__file__).resolve().parents[3]
STREAMS = ("udp/a", "udp/b")
LIMIT, SETTLE = 100, 300


@pytest.fixture
def spool() -> Iterator[Spool]:
    spool = Spool.create(STREAMS, capacity=8)
    yield spool
    spool.close()


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    return tmp_path / "shards" / "stopwatch.spool"


def fill(spool: Spool, numbers: range) -> None:
    for number in numbers:
        spool.append(number % 2, 10 * number + 1, 10 * number + 2, 10 * number + 3, Outcome.OK)


def stored(shard: Path) -> list[tuple[int, ...]]:
    """Start, end, outcome of every row of a shard without fault."""
    streams, rows, trouble = read_shard(shard)
    assert (streams, trouble) == (STREAMS, "")
    return list(zip(*(rows[name].tolist() for name in ("start", "end", "outcome")), strict=True))


class TestSpool:
    """The ring in memory."""

    def test_a_row_is_what_was_told(self) -> None:
        assert (PLAIN_ROW.itemsize, KEYED_ROW.itemsize) == (24, 32)
        spool = Spool.create(STREAMS, keyed=True, capacity=2)
        spool.append(1, 5, 8, 13, Outcome.ERROR, key=-(10**12))
        spool.append(0, 0, 2**33, 2**62, Outcome.LATE)
        first, second = spool.rows(0, 2).tolist()
        assert first == (8, 13, 3, 1, Outcome.ERROR, 0, -(10**12))
        assert second == (2**33, 2**62, LATE_MOST, 0, Outcome.LATE, 0, NO_KEY)
        spool.close()

    def test_an_operation_ends_once(self, spool: Spool) -> None:
        slot = spool.begin(0, 1, 2)
        assert spool.rows(0, 1)[0].tolist() == (2, 0, 1, 0, PENDING, 0)
        assert spool.finish(slot, 9, Outcome.OK)
        assert not spool.finish(slot, 10, Outcome.ERROR)
        assert spool.rows(0, 1)[0].tolist() == (2, 9, 1, 0, Outcome.OK, 0)

    def test_an_operation_whose_row_was_overwritten_cannot_end(self, spool: Spool) -> None:
        slot = spool.begin(0, 1, 2)
        for number in range(8):
            spool.begin(0, number, number)
        assert not spool.finish(slot, 9, Outcome.OK)
        assert not spool.finish(9, 9, Outcome.OK), "was never begun"
        assert (spool.rows(1, 9)["outcome"] == PENDING).all()

    def test_rows_that_were_overwritten_are_not_handed_out(self, spool: Spool) -> None:
        fill(spool, range(9))
        assert len(spool.rows(1, 9)) == 8
        with pytest.raises(RecordError, match="not taken from a spool of 8 in time"):
            spool.rows(0, 9)
        with pytest.raises(RecordError, match="overwritten"):
            spool.rows(0, 1)

    @pytest.mark.parametrize("keyed", [False, True])
    def test_another_mapping_sees_streams_and_rows_and_writes_on(self, keyed: bool) -> None:
        spool = Spool.create(STREAMS, keyed=keyed, capacity=8)
        fill(spool, range(3))
        other = Spool.open(os.dup(spool.fd))
        assert (other.streams, other.keyed, other.capacity, other.written) == (STREAMS, keyed, 8, 3)
        fill(other, range(3, 5))
        assert spool.written == 5
        assert spool.rows(0, 5)["start"].tolist() == [2, 12, 22, 32, 42]
        other.close()
        spool.close()

    def test_what_is_no_spool_is_refused(self) -> None:
        with pytest.raises(RecordError, match="does not begin with the header"):
            read_header(b"PAR1" * 1024)
        with pytest.raises(RecordError, match="version 2 is not known"):
            read_header(header(STREAMS, keyed=False).replace(b'"version": 1', b'"version": 2'))
        with pytest.raises(RecordError, match="500 streams are too many"):
            header([f"udp/machine-{number}" for number in range(500)], keyed=False)
        with pytest.raises(ValueError, match="a power of two, not 6"):
            Spool.create(STREAMS, capacity=6)


class TestShard:
    """The way to disk and back."""

    def test_the_whole_of_many_laps_arrives_in_order(self, spool: Spool, shard: Path) -> None:
        writer = ShardWriter(shard, spool, LIMIT, SETTLE)
        for first in range(0, 100, 5):
            fill(spool, range(first, first + 5))
            assert writer.drain(0) == first + 5
        assert writer.close(0) == 100
        assert stored(shard) == [(10 * number + 2, 10 * number + 3, Outcome.OK) for number in range(100)]

    def test_keys_arrive(self, shard: Path) -> None:
        spool = Spool.create(STREAMS, keyed=True, capacity=2)
        writer = ShardWriter(shard, spool, LIMIT, SETTLE)
        spool.append(1, 1, 2, 3, Outcome.OK, key=7)
        writer.close(9)
        streams, rows, trouble = read_shard(shard)
        assert (streams, rows["key"].tolist(), trouble) == (STREAMS, [7], "")
        spool.close()

    def test_an_unfinished_row_holds_back_those_after_it_until_it_ends(self, spool: Spool, shard: Path) -> None:
        writer = ShardWriter(shard, spool, LIMIT, SETTLE)
        spool.append(0, 1, 1, 2, Outcome.OK)
        slot = spool.begin(0, 3, 3)
        spool.append(0, 4, 4, 5, Outcome.OK)
        assert writer.drain(2 + SETTLE) == 1
        assert stored(shard) == [(1, 2, Outcome.OK)]
        spool.finish(slot, 3 + LIMIT + 7, Outcome.LATE)
        assert writer.drain(2 + SETTLE) == 3
        assert stored(shard)[1:] == [(3, 3 + LIMIT + 7, Outcome.LATE), (4, 5, Outcome.OK)]
        writer.close(0)

    def test_an_unfinished_row_is_a_timeout_once_it_is_settled(self, spool: Spool, shard: Path) -> None:
        writer = ShardWriter(shard, spool, LIMIT, SETTLE)
        slot = spool.begin(0, 3, 3)
        spool.append(0, 4, 4, 5, Outcome.OK)
        assert writer.drain(3 + SETTLE) == 2
        spool.finish(slot, 4 + SETTLE, Outcome.LATE)
        writer.close(4 + SETTLE)
        assert stored(shard) == [(3, 3 + LIMIT, Outcome.TIMEOUT), (4, 5, Outcome.OK)]

    def test_at_the_close_only_rows_within_their_limit_are_left_out_and_counted(
        self, spool: Spool, shard: Path
    ) -> None:
        writer = ShardWriter(shard, spool, LIMIT, SETTLE)
        for start in (1, 50, 51):
            spool.begin(0, start, start)
        spool.append(1, 52, 52, 53, Outcome.OK)
        assert writer.drain(50 + LIMIT) == 0
        assert writer.close(50 + LIMIT) == 3
        assert (writer.written, writer.left_out) == (3, 1)
        assert stored(shard) == [
            (1, 1 + LIMIT, Outcome.TIMEOUT), (50, 50 + LIMIT, Outcome.TIMEOUT), (52, 53, Outcome.OK),
        ]

    def test_a_row_that_was_copied_half_finished_is_looked_at_again(self, spool: Spool, shard: Path) -> None:
        writer = ShardWriter(shard, spool, LIMIT, SETTLE)
        spool.append(0, 1, 1, 0, Outcome.OK)
        assert writer.drain(2) == 0
        writer.close(2)
        assert writer.left_out == 1

    def test_samples_that_were_overwritten_are_an_error_and_those_before_are_kept(
        self, spool: Spool, shard: Path
    ) -> None:
        writer = ShardWriter(shard, spool, LIMIT, SETTLE)
        fill(spool, range(3))
        writer.drain(0)
        fill(spool, range(12))
        with pytest.raises(RecordError, match="12 samples were not taken"):
            writer.drain(0)
        with pytest.raises(RecordError, match="12 samples were not taken"):
            writer.close(0)
        assert len(stored(shard)) == writer.written == 3

    def test_an_earlier_shard_is_never_overwritten(self, spool: Spool, shard: Path) -> None:
        ShardWriter(shard, spool, LIMIT, SETTLE).close(0)
        with pytest.raises(FileExistsError):
            ShardWriter(shard, spool, LIMIT, SETTLE)

    def test_without_a_sample_there_are_the_streams(self, spool: Spool, shard: Path) -> None:
        ShardWriter(shard, spool, LIMIT, SETTLE).close(0)
        assert stored(shard) == []

    @pytest.mark.parametrize("content", [b"", header(STREAMS, keyed=False)[:100], b"ARROW1" * 2000])
    def test_what_is_no_shard_is_said(self, content: bytes, tmp_path: Path) -> None:
        shard = tmp_path / "a.spool"
        shard.write_bytes(content)
        streams, rows, trouble = read_shard(shard)
        assert (streams, len(rows)) == ((), 0)
        assert trouble.startswith("cannot be read: ")

    def test_a_missing_shard_is_said(self, tmp_path: Path) -> None:
        assert "No such file" in read_shard(tmp_path / "a.spool")[2]


@given(count=st.integers(0, 10), data=st.data())
def test_a_shard_that_was_cut_off_keeps_its_whole_rows(
    count: int, data: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shard = tmp_path_factory.mktemp("cut") / "a.spool"
    rows = np.zeros(count, PLAIN_ROW)
    rows["start"] = np.arange(count)
    content = header(STREAMS, keyed=False) + rows.tobytes()
    kept = data.draw(st.integers(HEADER_BYTES, len(content)))
    shard.write_bytes(content[:kept])
    whole, rest = divmod(kept - HEADER_BYTES, PLAIN_ROW.itemsize)
    streams, found, trouble = read_shard(shard)
    assert (streams, found["start"].tolist()) == (STREAMS, list(range(whole)))
    assert trouble == (f"breaks off in the middle of a row after {whole} samples" if rest else "")


WRITING = """
import sys
from drainproof.record.spool import Spool
spool = Spool.open(int(sys.argv[1]))
for number in range(1, 10**9):
    spool.finish(spool.begin(0, number, number), number + 1, 0)
"""
TAKING = """
import sys
from pathlib import Path
from drainproof.record.shards import ShardWriter
from drainproof.record.spool import Spool
spool = Spool.create(["udp/a", "udp/b"], capacity=1024)
writer = ShardWriter(Path(sys.argv[1]), spool, 1, 1)
for number in range(1, 10**9):
    spool.append(0, number, number, number + 1, 0)
    if number % 7 == 0:
        writer.drain(number)
    if number == 1000:
        print("going", flush=True)
"""


def test_what_a_killed_process_wrote_into_its_spool_is_there() -> None:
    spool = Spool.create(STREAMS, capacity=1 << 16)
    child = subprocess.Popen([sys.executable, "-c", WRITING, str(spool.fd)], cwd=PROJECT, pass_fds=[spool.fd])
    while spool.written < 1000:
        assert child.poll() is None
    child.send_signal(signal.SIGKILL)
    child.wait()
    last = spool.written
    first = max(0, last - spool.capacity + 1)
    rows = spool.rows(first, last)
    assert rows["start"].tolist() == list(range(first + 1, last + 1))
    assert (rows["end"][:-1] == rows["start"][:-1] + 1).all()
    assert int(rows["outcome"][-1]) in (PENDING, Outcome.OK)
    spool.close()


def test_the_count_is_never_seen_half_written() -> None:
    """Whoever reads beside the writer sees it grow: a count that falls would make samples vanish, or come twice."""
    spool = Spool.create(STREAMS, capacity=1 << 10)
    child = subprocess.Popen([sys.executable, "-c", WRITING, str(spool.fd)], cwd=PROJECT, pass_fds=[spool.fd])
    seen, fallen = 0, 0
    try:
        while seen < 200_000:
            now = spool.written
            fallen += now < seen
            seen = max(seen, now)
    finally:
        child.kill()
        child.wait()
    assert fallen == 0
    spool.close()


def test_a_shard_whose_writer_was_killed_holds_what_was_drained(shard: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", TAKING, str(shard)], cwd=PROJECT, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"going\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    streams, rows, trouble = read_shard(shard)
    assert streams == STREAMS
    assert len(rows) >= 994
    assert rows["start"].tolist() == list(range(1, len(rows) + 1))
    assert trouble in ("", f"breaks off in the middle of a row after {len(rows)} samples")
