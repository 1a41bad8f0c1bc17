"""The stopwatch's part of a synthetic record: rows of every stream from two vantage points, and what they suffer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from drainproof.record import Case, Outcome
from drainproof.record.spool import KEYED_ROW, NO_KEY, PLAIN_ROW, header
from drainproof.streams import (
    AWAY,
    CLIENT,
    CONTROL,
    HEARTBEAT,
    OUTSIDE,
    TCP_KEPT,
    TCP_NEW,
    UDP,
    VIRTUAL_IP,
    Stream,
)
from tests.unit.reports.timeline import END, SCRAPES, STOPPED, VMS, S, at, pause_of, series_of

PLACES = {OUTSIDE: (UDP, HEARTBEAT, TCP_KEPT, TCP_NEW), "node-a": (UDP,)}
"""What is asked of each machine from where."""
SHARE = 0.5
RATES = {UDP: 100.0, HEARTBEAT: 50.0, TCP_KEPT: 20.0, TCP_NEW: 50.0, CONTROL: 250.0}
BLACKOUT, EVERY = 0.02, 3.0
LOAD = {
    **{f"{kind.replace('-', '_')}_rate": rate for kind, rate in RATES.items()},
    "vantage_share": SHARE, "control_blackout_ms": 1000 * BLACKOUT, "control_every_seconds": EVERY,
}
NETWORK = 0.035
"""So long after the guest runs again its first frame gets through."""
STALL = 0.215
"""So long after the guest stopped TCP sends again on a kept connection."""
LIMIT_NS = S
RETRY_NS = S + 400_000
"""When a new connection comes about whose first packet was lost."""
GUEST_BOOTED = 990 * S
ABSENCES = {OUTSIDE: ((1.3, 0.8), (12.6, 2.0), (21.1, 1.5)), "node-a": ((2.2, 0.6), (19.7, 1.1))}
"""When the stopwatch was away, in seconds of the window, and for how many milliseconds."""

Rows = npt.NDArray[Any]


@dataclass
class Watched:
    """The samples of the stopwatch by stream, as rows of a spool; spans are in seconds of the window."""

    rows: dict[str, Rows] = field(default_factory=dict)

    def sent(self, stream: str, begin: float, end: float) -> npt.NDArray[np.bool_]:
        """Which probes of a stream were sent in a span."""
        start = self.rows[stream]["start"]
        mask: npt.NDArray[np.bool_] = (start >= at(begin)) & (start < at(end))
        return mask

    def lose(self, stream: str, begin: float, end: float) -> None:
        """What was sent in a span is never answered; of a heartbeat, what would have arrived does not."""
        rows, gone = self.rows[stream], self.sent(stream, begin, end)
        if Stream.of(stream).kind == HEARTBEAT:
            self.rows[stream] = rows[~gone]
            return
        rows["end"][gone] = rows["start"][gone] + LIMIT_NS
        rows["outcome"][gone] = Outcome.TIMEOUT

    def hold(self, stream: str, begin: float, end: float) -> None:
        """What was sent in a span is answered right after its end."""
        rows, held = self.rows[stream], self.sent(stream, begin, end)
        rows["end"][held] += at(end) - rows["start"][held]
        rows["outcome"][held] = np.where(rows["end"][held] - rows["start"][held] > LIMIT_NS, Outcome.LATE, Outcome.OK)

    def mend(self, stream: str, begin: float, end: float) -> None:
        """What was sent in a span is answered at once."""
        rows, good = self.rows[stream], self.sent(stream, begin, end)
        rows["end"][good] = rows["start"][good] + 200_000
        rows["outcome"][good] = Outcome.OK

    def leave(self, vantage: str, begin: float, end: float) -> None:
        """The stopwatch is away from its work: it sends nothing, and what comes meanwhile it reads afterwards."""
        gone, back = at(begin), at(end)
        for stream in self.of(vantage):
            rows = self.rows[stream]
            came = (rows["end"] > gone) & (rows["end"] <= back) & (rows["outcome"] != Outcome.TIMEOUT)
            rows["end"][came] = back + 8_000 * np.arange(1, int(came.sum()) + 1)
            if Stream.of(stream).kind == HEARTBEAT:
                rows["start"] = rows["end"]
            else:
                self.rows[stream] = rows[(rows["start"] <= gone) | (rows["start"] > back)]
        self.absent(vantage, begin, end)

    def absent(self, vantage: str, begin: float, end: float) -> None:
        """The stopwatch tells that it was away, and nothing else changes."""
        name = Stream(AWAY, CLIENT, vantage).name
        rows = np.concatenate((self.rows[name], _rows(np.array([at(begin)]), np.array([at(end)]))))
        self.rows[name] = rows[np.argsort(rows["start"], kind="stable")]

    def cut(self, begin: float, end: float = END + 60, vantage: str = OUTSIDE) -> None:
        """Nothing of a span was kept of what is seen from a vantage point."""
        for stream in [*self.of(vantage), Stream(AWAY, CLIENT, vantage).name]:
            self.rows[stream] = self.rows[stream][~self.sent(stream, begin, end)]

    def of(self, vantage: str) -> list[str]:
        """The streams of operations from a vantage point."""
        streams = ((name, Stream.of(name)) for name in self.rows)
        return [name for name, stream in streams if stream.vantage == vantage and stream.kind != AWAY]

    def forget(self, *kinds: str) -> None:
        """The stopwatch never looked at some kinds of streams."""
        self.rows = {name: rows for name, rows in self.rows.items() if Stream.of(name).kind not in kinds}

    @property
    def count(self) -> int:
        return sum(map(len, self.rows.values()))

    def write(self, case: Case) -> None:
        """Write the shards: one of samples and one of heartbeats for each vantage point."""
        shards: dict[tuple[str, str], list[str]] = {}
        for name in self.rows:
            stream = Stream.of(name)
            shard = HEARTBEAT if stream.kind == HEARTBEAT else "stopwatch"
            shards.setdefault((shard, stream.vantage), []).append(name)
        for (shard, vantage), names in shards.items():
            keyed = shard == HEARTBEAT
            path = case.shard(f"{shard}-{vantage}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(header(names, keyed=keyed) + self._content(names, keyed))

    def _content(self, names: list[str], keyed: bool) -> bytes:
        for number, name in enumerate(names):
            self.rows[name]["stream"] = number
        joined = np.concatenate([self.rows[name] for name in names])
        return (joined if keyed else joined[list(PLAIN_ROW.names or ())].astype(PLAIN_ROW)).tobytes()


def blackouts() -> Iterator[tuple[str, float, float]]:
    """The known blackouts of the control stream: what happened in them, begin and end."""
    chance = np.random.default_rng(5)
    for number in range(int((END + 4) / EVERY)):
        begin = -2.5 + EVERY * number + float(chance.uniform(-0.6, 0.6))
        yield ("hold" if number % 2 else "drop"), begin, begin + BLACKOUT


def good_watch() -> Watched:
    """The stopwatch's samples of a run in which each guest pauses once."""
    watched = Watched()
    for place in PLACES:
        for number, stream in enumerate(_streams(place)):
            rate = RATES[stream.kind] * (SHARE if place != OUTSIDE and stream.kind != CONTROL else 1)
            chance = np.random.default_rng([number, int(rate)])
            make = _heartbeat if stream.kind == HEARTBEAT else _asked
            watched.rows[stream.name] = make(stream, rate, number, chance)
            _suffer(watched, stream)
        watched.rows[Stream(AWAY, CLIENT, place).name] = _rows(np.zeros(0), np.zeros(0))
        for begin, milliseconds in ABSENCES[place]:
            watched.leave(place, begin, begin + milliseconds / 1000)
    return watched


