"""Ways to spoil the record of a node's loss, each as one thing that goes wrong, or that nobody saw."""

from __future__ import annotations

from typing import Any

from drainproof.expectation import Expectation
from drainproof.record import Outcome
from tests.unit.reports.fault_records import (
    BACK,
    BEGUN,
    DIED,
    EXPECTS,
    FENCED,
    LOST,
    NEW_UID,
    NODE,
    RUNS,
    SURVIVORS,
    audit_again,
    expect,
    fail,
    scrape_again,
    state,
    vmi_seen,
)
from tests.unit.reports.records import HOMES, Record, one_at_a_time
from tests.unit.reports.spoils import Spoil
from tests.unit.reports.timeline import ADDRESSES, END, at


def then(*spoils: Spoil) -> Spoil:
    def spoil(record: Record) -> None:
        for one in spoils:
            one(record)

    return spoil


def expected(**changes: Any) -> Spoil:
    return lambda record: expect(record, Expectation(**{**EXPECTS.as_json(), **changes}))


def limit(name: str, value: float) -> Spoil:
    def spoil(record: Record) -> None:
        record.settings["limits"][name] = value

    return spoil


def proof(**facts: Any) -> Spoil:
    return lambda record: record.found("fault", "proof")[0]["data"].update(facts)


def begin(**facts: Any) -> Spoil:
    return lambda record: record.found("fault", "begin")[0]["data"].update(facts)


def healed(**facts: Any) -> Spoil:
    return lambda record: record.found("fault", "healed")[0]["data"].update(facts)


def move(kind: str, seconds: float) -> Spoil:
    """An event of the fault is told to have been at another time."""

    def spoil(record: Record) -> None:
        record.found("fault", kind)[0]["t_ns"] += round(seconds * 1e9)

    return spoil


def silent(stream: str, begin: float, end: float) -> Spoil:
    def spoil(record: Record) -> None:
        record.silence(stream, begin, end)
        if stream.startswith("sql/"):
            one_at_a_time(record.samples[stream])
            audit_again(record)
        scrape_again(record)

    return spoil


def failing(stream: str, begin: float, end: float) -> Spoil:
    def spoil(record: Record) -> None:
        fail(record, stream, begin, end, Outcome.ERROR, 0.01)
        scrape_again(record)

    return spoil


def unreachable(stream: str, begin: float, end: float) -> Spoil:
    def spoil(record: Record) -> None:
        record.watched.lose(stream, begin, end)
        scrape_again(record)

    return spoil


def unprobed(record: Record) -> None:
    del record.watched.rows["tcp-new/vip"]


def untainted(record: Record) -> None:
    """Nobody declared the node out of service."""
    for event in record.found("watch", "node"):
        event["data"]["taints"] = []


def unfenced(record: Record) -> None:
    """Neither a taint nor the end of a pod was seen."""
    untainted(record)
    record.drop("watch", "pod", lambda event: event["data"]["event"] == "DELETED")


def unnoticed(record: Record) -> None:
    """The node was always told to be ready."""
    for event in record.found("watch", "node"):
        event["data"]["ready"] = "True"


def not_restarted(record: Record) -> None:
    """Neither another instance nor another boot was seen."""
    record.drop("watch", "vmi", lambda event: event["t_ns"] > at(FENCED))
    record.drop("witness", "identity", lambda event: event["object"] == LOST and event["t_ns"] > at(DIED))


def unnamed(record: Record) -> None:
    """Nobody had seen portal-b's instance before the fault."""
    record.drop("watch", "vmi", lambda event: event["object"].endswith(LOST) and event["t_ns"] < at(BEGUN))


def same_instance(record: Record) -> None:
    """Only what it was before the fault is seen of it, and not told from when."""
    unnamed(record)
    record.drop("watch", "vmi", lambda event: event["data"]["uid"] == NEW_UID)
    vmi_seen(record, RUNS, LOST, NODE)


def same_boot(record: Record) -> None:
    record.drop("witness", "identity", lambda event: event["object"] == LOST and event["t_ns"] > at(DIED))


def never_back(record: Record) -> None:
    fail(record, f"http-new/{LOST}", DIED, END + 5, Outcome.TIMEOUT, 5.0)


def back_before_fencing(record: Record) -> None:
    """Another instance ran before the node was fenced."""
    record.drop("watch", "vmi", lambda event: event["data"]["uid"] == NEW_UID)
    vmi_seen(record, FENCED - 1, LOST, "node-d", uid=NEW_UID)


