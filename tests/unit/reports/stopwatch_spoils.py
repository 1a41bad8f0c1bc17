"""Ways to spoil the stopwatch's part of a good record, each as one thing that goes wrong in a run."""

from __future__ import annotations

from typing import Any

import numpy as np

from drainproof.streams import HEARTBEAT, TCP_KEPT, UDP, Stream
from tests.unit.reports.records import Record
from tests.unit.reports.spoils import Spoil
from tests.unit.reports.stopwatch_records import BLACKOUT, NETWORK, RETRY_NS, blackouts
from tests.unit.reports.timeline import BASELINE, END, SCRAPES, STOPPED, at, pause_of

CONTROL_STREAM = "control/client"


def lose(stream: str, begin: float, seconds: float) -> Spoil:
    return lambda record: record.watched.lose(stream, begin, begin + seconds)


def hold(stream: str, begin: float, seconds: float) -> Spoil:
    return lambda record: record.watched.hold(stream, begin, begin + seconds)


def allow(**limits: float) -> Spoil:
    """The profile has other limits."""
    return lambda record: record.settings["limits"].update(limits)


def forget(stream: str) -> Spoil:
    def spoil(record: Record) -> None:
        del record.watched.rows[stream]

    return spoil


def nap(vantage: str = "outside") -> Spoil:
    """The stopwatch is away for a fifth of the time, a tenth of a second at once."""

    def spoil(record: Record) -> None:
        for tenth in range(0, int(10 * END), 5):
            record.watched.leave(vantage, tenth / 10, tenth / 10 + 0.1)

    return spoil


def sleep(record: Record) -> None:
    """The stopwatch is away for longer than the limit, once."""
    record.watched.leave("outside", 12.0, 14.2)


def shorten_baseline(stream: str, seconds: float = 0.1) -> Spoil:
    """A stream began only shortly before the first drain."""

    def spoil(record: Record) -> None:
        rows = record.watched.rows[stream]
        record.watched.rows[stream] = rows[rows["start"] > at(BASELINE - seconds)]

    return spoil


def lose_some(stream: str) -> Spoil:
    """A stream that loses every twentieth probe, undisturbed as well."""

    def spoil(record: Record) -> None:
        rows = record.watched.rows[stream]
        rows["outcome"][::20] = 2
        rows["end"][::20] = rows["start"][::20] + 10**9

    return spoil


def die(record: Record) -> None:
    """The stopwatch is killed at second 20; what it had kept is in the record."""
    for vantage in ("outside", "node-a"):
        record.watched.cut(20.0, vantage=vantage)
    record.event(20.1, "observer", "ended", "stopwatch", code=-9)
    record.drop("stopwatch", "stop")
    record.drop("stopwatch", "control-blackout", lambda event: event["t_ns"] > at(20))
    for query in record.metrics:
        for result in query["result"]:
            if result["metric"].get("instance", "").endswith(":9304"):
                del result["values"][sum(second < 20 for second in SCRAPES) :]


def lose_rows(record: Record) -> None:
    """The last samples were not written."""
    record.watched.rows["udp/portal-b"] = record.watched.rows["udp/portal-b"][:-7]


def go_blind(record: Record) -> None:
    """Whatever happens to the control stream, it shows none of it."""
    record.watched.mend(CONTROL_STREAM, -5, END + 5)


def miss_one(record: Record) -> None:
    """One blackout of many is not in the samples."""
    _, begin, end = list(blackouts())[4]
    record.watched.mend(CONTROL_STREAM, begin - 0.1, end + 0.1)


def misjudge(record: Record) -> None:
    """A blackout lasts two periods longer than its responder tells."""
    _, begin, end = list(blackouts())[4]
    record.watched.lose(CONTROL_STREAM, begin, end + 0.008)


def be_late_always(record: Record) -> None:
    """The responder never knew well when it interrupted."""
    for event in record.found("stopwatch", "control-blackout"):
        event["data"]["late_ns"] = 5_000_000


def stop_injecting(record: Record) -> None:
    """The responder interrupts nothing any more after a third of the run, and answers."""
    record.drop("stopwatch", "control-blackout", lambda event: event["t_ns"] > at(10))
    record.watched.mend(CONTROL_STREAM, 10, END + 5)
    record.watched.mend("control/client@node-a", 10, END + 5)


