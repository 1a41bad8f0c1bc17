"""Builds synthetic records: a good one of three virtual machines and three drains, for tests to spoil."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from drainproof.record import Case, Outcome, Run, RunInfo
from drainproof.record.case import METRICS, TABLES
from drainproof.record.manifest import seal
from drainproof.record.spool import KEYED_ROW, LATE_MOST, header
from drainproof.settings import Profile
from tests.unit.reports import stopwatch_records
from tests.unit.reports.scraped import Row, queries
from tests.unit.reports.stopwatch_records import Watched
from tests.unit.reports.timeline import (
    ADDRESSES,
    ANCHOR,
    BASELINE,
    BEGIN,
    DRAIN,
    END,
    PAUSE_AT,
    SETTLE,
    STOPPED,
    VMS,
    S,
    at,
    drain_begin,
    pause_of,
)

NAMESPACE = "portal"
NODES = ("node-a", "node-b", "node-c", "node-d")
HOMES = {"portal-a": ("node-a", "node-d"), "portal-b": ("node-b", "node-a"), "portal-c": ("node-c", "node-b")}
RATES = {"http-new": 10.0, "http-reused": 20.0, "sql": 4.0}
BOOT_IDS = {vm: f"{number}2345678-1234-4234-8234-123456789abc" for number, vm in enumerate(VMS)}
ANOTHER_BOOT = "f2345678-1234-4234-8234-123456789abc"
OBSERVED = {"probe": ("http-new", "http-reused"), "ledger": ("sql",), "clinic": ("clinic",), "witness": ()}
TABLE_NAMES = ("bills", "doctors", "ledger", "patients", "payments")


@dataclass
class Record:
    """The content of a case, to be changed by a test and then written."""

    events: list[dict[str, Any]] = field(default_factory=list)
    samples: dict[str, list[Row]] = field(default_factory=dict)
    """By stream of the other observers: intended, start, end, outcome, key."""
    watched: Watched = field(default_factory=Watched)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    tables: list[tuple[str, str, int, int]] = field(default_factory=list)
    """Member, table, key, digest."""
    settings: dict[str, Any] = field(default_factory=lambda: _settings())
    target: dict[str, Any] = field(default_factory=lambda: {"name": "lab", "emulated": True, "vm_memory": "512Mi"})
    notes: tuple[str, ...] = ("The guests ran under software emulation: the times say nothing about real hardware.",)

    def event(self, seconds: float, source: str, kind: str, object: str = "", **data: Any) -> None:
        self.events.append({"t_ns": at(seconds), "source": source, "kind": kind, "object": object, "data": data})

    def drop(self, source: str, kind: str, only: Callable[[dict[str, Any]], bool] = lambda _: True) -> None:
        """Remove the events of a source and kind, or those of them that `only` accepts."""
        self.events = [
            one for one in self.events if not (one["source"] == source and one["kind"] == kind and only(one))
        ]

    def found(self, source: str, kind: str) -> list[dict[str, Any]]:
        return [one for one in self.events if one["source"] == source and one["kind"] == kind]

    def query(self, name: str) -> dict[str, Any]:
        return next(one for one in self.metrics if one["name"] == name)

    def series(self, name: str, **labels: str) -> list[list[Any]]:
        """The values of the series with those labels."""
        for result in self.query(name)["result"]:
            if all(result["metric"].get(key) == value for key, value in labels.items()):
                values: list[list[Any]] = result["values"]
                return values
        raise KeyError((name, labels))

    def silence(self, stream: str, begin: float, end: float) -> None:
        """Hold every operation sent in between until its end, as a paused guest does."""
        for row in self.samples[stream]:
            if at(begin) <= row[1] < at(end):
                row[2] = at(end) + (row[2] - row[1])

    def write(self, run: Path, case: str = "drain_of_every_node") -> Path:
        """Write the run and its case; returns the case's directory."""
        Run(run).describe(
            RunInfo(
                run_id=run.name, started=ANCHOR.wall(BEGIN).isoformat(), anchor=ANCHOR,
                command="drainproof certify --profile quick --target lab", seed=1, target=self.target,
                settings=self.settings, versions={"python": "3.11.7", "kubernetes": "v1.36.2", "kubevirt": "v1.9.0"},
                notes=self.notes,
            )
        )
        directory = run / case
        written = Case(directory)
        for event in self.events:
            written.events.add_at(event["t_ns"], event["source"], event["kind"], event["object"], **event["data"])
        self._write_samples(written)
        (directory / METRICS).write_text(json.dumps(self.metrics))  # indented, it takes ten times as long
        columns = list(zip(*self.tables, strict=True)) or [(), (), (), ()]
        types = (pa.string(), pa.string(), pa.int64(), pa.int64())
        arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
        pq.write_table(pa.table(arrays, names=["member", "table", "key", "digest"]), directory / TABLES)
        written.close()
        seal(directory)
        return directory

    def _write_samples(self, case: Case) -> None:
        shard = case.shard("probe")
        shard.parent.mkdir(parents=True, exist_ok=True)
        rows = [
            (start, end, min(start - intended, LATE_MOST), number, outcome, 0, key)
            for number, of_stream in enumerate(self.samples.values())
            for intended, start, end, outcome, key in of_stream
        ]
        shard.write_bytes(header([*self.samples], keyed=True) + np.array(rows, KEYED_ROW).tobytes())
        self.watched.write(case)
        case.merge_samples()