def on_one_node(record: Record) -> None:
    for event in record.found("watch", "vmi"):
        if event["data"]["uid"] == NEW_UID and event["data"]["node"]:
            event["data"]["node"] = "node-a"


def pause_another(record: Record) -> None:
    """A survivor was moved while portal-b was away."""
    record.event(10, "hypervisor", "downtime", "portal-a", stop_ns=at(9.5), resume_ns=at(9.7))


def pause_in_peace(record: Record) -> None:
    record.event(4, "hypervisor", "downtime", "portal-a", stop_ns=at(3.5), resume_ns=at(3.7))


def told(seconds: float, vm: str, **facts: Any) -> Spoil:
    """A member tells something else at a moment."""
    return lambda record: state(record, seconds, vm, **facts)


def silent_member(seconds: float) -> Spoil:
    """Portal-a does not answer at a moment."""
    return lambda record: record.event(seconds, "membership", "lost", "portal-a", reason="refused")


def joined(moment: float, seconds: float, **facts: Any) -> Spoil:
    """It is told that portal-a came back, after so many seconds."""

    def spoil(record: Record) -> None:
        record.event(moment, "membership", "join", "portal-a", way="IST", bytes=1, **facts)
        record.events[-1]["data"]["seconds"] = seconds

    return spoil


def never_answered(record: Record) -> None:
    """Portal-b never answered again."""
    record.drop("membership", "state", lambda event: event["object"] == LOST and event["t_ns"] > at(DIED))


def relisted(record: Record) -> None:
    """The watch broke, and then listed one machine after the other, two of which had been moved."""
    record.event(RUNS + 11, "watch", "lost", "vmi", reason="410 Gone")
    for number, (vm, node) in enumerate((("portal-a", "node-d"), (LOST, "node-a"), ("portal-c", "node-c"))):
        uid = NEW_UID if vm == LOST else f"uid-{vm}"
        vmi_seen(record, RUNS + 12 + number / 1000, vm, node, uid=uid, event="ADDED")


def scraped(name: str, value: str, first: int = 8, count: int = 8) -> Spoil:
    """Portal-a's exporter told something else at some scrapes."""

    def spoil(record: Record) -> None:
        for pair in record.series(name, instance=f"{ADDRESSES['portal-a']}:9104")[first : first + count]:
            pair[1] = value

    return spoil


def scraped_elsewhere(record: Record) -> None:
    query = record.query("vmi_info")
    next(one for one in query["result"] if one["metric"]["name"] == "portal-a")["metric"]["node"] = "node-c"


def counted_migration(record: Record) -> None:
    """KubeVirt counted a migration that succeeded."""
    series = record.query("vmi_info")["result"][0]
    result = [{"metric": {"vmi": "portal-a", "vmim": "evacuation-x"}, "values": series["values"]}]
    record.query("migrations_succeeded")["result"] = result


def seen_migration(phase: str) -> Spoil:
    """A migration was seen to its end."""
    data = {"event": "MODIFIED", "name": "evacuation-x", "uid": "muid", "vmi": "portal-a", "phase": phase}
    return lambda record: record.event(10, "watch", "vmim", "portal/evacuation-x", **data)


def look_away(record: Record) -> None:
    """Nobody looked at portal-a for 20 s."""
    record.drop("membership", "looks", lambda event: event["object"] == "portal-a" and at(5) < event["t_ns"] < at(22))


def count_errors(record: Record) -> None:
    """Prometheus counted errors that no sample has."""
    for pair in record.series("operations", stream="sql/portal-a", outcome="error")[15:]:
        pair[1] = "40"


def write_twice(record: Record) -> None:
    row = next(row for row in record.tables if row[1] == "ledger" and row[0] == "portal-a")
    record.tables += [(member, *row[1:]) for member in ADDRESSES]


def api_away(record: Record) -> None:
    """The fault took the API away, so that the watches broke."""
    expected(blind_api=True)(record)
    for kind in ("vmi", "vmim", "pod", "node"):
        record.event(RUNS + 1, "watch", "lost", kind, reason="connection refused")


def seen_again(record: Record) -> None:
    """What the watch of instances lists when the API is back."""
    vmi_seen(record, BACK, LOST, "node-d", uid=NEW_UID, event="ADDED")
    for vm in SURVIVORS:
        vmi_seen(record, BACK, vm, HOMES[vm][0], event="ADDED")


def back_in_place(record: Record) -> None:
    """Portal-b never came back until its node did, and was started there."""
    unfenced(record)
    record.drop("watch", "vmi", lambda event: event["t_ns"] > at(FENCED))
    vmi_seen(record, 24.5, LOST, NODE, uid=NEW_UID)
