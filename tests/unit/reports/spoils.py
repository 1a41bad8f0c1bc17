"""Ways to spoil a good record, each as one thing that goes wrong in a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drainproof.record import Outcome
from tests.unit.reports.records import ANOTHER_BOOT, BOOT_IDS, NAMESPACE, Record
from tests.unit.reports.timeline import ADDRESSES, VMS, at, pause_of

Spoil = Callable[[Record], None]


def vmi(record: Record, seconds: float, vm: str, node: str, **changes: Any) -> None:
    facts = {"event": "MODIFIED", "name": vm, "uid": f"uid-{vm}", "node": node, "phase": "Running", **changes}
    record.event(seconds, "watch", "vmi", f"{NAMESPACE}/{vm}", **facts)


def share_a_node(record: Record) -> None:
    vmi(record, 7, "portal-a", "node-b")


def share_a_node_from_the_start(record: Record) -> None:
    first = record.found("watch", "vmi")[0]["t_ns"]
    for event in record.found("watch", "vmi"):
        if event["data"]["name"] == "portal-a" and event["t_ns"] <= at(3):
            event["data"]["node"] = "node-b"
    assert first < at(3)


def restart(record: Record) -> None:
    for event in record.found("witness", "identity"):
        if event["object"] == "portal-b" and event["t_ns"] > at(16):
            event["data"]["boot_id"] = ANOTHER_BOOT


def tell(field: str, value: Any) -> Spoil:
    """One reading of portal-b's identity says something else."""

    def spoil(record: Record) -> None:
        readings = [event for event in record.found("witness", "identity") if event["object"] == "portal-b"]
        readings[16]["data"][field] = value

    return spoil


def share_a_boot(record: Record) -> None:
    for event in record.found("witness", "identity"):
        event["data"]["boot_id"] = BOOT_IDS["portal-a"]


def lose_samples(record: Record) -> None:
    del record.samples["http-new/portal-b"][-7:]


def kill_observer(record: Record) -> None:
    record.event(20, "observer", "ended", "ledger", code=-9)
    record.event(32, "observer", "ended", "ledger", code=0)


def export_no_clinic(record: Record) -> None:
    for query in record.metrics:
        query["result"] = [one for one in query["result"] if "clinic" not in one["metric"].get("stream", "")]