def _settings() -> dict[str, Any]:
    settings = Profile(name="quick").model_dump(mode="json")
    settings["load"] |= stopwatch_records.LOAD
    return settings


def good_record() -> Record:
    """A record that certifies."""
    record: Record = pickle.loads(_pickled())
    return record


@cache
def _pickled() -> bytes:
    """Built once: copying a record takes half the time of building it."""
    record = Record()
    _run_events(record)
    _watch_events(record)
    for index, vm in enumerate(VMS):
        _drain_events(record, index, vm)
    _samples(record)
    record.watched = stopwatch_records.good_watch()
    _observer_events(record)
    record.metrics = queries(record.samples, record.watched)
    _tables(record)
    return pickle.dumps(record)


def _run_events(record: Record) -> None:
    title = "A patient portal on three virtual machines serves without a gap while each node under them is drained"
    nodes = {node: {"unschedulable": False, "taints": [], "labels": {"zone": "one"}} for node in NODES}
    objects = {"Namespace": ["default", "monitoring"], "PersistentVolume": [], "VirtualMachineInstanceMigration": []}
    record.event(-60, "run", "case", "suites/test_drain.py::test_drain_of_every_node", title=title)
    record.event(-59, "cluster", "snapshot", when="before", nodes=nodes, objects=objects)
    phases = [("deploy", -58.0, -5.0), ("baseline", 0.0, BASELINE)]
    for index in range(3):
        begin = drain_begin(index)
        phases += [(f"drain/{index + 1}", begin, begin + DRAIN)]
        phases += [(f"settle/{index + 1}", begin + DRAIN, begin + DRAIN + SETTLE)]
    phases += [("quiesce", END + 0.1, END + 1), ("audit", END + 1, END + 5)]
    for name, begin, end in phases:
        record.event(begin, "run", "phase", phase=name, state="begin")
        record.event(end, "run", "phase", phase=name, state="end")
    vms = [{"name": vm, "uid": f"uid-{vm}", "address": ADDRESSES[vm], "node": HOMES[vm][0]} for vm in VMS]
    record.event(
        -6, "portal", "deployed", namespace=NAMESPACE, vms=vms, virtual_ip="10.77.200.1", storage_class="lab-shared"
    )
    for vm in VMS:
        record.event(
            END + 4, "audit", "member", vm, reachable=True, cluster_state_uuid="8f3c", last_committed=612,
            cluster_status="Primary", cluster_size=3, local_state_comment="Synced",
            settings={"version": "10.11.14", "wsrep_provider_version": "26.4.20", "innodb_flush_log_at_trx_commit": 1},
        )
    record.event(END + 4.5, "audit", "done", complete=True, settled=True)
    record.event(END + 12, "cluster", "snapshot", when="after", nodes=nodes, objects=objects)


def _watch_events(record: Record) -> None:
    for kind in ("vmi", "vmim", "pod"):
        record.event(-50, "watch", "started", kind, version="1")
        for number in range(-10, int(END) + 4, 3):
            record.event(number, "watch", "synced", kind, version="900")
    for vm in VMS:
        record.event(-40, "watch", "vmi", f"{NAMESPACE}/{vm}", **_vmi(vm, HOMES[vm][0], "ADDED"))


def _vmi(vm: str, node: str, event: str = "MODIFIED") -> dict[str, Any]:
    return {"event": event, "name": vm, "uid": f"uid-{vm}", "node": node, "phase": "Running", "ready": True}