def _streams(place: str) -> Iterator[Stream]:
    yield Stream(CONTROL, CLIENT, place)
    for kind in PLACES[place]:
        targets = (*VMS, VIRTUAL_IP) if kind == TCP_NEW else VMS
        yield from (Stream(kind, target, place) for target in targets)


def _rows(start: npt.ArrayLike, end: npt.ArrayLike) -> Rows:
    rows = np.zeros(len(np.asarray(start)), KEYED_ROW)
    rows["start"], rows["end"], rows["key"] = start, end, NO_KEY
    return rows


def _asked(stream: Stream, rate: float, number: int, chance: np.random.Generator) -> Rows:
    """Probes on schedule, answered in 0.1 to 0.4 ms; new connections are asked for at any moment of their slot."""
    period = round(S / rate)
    slots = np.arange(int((END + 4.2) * rate), dtype=np.int64)
    due = at(-4) + period * slots + number * 700_000
    if stream.kind == TCP_NEW:
        due += chance.integers(0, period, len(due))
    rows = _rows(due + chance.integers(2_000, 30_000, len(due)), due)
    rows["late"] = rows["start"] - due
    rows["end"] = rows["start"] + chance.integers(100_000, 400_000, len(due))
    return rows


def _heartbeat(stream: Stream, rate: float, number: int, chance: np.random.Generator) -> Rows:
    """Ticks on the guest's own clock, which stands still while the guest does not run."""
    period, stop = round(S / rate), at(pause_of(stream.target)[0])
    first = (at(-4) - GUEST_BOOTED) // period + 1
    guest = period * (first + np.arange(int((END + 4) * rate), dtype=np.int64)) + number
    sent = guest + GUEST_BOOTED
    sent = np.where(sent >= stop, sent + round(STOPPED * S), sent)
    arrived = sent + chance.integers(50_000, 200_000, len(sent))
    rows = _rows(arrived, arrived)
    rows["key"] = guest
    return rows


