"""A history survives its writer, is the same however it was spread, and is refused when it cannot be true."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from drainproof.errors import RecordError
from drainproof.record import Act, History, HistoryWriter, Operation, Outcome, Step
from drainproof.record.history import SYNC, read_history, table_of
from drainproof.record.history_shards import merge_history
from tests.unit.consistency.world import World

HISTORY = "history.parquet"
KILLED = """
import os, signal, sys
from pathlib import Path
from drainproof.record import HistoryWriter
from tests.unit.consistency.test_history import operations
writer = HistoryWriter(Path(sys.argv[1]))
for one in operations()[:30]:
    writer.add(one)
writer.flush()
for one in operations()[30:40]:
    writer.add(one)
os.kill(os.getpid(), signal.SIGKILL)
"""


def operations() -> list[Operation]:
    return World(random.Random(7)).history("append", 60)


def write(path: Path, kept: list[Operation]) -> Path:
    with HistoryWriter(path) as writer:
        for one in kept:
            writer.add(one)
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Every field of every operation and step, in the order of their starts."""
    shard = write(tmp_path / "history-1.arrow", operations())
    assert merge_history([shard], tmp_path / HISTORY) == []
    assert not shard.exists()
    history = read_history(tmp_path / HISTORY)
    for row, one in enumerate(sorted(operations(), key=lambda one: (one.start_ns, one.op))):
        steps = history.steps
        assert one == Operation(
            workload=history.workloads[history.workload[row]], session=int(history.session[row]),
            member=history.members[history.member[row]], op=int(history.op[row]),
            start_ns=int(history.start_ns[row]), end_ns=int(history.end_ns[row]),
            outcome=Outcome(history.outcome[row]), level=SYNC if history.sync[row] else "plain",
            final=bool(history.final[row]),
            acts=tuple(
                Step(Act(steps.act[step]), int(steps.key[step]), int(steps.value[step]),
                     tuple(steps.seen_by(step).tolist()))
                for step in range(len(steps)) if steps.row[step] == row
            ),
        )


def test_how_operations_were_spread_over_shards_does_not_matter(tmp_path: Path) -> None:
    """The same operations give the same bytes."""
    kept = operations()
    for name, parts in {"one": [kept], "two": [kept[40:], kept[:40]]}.items():
        (tmp_path / name).mkdir()
        shards = [write(tmp_path / name / f"history-{n}.arrow", part) for n, part in enumerate(parts)]
        merge_history(shards, tmp_path / name / HISTORY)
    assert (tmp_path / "one" / HISTORY).read_bytes() == (tmp_path / "two" / HISTORY).read_bytes()


def test_a_killed_writer_leaves_what_it_had_flushed(tmp_path: Path) -> None:
    """What it had not is missing, and that is told."""
    shard = tmp_path / "history-1.arrow"
    done = subprocess.run([sys.executable, "-c", KILLED, str(shard)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert merge_history([shard], tmp_path / HISTORY) == [
        "history-1.arrow: breaks off after 30 operations: its writer was killed"
    ]
    assert len(read_history(tmp_path / HISTORY)) == 30
    assert shard.exists()


@pytest.mark.parametrize("lost", [1, 9, 100, 1000])
def test_a_shard_that_breaks_off_within_a_batch_keeps_those_before(tmp_path: Path, lost: int) -> None:
    """Wherever it breaks off."""
    shard = tmp_path / "history-1.arrow"
    with HistoryWriter(shard) as writer:
        for one in operations():
            writer.add(one)
            writer.flush()
    shard.write_bytes(shard.read_bytes()[:-lost])
    (trouble,) = merge_history([shard], tmp_path / HISTORY)
    kept = len(read_history(tmp_path / HISTORY))
    assert trouble == f"history-1.arrow: breaks off after {kept} operations: its writer was killed"
    assert len(operations()) - 2 <= kept <= len(operations())


def test_only_one_workload_and_its_steps_are_selected() -> None:
    """Steps keep to their operations."""
    bank = [replace(one, op=one.op + 1000) for one in World(random.Random(8)).history("bank", 30)]
    every = History.of([*operations(), *bank])
    for workload, alone in (("append", History.of(operations())), ("bank", History.of(bank))):
        chosen = every.only(workload)
        assert chosen.op.tolist() == alone.op.tolist()
        for name in ("row", "act", "key", "value", "begins", "seen"):
            assert getattr(chosen.steps, name).tolist() == getattr(alone.steps, name).tolist()
    assert len(every.only("none")) == 0


def _one(**facts: object) -> list[Operation]:
    return [replace(operations()[0], **facts)]  # type: ignore[arg-type]


@pytest.mark.parametrize(("spoiled", "reason"), [
    (_one(start_ns=5, end_ns=4), "end_ns lies before start_ns"),
    (_one(start_ns=-1), "no host's clock"),
    (_one(outcome=9), "its outcome is none that is known"),
    (_one(level="strong"), "at none of the levels"),
    (_one(acts=(Step(42),)), "has a step that is none that is known"),  # type: ignore[arg-type]
    ([*_one(), *_one()], "is recorded twice"),
    (_one(member=None), "rows without a value"),
])
def test_what_cannot_be_true_is_an_error(tmp_path: Path, spoiled: list[Operation], reason: str) -> None:
    """It is never a number that somebody goes on with."""
    pq.write_table(table_of(spoiled), tmp_path / HISTORY)
    with pytest.raises(RecordError, match=reason):
        read_history(tmp_path / HISTORY)


def test_a_file_that_is_no_history_is_an_error(tmp_path: Path) -> None:
    """Missing, torn, or with other columns; and a history is merged only once."""
    with pytest.raises(RecordError, match="is missing"):
        read_history(tmp_path / HISTORY)
    merge_history([], tmp_path / HISTORY)
    assert len(read_history(tmp_path / HISTORY)) == 0
    with pytest.raises(RecordError, match="exists already"):
        merge_history([], tmp_path / HISTORY)
    (tmp_path / HISTORY).write_bytes((tmp_path / HISTORY).read_bytes()[:-9])
    with pytest.raises(RecordError, match="cannot be read"):
        read_history(tmp_path / HISTORY)
    pq.write_table(pa.table({"op": [1]}), tmp_path / HISTORY)
    with pytest.raises(RecordError, match="not those of a history"):
        read_history(tmp_path / HISTORY)