def _drain_events(record: Record, index: int, vm: str) -> None:
    begin, (source, target), vmim = drain_begin(index), HOMES[vm], f"evacuation-{vm}"
    record.event(begin + 0.01, "drain", "begin", source, vms=[vm])
    record.event(begin + 0.05, "drain", "cordoned", source)
    record.event(begin + 0.1, "drain", "evict", f"virt-launcher-{vm}", code=429, message="triggered", vm=vm)
    state = {"mode": "PreCopy", "sourceNode": source, "targetNode": target, "migrationUid": f"muid-{vm}"}
    for offset, phase in ((0.3, "Pending"), (0.6, "Scheduling"), (1.0, "Running"), (2.9, "Succeeded")):
        record.event(
            begin + offset, "watch", "vmim", f"{NAMESPACE}/{vmim}", event="MODIFIED", name=vmim, uid=f"muid-{vm}",
            vmi=vm, phase=phase, transitions={}, migration=state if offset >= 1 else None,
        )
    record.event(begin + 2.6, "watch", "vmi", f"{NAMESPACE}/{vm}", **_vmi(vm, target))
    record.event(
        begin + 3.0, "hypervisor", "downtime", vm, migration_uid=f"muid-{vm}", downtime_ms=142 + 11 * index,
        downtime_net_ms=139, total_ms=1371, stop_ns=at(begin + PAUSE_AT), resume_ns=at(begin + PAUSE_AT + STOPPED),
    )
    record.event(
        begin + 3.2, "drain", "migrated", vm, uid=f"uid-{vm}", vmim=vmim, live=True, **{"from": source, "to": target}
    )
    record.event(begin + 4.0, "drain", "uncordoned", source)
    record.event(begin + 4.1, "drain", "end", source, vms=[vm])
    record.event(begin + 4.2, "drain", "proof", source, happened=True, healed=True, reasons=[])


def _observer_events(record: Record) -> None:
    for observer, kinds in OBSERVED.items():
        taken = sum(len(rows) for stream, rows in record.samples.items() if stream.partition("/")[0] in kinds)
        record.event(-4, observer, "start", pid=7, streams=[], rates={}, priority="SCHED_FIFO 10")
        record.event(END + 0.5, observer, "stop", samples=taken, worst_lateness_ms=1.5)
    for seconds, kind, subject, facts in stopwatch_records.events(record.watched):
        record.event(seconds, "stopwatch", kind, subject, **facts)
    for vm in VMS:
        for second in range(int(END)):
            record.event(second + 0.2, "witness", "identity", vm, boot_id=BOOT_IDS[vm], hostname=vm, uptime_s=second)


def _samples(record: Record) -> None:
    for kind, rate in RATES.items():
        for index, target in enumerate([*VMS, "vip"] if kind != "sql" else VMS):
            record.samples[f"{kind}/{target}"] = _regular(rate, index, latency={"sql": 0.04}.get(kind, 0.006))
    for index, vm in enumerate(VMS):
        for number, row in enumerate(record.samples[f"sql/{vm}"]):
            row[4] = index * 10**12 + number
        for kind in RATES:
            record.silence(f"{kind}/{vm}", *pause_of(vm))
        one_at_a_time(record.samples[f"sql/{vm}"])
    for name, rate in (("GET doctors", 3.1), ("POST bills", 1.3), ("POST pay", 1.1)):
        record.samples[f"clinic/{name}"] = _regular(rate, 1, latency=0.03)


def _regular(rate: float, index: int, latency: float) -> list[Row]:
    random = np.random.default_rng(index)
    rows = []
    for number in range(int((END + 4.2) * rate)):
        due = at(-4 + (number + index / 7) / rate)
        sent = due + int(random.integers(20_000, 900_000))
        rows.append([due, sent, sent + int(latency * S * random.uniform(0.8, 1.5)), int(Outcome.OK), -1])
    return rows


def one_at_a_time(rows: list[Row]) -> None:
    """A writer has one operation outstanding: those due meanwhile are not sent."""
    kept: list[Row] = []
    for row in rows:
        if not kept or row[1] >= kept[-1][2]:
            kept.append(row)
    rows[:] = kept


def _tables(record: Record) -> None:
    for vm in VMS:
        for table in TABLE_NAMES:
            keys = range(1, 21) if table != "ledger" else _acknowledged(record)
            record.tables += [(vm, table, key, key * 7919 + len(table)) for key in keys]


def _acknowledged(record: Record) -> list[int]:
    return [row[4] for vm in VMS for row in record.samples[f"sql/{vm}"] if row[3] == Outcome.OK]