def _suffer(watched: Watched, stream: Stream) -> None:
    """What the migration of its target, or the known blackouts, do to a stream."""
    name = stream.name
    if stream.kind == CONTROL:
        for mode, begin, end in blackouts():
            (watched.hold if mode == "hold" else watched.lose)(name, begin, end)
    if stream.target not in VMS:
        return
    stop, _ = pause_of(stream.target)
    if stream.kind == TCP_KEPT:
        watched.hold(name, stop, stop + STALL)
    else:
        watched.lose(name, stop, stop + STOPPED + NETWORK)
    if stream.kind == TCP_NEW:
        rows = watched.rows[name]
        retried = np.flatnonzero(watched.sent(name, stop, stop + STOPPED + NETWORK))[::3]
        rows["end"][retried] = rows["start"][retried] + RETRY_NS
        rows["outcome"][retried] = Outcome.LATE


def events(watched: Watched) -> Iterator[tuple[float, str, str, dict[str, Any]]]:
    """What the stopwatch tells: second, kind, object and facts."""
    names = [name for name in watched.rows if Stream.of(name).kind != AWAY]
    yield -4, "start", "", {
        "pid": 8, "streams": names, "rates": {name: RATES[Stream.of(name).kind] for name in names},
        "priority": "SCHED_FIFO 10", "metrics": "10.77.0.2:9304", "kernel": "6.12.0", "rto_min_us": 200_000,
    }
    for number, place in enumerate(PLACES):
        yield -3.9, "loop", "", {"vantage": place, "pid": 10 + number, "priority": "SCHED_FIFO 10", "cpu": 1}
        for mode, begin, end in blackouts():
            facts = {"mode": mode, "start_ns": at(begin), "end_ns": at(end), "late_ns": 40_000, "requests": 5}
            yield end, "control-blackout", Stream(CONTROL, CLIENT, place).name, facts
    for vm in VMS:
        begin, _ = pause_of(vm)
        yield begin + STALL, "tcp-stall", Stream(TCP_KEPT, vm).name, {
            "start_ns": at(begin), "end_ns": at(begin + STALL), "rto_us": 408_000, "retransmits": 1, "backoff": 1,
            "total_retrans": 1,
        }
    for second in range(-3, int(END)):
        yield second, "pressure", "", {"start_ns": at(second - 1), "end_ns": at(second), "some_ms": 1.5}
    yield END + 0.5, "stop", "", {"samples": watched.count, "cpu_seconds": 1.2, "worst_lateness_ms": 2.1}


def metrics(watched: Watched) -> dict[str, list[dict[str, Any]]]:
    """What Prometheus scraped of the stopwatch, by query."""
    found: dict[str, list[dict[str, Any]]] = {"operations": [], "longest_gap": [], "void": []}
    scraped = np.array([at(second) for second in SCRAPES])
    for name, rows in watched.rows.items():
        labels = {"instance": "10.77.0.2:9304", "stream": name}
        stream = Stream.of(name)
        if stream.kind == AWAY:
            continue
        for outcome in {Outcome.OK, *map(Outcome, np.unique(rows["outcome"]))}:  # the others stay at zero
            ended = np.sort(rows["end"][rows["outcome"] == outcome])
            counts = np.searchsorted(ended, scraped, side="right").tolist()
            found["operations"].append(series_of({**labels, "outcome": outcome.name.lower()}, SCRAPES, counts))
        found["longest_gap"].append(series_of(labels, SCRAPES, _longest(rows, scraped)))
        away = watched.rows[Stream(AWAY, CLIENT, stream.vantage).name]
        total = np.concatenate(([0], np.cumsum(away["end"] - away["start"])))
        voids = total[np.searchsorted(away["end"], scraped, side="right")] / S
        found["void"].append(series_of(labels, SCRAPES, voids.tolist()))
    return found


def _longest(rows: Rows, scraped: npt.NDArray[np.int64]) -> list[float]:
    """What an exporter would tell at each scrape: the longest time between two successful answers so far."""
    answers = np.sort(rows["end"][rows["outcome"] == Outcome.OK])
    longest = np.concatenate(([0, 0], np.maximum.accumulate(np.diff(answers))))
    seen = np.searchsorted(answers, scraped, side="right")
    gaps: list[float] = (np.maximum(longest[seen], scraped - answers[seen - 1]) / S).tolist()
    return gaps