def count_half(record: Record) -> None:
    for pair in record.series("operations", stream="http-new/portal-a", outcome="ok"):
        pair[1] = str(int(pair[1]) // 2)


def recreate(record: Record) -> None:
    vmi(record, 10, "portal-c", "node-c", uid="another")


def end_migration(phase: str, mode: str | None = "PreCopy") -> Spoil:
    def spoil(record: Record) -> None:
        for event in record.found("watch", "vmim"):
            if event["data"]["vmi"] == "portal-a":
                event["data"]["migration"] = (event["data"]["migration"] or {}) | {"mode": mode}
                if event["data"]["phase"] == "Succeeded":
                    event["data"]["phase"] = phase

    return spoil


def stay_on_node(record: Record) -> None:
    for event in record.found("drain", "migrated"):
        event["data"]["to"] = event["data"]["from"]


def unproven(fact: str) -> Spoil:
    def spoil(record: Record) -> None:
        record.found("drain", "proof")[0]["data"] |= {fact: False, "reasons": ["nobody looked"]}

    return spoil


def without(source: str, kind: str, only: Callable[[dict[str, Any]], bool] = lambda _: True) -> Spoil:
    return lambda record: record.drop(source, kind, only)


def fail_one(outcome: Outcome, stream: str = "http-new/portal-b") -> Spoil:
    def spoil(record: Record) -> None:
        next(row for row in record.samples[stream] if row[1] > at(9))[3] = outcome

    return spoil


def pause_guest(record: Record) -> None:
    """The guest of portal-a is held for 3 s: every request is answered, late."""
    begin, _ = pause_of("portal-a")
    for kind in ("http-new", "http-reused"):
        record.silence(f"{kind}/portal-a", begin, begin + 3)


def stop_probe(record: Record, begin: float = 1.0, seconds: float = 3.0) -> None:
    """The probe sends nothing for a while and tells so afterwards."""
    for stream, rows in record.samples.items():
        if stream.startswith("http"):
            rows[:] = [row for row in rows if not at(begin) <= row[1] < at(begin + seconds)]
    end = begin + seconds
    record.event(end, "probe", "stall", late_ms=seconds * 1e3, start_ns=at(begin), end_ns=at(end))


def die(record: Record) -> None:
    """The probe is killed at second 20 and tells nothing."""
    for stream, rows in record.samples.items():
        if stream.startswith("http"):
            rows[:] = [row for row in rows if row[1] < at(20)]


def forget_stream(record: Record) -> None:
    del record.samples["sql/portal-b"]


def tear_shard(record: Record) -> None:
    record.event(20, "record", "damaged-shard", reason="torn")


def fail_in_stall(record: Record) -> None:
    record.event(9.6, "probe", "stall", late_ms=300, start_ns=at(8.9), end_ns=at(9.6))
    fail_one(Outcome.TIMEOUT)(record)


def count_error(record: Record) -> None:
    for pair in record.series("operations", stream="sql/portal-a", outcome="error")[15:]:
        pair[1] = "1"


def export_other_gap(record: Record) -> None:
    for pair in record.series("longest_gap", stream="sql/portal-b"):
        pair[1] = "1.4"


def kill_prometheus(record: Record) -> None:
    for query in record.metrics:
        for result in query["result"]:
            result["values"] = result["values"][:18]


def lose_scrapes(record: Record) -> None:
    for query in record.metrics:
        for result in query["result"]:
            result["values"] = [pair for number, pair in enumerate(result["values"]) if number % 3]


def reset_counter(record: Record) -> None:
    for pair in record.series("operations", stream="sql/portal-a", outcome="ok")[15:]:
        pair[1] = "3"


def break_query(name: str) -> Spoil:
    return lambda record: record.query(name).update(error="connection refused", result=[])


def empty_query(name: str) -> Spoil:
    return lambda record: record.query(name).update(result=[])


def scrape(name: str, value: str, vm: str = "portal-b", since: int = 12) -> Spoil:
    def spoil(record: Record) -> None:
        for pair in record.series(name, instance=f"{ADDRESSES[vm]}:9104")[since:]:
            pair[1] = value

    return spoil


def scrape_nothing(seconds: float, begin: float) -> Spoil:
    def spoil(record: Record) -> None:
        for name in ("cluster_size", "cluster_status", "local_state", "conf_id"):
            values = record.series(name, instance=f"{ADDRESSES['portal-a']}:9104")
            first = values[0][0] + 3 - 0.37 + begin
            values[:] = [pair for pair in values if not first <= pair[0] < first + seconds]

    return spoil


def scrape_nothing_and_write_nothing(record: Record) -> None:
    """A hole of 3 s in which the member acknowledges nothing either."""
    scrape_nothing(3.2, 1.0)(record)
    record.silence("sql/portal-a", 0.5, 5.5)


def scrape_and_write_nothing_in_a_migration(record: Record) -> None:
    """A hole of 8.5 s that a migration begins and that lasts for longer, without a write for 6 s of it."""
    scrape_nothing(8.5, 5.5)(record)
    record.silence("sql/portal-a", 6.5, 12.5)


def hold_replication(record: Record) -> None:
    values = record.series("flow_control_paused_ns", instance=f"{ADDRESSES['portal-c']}:9104")
    for number, pair in enumerate(values):
        pair[1] = str(number * 0.5e9)


def lose_row(record: Record) -> None:
    record.tables = [row for row in record.tables if not (row[1] == "ledger" and row[2] == 10**12 + 7)]


def change_row(record: Record) -> None:
    index = next(number for number, row in enumerate(record.tables) if row[:3] == ("portal-b", "patients", 5))
    record.tables[index] = ("portal-b", "patients", 5, 1)


def drop_row_on_one(record: Record) -> None:
    record.tables.remove(next(row for row in record.tables if row[:3] == ("portal-c", "bills", 9)))


def double_one_for_another(record: Record) -> None:
    """Portal-a holds a row twice that portal-c does not hold: there are as many of it as members."""
    drop_row_on_one(record)
    record.tables.append(next(row for row in record.tables if row[:3] == ("portal-a", "bills", 9)))


def keep_refused(record: Record) -> None:
    record.samples["sql/portal-a"][40][3] = Outcome.ERROR


def forget_member(record: Record) -> None:
    record.tables = [row for row in record.tables if row[0] != "portal-c"]


def acknowledge_nothing(record: Record) -> None:
    for vm in VMS:
        for row in record.samples[f"sql/{vm}"]:
            row[3] = Outcome.INDETERMINATE


def unreachable(record: Record) -> None:
    record.found("audit", "member")[1]["data"] = {"reachable": False, "reason": "timed out"}


def split_history(record: Record) -> None:
    record.found("audit", "member")[1]["data"]["cluster_state_uuid"] = "other"


def read_too_early(record: Record) -> None:
    record.found("hypervisor", "downtime")[0]["data"] |= {"downtime_ms": 0, "total_ms": 0}


def leave(change: dict[str, Any]) -> Spoil:
    def spoil(record: Record) -> None:
        after = record.found("cluster", "snapshot")[1]["data"]
        after["nodes"] = {**after["nodes"], "node-b": {**after["nodes"]["node-b"], **change}}

    return spoil


def leave_namespace(record: Record) -> None:
    after = record.found("cluster", "snapshot")[1]["data"]
    after["objects"] = {**after["objects"], "Namespace": ["default", "monitoring", "portal"]}


def empty_ledger(record: Record) -> None:
    """One member was read and had no row at all."""
    record.tables = [row for row in record.tables if row[:2] != ("portal-b", "ledger")]
    record.found("audit", "member")[1]["data"]["rows"] = {"ledger": 0, "patients": 20}


def read_half(record: Record) -> None:
    record.found("audit", "member")[1]["data"]["rows"] = {"patients": 40}


def silence_watch(record: Record) -> None:
    """The watch of instances says nothing any more once the second drain has begun."""
    record.events = [
        event for event in record.events
        if not (event["source"] == "watch" and event["t_ns"] > at(14.0) and "vmim" not in event["kind"])
    ]


def audit_says(**facts: Any) -> Spoil:
    def spoil(record: Record) -> None:
        record.found("audit", "member")[1]["data"].update(facts)

    return spoil


def never_settle(record: Record) -> None:
    record.found("audit", "done")[0]["data"]["settled"] = False


def lose_one_state(record: Record) -> None:
    """Of one of the four states only the first scrapes of a member are left."""
    del record.series("cluster_status", instance=f"{ADDRESSES['portal-b']}:9104")[12:]
