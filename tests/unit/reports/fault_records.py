"""A synthetic record of a node's loss: portal-b dies with its node, is fenced, restarted elsewhere and rejoins."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import cache
from typing import Any

from drainproof.expectation import Expectation
from drainproof.record import Outcome
from tests.unit.reports.records import (
    ANOTHER_BOOT,
    HOMES,
    NAMESPACE,
    NODES,
    OBSERVED,
    Record,
    good_record,
    one_at_a_time,
)
from tests.unit.reports.scraped import queries
from tests.unit.reports.timeline import ADDRESSES, BASELINE, END, SCRAPES, VMS, at, query_of, series_of

LOST, NODE, NEW_NODE, NEW_UID = "portal-b", "node-b", "node-d", "uid-portal-b-2"
SURVIVORS = tuple(vm for vm in VMS if vm != LOST)
BEGUN, DIED, SEEN, FENCED, RUNS, JOINED, BACK, HEALED, OVER = BASELINE, 7.0, 11.0, 13.0, 15.0, 19.0, 20.0, 24.0, 25.0
"""Of the fault, in seconds of the window: from the begin of its phase to its end."""
EXPELLED = 12.5
"""When the others went on without it."""
HISTORY = "8f3c2a10-0000-4000-8000-000000000001"
EXPECTS = Expectation(lost=(LOST,), restarted=(LOST,), expelled=(LOST,))


def fault_record() -> Record:
    """A record that certifies how the service outlived the loss of a node."""
    record: Record = pickle.loads(_pickled())
    return record


def expect(record: Record, expects: Expectation) -> None:
    """The fault was expected to do something else."""
    record.found("fault", "begin")[0]["data"]["expects"] = expects.as_json()


def state(record: Record, seconds: float, vm: str, **changes: Any) -> None:
    """A member tells how it stands in its cluster."""
    facts = {
        "cluster_status": "Primary", "cluster_size": 3, "local_state": 4, "state_comment": "Synced", "conf_id": 17,
        "state_uuid": HISTORY, "ready": True, "uptime_s": 100, "last_committed": 500, "received_bytes": 1000,
        "local_index": 0, **changes,
    }
    record.event(seconds, "membership", "state", vm, **facts)


def scrape_again(record: Record) -> None:
    """Prometheus saw what the record now holds."""
    members = [query for query in record.metrics if query["name"] in MEMBERS]
    record.metrics = [query for query in queries(record.samples, record.watched) if query["name"] not in MEMBERS]
    record.metrics += members
    for event in (event for observer in OBSERVED for event in record.found(observer, "stop")):
        kinds = OBSERVED[event["source"]]
        event["data"]["samples"] = sum(len(rows) for name, rows in record.samples.items() if name.startswith(kinds))
    for event in record.found("stopwatch", "stop"):
        event["data"]["samples"] = record.watched.count


def audit_again(record: Record) -> None:
    """Every member has what was acknowledged."""
    record.tables = [row for row in record.tables if row[1] != "ledger"]
    keys = [row[4] for vm in VMS for row in record.samples[f"sql/{vm}"] if row[3] == Outcome.OK]
    record.tables += [(vm, "ledger", key, key * 7919) for vm in VMS for key in keys]


@cache
def _pickled() -> bytes:
    record = good_record()
    record.found("run", "case")[0]["data"] |= {"kind": "unplanned", "title": "The portal outlives the loss of a node"}
    _undrain(record)
    _fault_events(record)
    _watch_events(record)
    _samples(record)
    _membership(record)
    scrape_again(record)
    record.metrics = [query for query in record.metrics if query["name"] not in MEMBERS] + _scraped()
    audit_again(record)
    return pickle.dumps(record)


def _undrain(record: Record) -> None:
    for source in ("drain", "hypervisor"):
        record.events = [event for event in record.events if event["source"] != source]
    record.drop("watch", "vmim")
    record.drop("watch", "vmi", lambda event: event["t_ns"] > at(0))
    record.drop("run", "phase", lambda event: event["data"]["phase"].startswith(("drain/", "settle/")))


def _fault_events(record: Record) -> None:
    for phase, begin, end in (("fault/1", BEGUN, OVER), ("settle/1", OVER, END)):
        record.event(begin, "run", "phase", phase=phase, state="begin")
        record.event(end, "run", "phase", phase=phase, state="end")
    facts = {"fault": "power-off", "target": NODE}
    record.event(BEGUN + 0.05, "fault", "begin", "power-off/1", **facts, expects=EXPECTS.as_json())
    record.event(DIED + 1, "fault", "injected", "power-off/1", **facts, power_state="Off")
    record.event(HEALED, "fault", "healed", "power-off/1", **facts, power_state="On")
    record.event(HEALED + 0.1, "fault", "proof", "power-off/1", **facts, happened=True, healed=True, reasons=[])
    record.event(HEALED + 0.2, "fault", "end", "power-off/1", **facts)


def _watch_events(record: Record) -> None:
    record.event(-50, "watch", "started", "node", version="1")
    for number in range(-10, int(END) + 4, 3):
        record.event(number, "watch", "synced", "node", version="900")
    for node in NODES:
        node_seen(record, -40, node)
    for seconds, taint in ((SEEN, "unreachable"), (FENCED, "out-of-service")):
        taints = [{"key": f"node.kubernetes.io/{taint}", "effect": "NoExecute"}]
        node_seen(record, seconds, NODE, ready="Unknown", taints=taints)
    node_seen(record, HEALED - 1, NODE)
    for vm in VMS:
        pod_seen(record, -40, vm, HOMES[vm][0], event="ADDED")
    pod_seen(record, FENCED + 0.3, LOST, NODE, event="DELETED")
    vmi_seen(record, SEEN + 0.1, LOST, NODE, ready=False)
    vmi_seen(record, FENCED + 0.5, LOST, NODE, phase="Failed", ready=False)
    vmi_seen(record, FENCED + 0.6, LOST, NODE, event="DELETED", phase="Failed", ready=False)
    vmi_seen(record, FENCED + 0.7, LOST, "", event="ADDED", uid=NEW_UID, phase="Pending", ready=False)
    vmi_seen(record, RUNS, LOST, NEW_NODE, uid=NEW_UID)


def node_seen(record: Record, seconds: float, node: str, **changes: Any) -> None:
    facts = {"event": "MODIFIED", "name": node, "uid": f"uid-{node}", "ready": "True", "taints": [], **changes}
    record.event(seconds, "watch", "node", node, **facts)


def pod_seen(record: Record, seconds: float, vm: str, node: str, **changes: Any) -> None:
    facts = {"event": "MODIFIED", "name": f"virt-launcher-{vm}", "uid": f"pod-{vm}", "vmi": vm, "node": node}
    record.event(seconds, "watch", "pod", f"{NAMESPACE}/virt-launcher-{vm}", **{**facts, **changes})


def vmi_seen(record: Record, seconds: float, vm: str, node: str, **changes: Any) -> None:
    facts = {"event": "MODIFIED", "name": vm, "uid": f"uid-{vm}", "node": node, "phase": "Running", "ready": True}
    record.event(seconds, "watch", "vmi", f"{NAMESPACE}/{vm}", **{**facts, **changes})


def fail(record: Record, stream: str, begin: float, end: float, outcome: Outcome, seconds: float) -> None:
    """Every operation that is sent in between fails after some time."""
    for row in record.samples[stream]:
        if at(begin) <= row[1] < at(end):
            row[2:5] = [row[1] + round(seconds * 1e9), outcome, -1]


def _samples(record: Record) -> None:
    for kind, outcome, seconds in (
        ("http-new", Outcome.TIMEOUT, 5.0), ("http-reused", Outcome.TIMEOUT, 5.0), ("sql", Outcome.ERROR, 0.1)
    ):
        fail(record, f"{kind}/{LOST}", DIED, BACK, outcome, seconds)
    for vm in SURVIVORS:
        record.silence(f"sql/{vm}", DIED, EXPELLED)
        one_at_a_time(record.samples[f"sql/{vm}"])
    fail(record, "http-new/vip", 8.0, 8.3, Outcome.TIMEOUT, 5.0)
    fail(record, "clinic/POST pay", 9.0, 10.0, Outcome.TIMEOUT, 5.0)
    for event in record.found("witness", "identity"):
        if event["object"] == LOST and event["t_ns"] > at(BACK):
            event["data"] |= {"boot_id": ANOTHER_BOOT, "uptime_s": event["data"]["uptime_s"] - RUNS}
    record.drop("witness", "identity", lambda event: event["object"] == LOST and at(DIED) < event["t_ns"] < at(BACK))
    for stream in record.watched.rows:
        kind, _, target = stream.partition("/")
        if target.partition("@")[0] == LOST:
            record.watched.lose(stream, DIED, BACK)


def _membership(record: Record) -> None:
    record.event(-4, "membership", "start", pid=9, rates={})
    record.event(END + 0.5, "membership", "stop")
    for vm in VMS:
        for number in range(-4, int(END) + 1, 5):
            looks = {"from_ns": at(number), "to_ns": at(number + 5), "looks": 5, "failed": 0}
            record.event(number + 5, "membership", "looks", vm, **looks)
            if vm != LOST or not DIED < number < JOINED:
                state(record, number + 0.5, vm, **_view(number + 0.5))
    for vm in SURVIVORS:
        for moment in (EXPELLED, JOINED):
            state(record, moment + 0.3, vm, **_view(moment + 0.3))
    record.event(DIED + 1.2, "membership", "lost", LOST, reason="timed out")
    state(record, JOINED + 0.4, LOST, local_state=1, state_comment="Joining", **_view(JOINED + 0.4))
    state(record, JOINED + 0.8, LOST, **_view(JOINED + 0.8))
    record.event(JOINED + 0.9, "membership", "join", LOST, way="IST", bytes=20480, evidence="received 41 writesets")
    record.events[-1]["data"]["seconds"] = 0.8


def _view(seconds: float) -> dict[str, int]:
    """How large the cluster was at a moment, and in which configuration."""
    if seconds < EXPELLED:
        return {"cluster_size": 3, "conf_id": 17}
    return {"cluster_size": 2, "conf_id": 18} if seconds < JOINED else {"cluster_size": 3, "conf_id": 19}


MEMBERS = (
    "cluster_size", "cluster_status", "local_state", "conf_id", "flow_control_paused_ns", "up", "vmi_info",
    "migrations_succeeded", "migrations_failed",
)


def _scraped() -> list[dict[str, Any]]:
    """What Prometheus scraped of the members and of KubeVirt."""
    times = {vm: [time for time in SCRAPES if vm != LOST or not DIED < time < JOINED + 1] for vm in VMS}
    values: dict[str, Callable[[float], int]] = {
        "cluster_size": lambda time: _view(time)["cluster_size"], "cluster_status": lambda _: 1,
        "local_state": lambda _: 4, "conf_id": lambda time: _view(time)["conf_id"],
    }
    found = []
    for name, value in values.items():
        series = [
            series_of({"instance": f"{ADDRESSES[vm]}:9104", "vmi": vm}, times[vm], [value(time) for time in times[vm]])
            for vm in VMS
        ]
        found.append(query_of(name, series))
    homes = [(vm, HOMES[vm][0], SCRAPES) for vm in SURVIVORS]
    homes += [(LOST, NODE, [time for time in SCRAPES if time < FENCED])]
    homes += [(LOST, NEW_NODE, [time for time in SCRAPES if time > RUNS])]
    info = [
        series_of({"name": vm, "node": node, "phase": "running"}, seen, [1] * len(seen)) for vm, node, seen in homes
    ]
    return [*found, query_of("vmi_info", info), *(query_of(f"migrations_{end}", []) for end in ("succeeded", "failed"))]