def kill_responder(record: Record) -> None:
    """Nobody answers the control stream from second 15 on."""
    record.drop("stopwatch", "control-blackout", lambda event: event["t_ns"] > at(15))
    record.watched.lose(CONTROL_STREAM, 15.0, END + 5)


def see_no_pause(seconds: float = STOPPED + NETWORK) -> Spoil:
    """For so long after its guest stopped, portal-a answers all the same."""

    def spoil(record: Record) -> None:
        begin, _ = pause_of("portal-a")
        record.watched.mend("udp/portal-a", begin - 0.05, begin + seconds)

    return spoil


def pause_backwards(record: Record) -> None:
    """The guest runs again before it stops."""
    data = record.found("hypervisor", "downtime")[0]["data"]
    data["stop_ns"], data["resume_ns"] = data["resume_ns"], data["stop_ns"]


def touch_no_guest(record: Record) -> None:
    """The same run by a profile that keeps out of the guests."""
    kinds = (UDP, HEARTBEAT, TCP_KEPT)
    record.settings["load"]["agentless"] = True
    record.watched.forget(*kinds)
    for event in record.found("stopwatch", "start"):
        event["data"]["streams"] = [name for name in event["data"]["streams"] if Stream.of(name).kind not in kinds]
    for event in record.found("stopwatch", "stop"):
        event["data"]["samples"] = record.watched.count
    record.drop("stopwatch", "tcp-stall")
    for query in record.metrics:
        query["result"] = [one for one in query["result"] if not _of_kinds(one, kinds)]


def _of_kinds(series: dict[str, Any], kinds: tuple[str, ...]) -> bool:
    return Stream.of(series["metric"].get("stream", "")).kind in kinds


def blame(kind: str, object: str = "", **facts: float) -> Spoil:
    """Portal-b loses a third of a second of echoes, and the host says that this was its own doing."""

    def spoil(record: Record) -> None:
        lose("udp/portal-b", 12.0, 0.3)(record)
        record.event(
            12.4, "stopwatch", kind, object, start_ns=at(11.99), end_ns=at(12.31), **{"count": 30, **facts}
        )

    return spoil


def fail_beyond(seconds: float) -> Spoil:
    """The control stream is lost for so long, and portal-b's echoes with it, though nobody interrupted anything."""

    def spoil(record: Record) -> None:
        begin = BLACKOUT + list(blackouts())[5][2]
        for stream in (CONTROL_STREAM, "udp/portal-b"):
            record.watched.lose(stream, begin, begin + seconds)

    return spoil


def hide_second(record: Record) -> None:
    """Connections that an outage of 50 ms made wait come about only after a second outage, of 1.7 s, is over."""
    stream, down = "tcp-new/portal-b", [(at(12.0), at(12.05)), (at(12.2), at(13.9))]
    rows = record.watched.rows[stream]
    for row in rows[record.watched.sent(stream, 12.0, 13.9)]:
        tries = (int(row["start"]) + number * RETRY_NS for number in range(9))
        through = next(one for one in tries if not any(begin <= one < end for begin, end in down))
        rows["end"][rows["start"] == row["start"]] = through + 200_000


def answer_in_an_hour(record: Record) -> None:
    """The arrival of one echo was read from a clock that stood an hour ahead; then its machine is down for 2.5 s."""
    rows = record.watched.rows["udp/portal-b"]
    rows["end"][np.searchsorted(rows["start"], at(11.0))] += 3600 * 10**9
    record.watched.hold("udp/portal-b", 12.0, 14.5)


def export_other_void(record: Record) -> None:
    for result in record.query("void")["result"]:
        for number, pair in enumerate(result["values"]):
            pair[1] = str(float(pair[1]) + 0.05 * number)


def export_nothing(record: Record) -> None:
    """Prometheus never reached the stopwatch."""
    for query in record.metrics:
        query["result"] = [one for one in query["result"] if not one["metric"].get("instance", "").endswith(":9304")]


def move_nothing(record: Record) -> None:
    """Neither the watch nor the drains know of any migration."""
    record.drop("watch", "vmim")
    record.drop("drain", "migrated")
