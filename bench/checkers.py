"""The consistency checkers over a million operations, read from a file as a judge would: `python -m bench.checkers`."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bench.figure import PROJECT, Figure
from drainproof.record import Act, Outcome
from drainproof.record.history import SCHEMA, SYNC, History, read_history, write_history
from reports.consistency import append, bank, counters, registers, sets
from reports.consistency.findings import Report

MEMBERS = ("portal-a", "portal-b", "portal-c")
APPENDS, TRANSFERS, ADDS, VERSIONS, BUMPS = 700_000, 100_000, 100_000, 80_000, 20_000
PER_LIST, ACTS, SET_READS = 32, 3, 200
ACCOUNTS, OPENING = 8, 100
STEP_NS = 1_000_000

Integers = npt.NDArray[np.int64]
CHECKS: Mapping[str, Callable[[History], Report]] = {
    "append": lambda history: append.check(history, MEMBERS),
    "bank": lambda history: bank.check(history, MEMBERS, ACCOUNTS, ACCOUNTS * OPENING),
    "set": lambda history: sets.check(history, MEMBERS),
    "register": lambda history: registers.check(history, MEMBERS),
    "counter": counters.check,
}


def measure() -> Iterator[Figure]:
    """Make a history in one process and judge it in another."""
    with tempfile.TemporaryDirectory(prefix="drainproof-bench-") as directory:
        path = Path(directory) / "history.parquet"
        _child("make", path)
        told = _child("judge", path)
    yield Figure("checkers, operations", told["operations"], "", "1,000,000")
    yield Figure("checkers, wall time", told["seconds"], "s", "under 60 s")
    yield Figure("checkers, peak memory", told["memory"] / 2**30, "GiB", "under 2 GiB")
    yield Figure("checkers, false alarms", told["findings"], "", "0")


def _child(verb: str, path: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.checkers", verb, str(path)]
    done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, check=True)
    told: dict[str, float] = json.loads(done.stdout or "{}")
    return told


def make(path: Path) -> None:
    """A clean history of the usual mixture: every operation is acknowledged, one after another, and read at the end."""
    tables = [_appends(), _transfers(), _adds(), _versions(), _bumps()]
    begun = 0
    for number, table in enumerate(tables):
        moved = pa.array(np.arange(begun, begun + table.num_rows) * STEP_NS)
        begun += table.num_rows
        for name in ("start_ns", "end_ns"):
            table = table.set_column(table.schema.get_field_index(name), name, moved)
        tables[number] = table.set_column(table.schema.get_field_index("op"), "op", moved)
    write_history(pa.concat_tables(tables), path)


def _appends() -> pa.Table:
    """Transactions that read a list, append to it, and read another, then all lists on every member."""
    number = np.arange(APPENDS)
    key, place = number // PER_LIST, number % PER_LIST
    lists = -(-APPENDS // PER_LIST)
    acts = np.tile([Act.READ, Act.APPEND, Act.READ], APPENDS)
    keys, values = np.repeat(key, ACTS), np.repeat(number, ACTS)
    before = np.maximum(key - 1, 0)
    keys[2::ACTS] = before
    lengths = np.zeros(APPENDS * ACTS, np.int64)
    lengths[0::ACTS] = place
    lengths[2::ACTS] = np.where(key > 0, PER_LIST, place + 1)
    ends = np.bincount(key, minlength=lists)
    finals = len(MEMBERS) * lists
    every = np.tile(np.arange(lists), len(MEMBERS))
    return _table(
        "append",
        np.concatenate((np.full(APPENDS, ACTS), np.full(len(MEMBERS), lists))),
        np.concatenate((acts, np.full(finals, Act.READ))),
        np.concatenate((keys, every)),
        np.concatenate((values, np.zeros(finals, np.int64))),
        np.concatenate((lengths, np.tile(ends, len(MEMBERS)))),
        np.concatenate((keys, every)) * PER_LIST,
    )


def _transfers() -> pa.Table:
    acts = np.where(np.arange(TRANSFERS) % 2, Act.BALANCES, Act.TRANSFER)
    acts[-len(MEMBERS):] = Act.BALANCES
    lengths = np.where(acts == Act.BALANCES, ACCOUNTS, 1)
    return _table("bank", np.ones(TRANSFERS, np.int64), acts, acts * 0, acts * 0, lengths, None)


def _adds() -> pa.Table:
    """Mostly adds; every so often, and at the end on every member, the whole set is read."""
    number = np.arange(ADDS)
    reads = (number % (ADDS // SET_READS) == 0) | (number >= ADDS - len(MEMBERS))
    acts = np.where(reads, Act.MEMBERS, Act.ADD)
    values = np.cumsum(~reads) - 1
    lengths = np.where(reads, np.maximum(values + 1, 0), 0)
    return _table("set", np.ones(ADDS, np.int64), acts, acts * 0, values, lengths, acts * 0)


def _versions() -> pa.Table:
    """One register: written, then read."""
    acts = np.where(np.arange(VERSIONS) % 2, Act.GET, Act.WRITE)
    acts[-len(MEMBERS):] = Act.GET
    values = np.cumsum(acts == Act.WRITE)
    return _table("register", np.ones(VERSIONS, np.int64), acts, acts * 0 + 1, values, acts * 0, acts * 0)


def _bumps() -> pa.Table:
    acts = np.full(BUMPS, Act.BUMP)
    return _table("counter", np.ones(BUMPS, np.int64), acts, acts * 0, 1 + np.arange(BUMPS), acts * 0, acts * 0)


def _table(
    workload: str, steps: Integers, acts: Integers, keys: Integers, values: Integers, lengths: Integers,
    seen_from: Integers | None,
) -> pa.Table:
    """Operations of so many steps each, the last of each member at the end; a step sees numbers that count up."""
    rows = len(steps)
    begins = np.concatenate(([0], np.cumsum(lengths)))
    seen = np.full(begins[-1], OPENING)
    if seen_from is not None:
        seen = np.arange(begins[-1]) - np.repeat(begins[:-1] - seen_from, lengths)
    lists = pa.ListArray.from_arrays(pa.array(begins, pa.int32()), pa.array(seen))
    fields: list[Any] = [pa.array(acts, pa.int8()), pa.array(keys), pa.array(values), lists]
    done = pa.StructArray.from_arrays(fields, fields=list(SCHEMA.field("acts").type.value_type))
    session = np.arange(rows) % len(MEMBERS)
    final = np.arange(rows) >= rows - len(MEMBERS)
    columns = {
        "workload": pa.array([workload] * rows), "session": pa.array(session, pa.int32()),
        "member": pa.array(np.array(MEMBERS)[session]), "op": pa.array(np.arange(rows)),
        "start_ns": pa.array(np.arange(rows)), "end_ns": pa.array(np.arange(rows)),
        "outcome": pa.array(np.full(rows, Outcome.OK), pa.int8()), "level": pa.array([SYNC] * rows),
        "final": pa.array(final),
        "acts": pa.ListArray.from_arrays(pa.array(np.concatenate(([0], np.cumsum(steps))), pa.int32()), done),
    }
    return pa.table(columns, schema=SCHEMA)


def judge(path: Path) -> None:
    """Read the history, check all workloads, and say what that took."""
    begun = time.perf_counter()
    history = read_history(path)
    reports = {name: check(history) for name, check in CHECKS.items()}
    told = {
        "operations": sum(report.operations for report in reports.values()),
        "seconds": time.perf_counter() - begun,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "findings": sum(len(report.findings) + len(report.unread) for report in reports.values()),
    }
    print(json.dumps(told))


def main() -> int:
    """Print the figures; with a verb and a file, do one step of the measurement."""
    if len(sys.argv) == 3:
        {"make": make, "judge": judge}[sys.argv[1]](Path(sys.argv[2]))
        return 0
    for figure in measure():
        print(f"{figure.name:<44}{figure.value:>14.2f} {figure.unit:<4} {figure.aim}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
