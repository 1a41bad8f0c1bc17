"""What another host wrote is put on this clock: every instant, nothing else, and damage stays what it was."""

from __future__ import annotations

import ast
from pathlib import Path

from drainproof.record import EventLog, HistoryWriter, Operation, Outcome, read_samples
from drainproof.record.history import read_history
from drainproof.record.history_shards import merge_history
from drainproof.record.merging import merge_shards
from drainproof.record.shards import ShardWriter
from drainproof.record.shifting import INSTANTS, shift_history, shift_shard, shifted_events
from drainproof.record.spool import Spool

BY_NS = -5_000_000_000
LOAD = Path(__file__).resolve().parents[3] / "load"
LENGTHS = {"late_ns", "flow_control_paused_ns", "offset_ns", "uncertainty_ns"}
"""What observers' events tell in nanoseconds that is no instant."""


def shard(path: Path, *, keyed: bool) -> None:
    spool = Spool.create(["a/x", "b/y"], keyed=keyed, capacity=8)
    writer = ShardWriter(path, spool, 10, 10)
    for number in range(4):
        start = 10**10 + number
        spool.append(number % 2, start - 3, start, start + 100, int(Outcome.OK), 77 + number)
    writer.close(10**11)
    spool.close()


def test_starts_and_ends_of_samples_move_and_keys_stay(tmp_path: Path) -> None:
    path = tmp_path / "probe.spool"
    shard(path, keyed=True)
    shift_shard(path, BY_NS)
    assert merge_shards([path], tmp_path / "samples.parquet") == []
    samples = read_samples(tmp_path / "samples.parquet")["a/x"]
    assert samples.start_ns.tolist() == [10**10 + BY_NS, 10**10 + 2 + BY_NS]
    assert (samples.end_ns - samples.start_ns).tolist() == [100, 100]
    assert (samples.start_ns - samples.intended_ns).tolist() == [3, 3]
    assert samples.key.tolist() == [77, 79]


def test_a_shard_that_breaks_off_is_moved_as_far_as_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "probe.spool"
    shard(path, keyed=False)
    path.write_bytes(path.read_bytes()[:-5])
    shift_shard(path, BY_NS)
    (trouble,) = merge_shards([path], tmp_path / "samples.parquet")
    assert "breaks off" in trouble
    found = read_samples(tmp_path / "samples.parquet")
    assert {name: found[name].start_ns.min() // 10**9 for name in found} == {"a/x": 5, "b/y": 5}
    (tmp_path / "no.spool").write_bytes(b"nonsense")
    shift_shard(tmp_path / "no.spool", BY_NS)
    assert (tmp_path / "no.spool").read_bytes() == b"nonsense"


def operation(number: int) -> Operation:
    start = 10**10 + number
    return Operation(
        workload="append", session=1, member="m", op=number, start_ns=start, end_ns=start + 50, outcome=Outcome.OK,
        acts=(),
    )


def test_a_history_moves_and_one_that_breaks_off_still_does(tmp_path: Path) -> None:
    whole, broken = tmp_path / "history-a.arrow", tmp_path / "history-b.arrow"
    with HistoryWriter(whole) as writer:
        writer.add(operation(1))
    with HistoryWriter(broken) as writer:
        writer.add(operation(2))
    broken.write_bytes(broken.read_bytes()[:-8])
    for path in (whole, broken):
        shift_history(path, BY_NS)
    (trouble,) = merge_history([whole, broken], tmp_path / "history.parquet")
    assert trouble.startswith("history-b.arrow: breaks off after 1 operations")
    history = read_history(tmp_path / "history.parquet")
    assert history.start_ns.tolist() == [10**10 + 1 + BY_NS, 10**10 + 2 + BY_NS]
    assert history.end_ns.tolist() == [10**10 + 51 + BY_NS, 10**10 + 52 + BY_NS]


def test_events_move_with_the_instants_that_they_tell(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.add_at(10**10, "probe", "stall", late_ms=3.0, start_ns=10**10 - 5, end_ns=10**10, late_ns=5)
    log.close()
    (event,) = shifted_events(tmp_path / "events.jsonl", BY_NS)
    assert event.t_ns == 10**10 + BY_NS
    assert event.data == {"late_ms": 3.0, "start_ns": 10**10 - 5 + BY_NS, "end_ns": 10**10 + BY_NS, "late_ns": 5}


def test_every_number_of_nanoseconds_in_an_event_of_observers_is_known_as_instant_or_length() -> None:
    """A new one that nobody has thought of would be left on the other clock."""
    found: set[str] = set()
    for path in LOAD.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            tells = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name)
            name = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
            if tells and isinstance(node, ast.Call) and name in ("add", "add_at", "tell", "_tell"):
                found |= {word.arg for word in node.keywords if word.arg and word.arg.endswith("_ns")}
            if isinstance(node, ast.Dict) and "planes" in path.parts:
                keys = {key.value for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
                found |= {key for key in keys if key.endswith("_ns")}
    assert {"start_ns", "end_ns", "from_ns", "to_ns", "since_ns"} <= found
    assert found - INSTANTS <= LENGTHS
    assert not INSTANTS & LENGTHS
