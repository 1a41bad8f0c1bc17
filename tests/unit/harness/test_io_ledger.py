"""The ledger of writes, with the guest's own program behind a listener of the test's: what comes into the record."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from drainproof.errors import DrainproofError
from drainproof.record import Event, EventLog
from drainproof.record.events import read_events
from drainproof.wait import Deadline, wait
from scenarios.bench import BenchError, Guest, Line
from scenarios.fio import Fio, result_of
from scenarios.fio_steps import MOST
from scenarios.io_ledger import COLUMNS, IoLedger, _Chunk
from tests.unit.lab.test_image_storage_bench import PROGRAM

FIO_SAYS = """{"fio version": "fio-3.33", "global options": {"size": "64m"}, "jobs": [{"error": 0,
"job options": {"rw": "randrw"},
"read": {"total_ios": 10, "iops": 5.0, "bw_bytes": 20480, "runtime": 2000,
         "clat_ns": {"max": 9000000, "percentile": {"50.000000": 1000000, "99.000000": 8000000}}},
"write": {"total_ios": 0, "iops": 0, "bw_bytes": 0, "runtime": 0, "clat_ns": {"max": 0}}}]}"""


@dataclass
class Listener:
    """Starts the program for each client, as the guest's listener does."""

    folder: Path
    socket: socket.socket
    programs: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            argv = [sys.executable, "-IS", str(PROGRAM), str(self.folder)]
            self.programs.append(subprocess.Popen(argv, stdin=connection.fileno(), stdout=connection.fileno()))
            connection.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    folder = Path(__file__).parent / f".ledger-{os.getpid()}"
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found = Listener(folder, taken)
        thread = threading.Thread(target=found.serve, daemon=True)
        thread.start()
        yield found
        taken.shutdown(socket.SHUT_RDWR)
        thread.join()
    for program in found.programs:
        program.kill()
        program.wait()
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


@pytest.fixture
def guest(listener: Listener) -> Guest:
    return Guest(vm="bench-0", address="127.0.0.1", port=listener.socket.getsockname()[1])


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    found = EventLog(tmp_path / "events.jsonl")
    yield found
    found.close()


@pytest.fixture
def ledger(guest: Guest, log: EventLog) -> IoLedger:
    return IoLedger(guest, log, rate=100, room=1000)


def events(folder: Path, kind: str) -> list[Event]:
    return [event for event in read_events(folder / "events.jsonl") if event.kind == kind]


def acknowledged(ledger: IoLedger, count: int) -> None:
    wait("so many writes", lambda: ledger.acknowledged, until=lambda seen: seen >= count, deadline=Deadline(30))


def test_what_is_acknowledged_is_in_the_record_and_on_the_disk(ledger: IoLedger, tmp_path: Path) -> None:
    """Every number with its times; what was read back stands beside them."""
    ledger.open(Deadline(30))
    acknowledged(ledger, 20)
    ledger.check_alive()
    ledger.close(Deadline(30))
    begin, end = events(tmp_path, "begin")[0], events(tmp_path, "end")[0]
    us: dict[str, list[int]] = {name: [] for name in COLUMNS}
    for event in events(tmp_path, "writes"):
        for name, column in event.data["us"].items():
            us[name] += column
    count = len(us["seq"])
    assert us["seq"] == list(range(count))
    assert (end.data["orderly"], end.data["acknowledged"], end.data["next"]) == (True, count, count)
    assert begin.data["period_s"] == 0.01
    assert all(due <= given <= done for due, given, done in
               zip(us["intended"], us["submitted"], us["completed"], strict=True))
    assert us["arrived"] == sorted(us["arrived"])
    told = ledger.verify(ledger.guest, Deadline(30))
    assert told["states"]["present"] == [[0, count - 1]]
    assert events(tmp_path, "verified")[0].data["nonce"] == begin.data["nonce"]


def test_a_second_session_goes_on_where_the_first_ended(ledger: IoLedger, tmp_path: Path) -> None:
    """No record is written twice."""
    for count in (5, 5):
        ledger.open(Deadline(30))
        acknowledged(ledger, count)
        ledger.close(Deadline(30))
    first, second = events(tmp_path, "begin")
    assert second.data["first"] == events(tmp_path, "end")[0].data["next"] > 0
    assert (first.data["session"], second.data["session"]) == (1, 2)
    assert first.data["nonce"] == second.data["nonce"]


def test_a_guest_that_dies_breaks_the_ledger_off(ledger: IoLedger, listener: Listener, tmp_path: Path) -> None:
    """What it acknowledged until then is kept, and that there may be more."""
    ledger.open(Deadline(30))
    acknowledged(ledger, 5)
    listener.programs[0].kill()
    with pytest.raises(BenchError, match="ended by itself"):
        wait("the guest is gone", ledger.check_alive, until=lambda _: False, deadline=Deadline(30))
    ledger.close(Deadline(5))
    end = events(tmp_path, "end")[0].data
    assert (end["orderly"], end["next"]) == (False, None)
    assert end["acknowledged"] >= 5


def test_a_full_ledger_is_not_begun(guest: Guest, log: EventLog) -> None:
    """The guest refuses, in its own words."""
    ledger = IoLedger(guest, log, rate=100, room=10, next=11)
    with pytest.raises(DrainproofError, match="refused: 11 is not between 0 and 10"):
        ledger.open(Deadline(30))
    assert not ledger.is_open


def test_a_ledger_that_is_full_says_so(guest: Guest, log: EventLog) -> None:
    """It did not end by itself: the profile's time is over."""
    ledger = IoLedger(guest, log, rate=100, room=5)
    ledger.open(Deadline(30))
    with pytest.raises(BenchError, match="is full: all of its 5 records.*storage.ledger_seconds"):
        wait("it is full", ledger.check_alive, until=lambda _: False, deadline=Deadline(30))
    ledger.close(Deadline(5))


def test_a_write_that_is_not_answered_is_in_the_record(guest: Guest, log: EventLog, tmp_path: Path) -> None:
    """With the time for which it was out, by the guest's clock."""
    ledger = IoLedger(guest, log, rate=100, room=5)
    said = ["begin boot 1000000000", "a 0 1000000000 1000100000 1002000000 0",
            "h 1 1010000000 1010100000 2010100000 5000000"]
    chunk = _Chunk()
    for place, line in enumerate(said):
        ledger._take(Line(10**9 * (7 + place), line), chunk)
    (event,) = events(tmp_path, "waiting")
    assert event.t_ns == 9 * 10**9
    assert event.data == {
        "session": 0, "seq": 1, "submitted_us": 10_100, "told_us": 1_010_100, "own_us": 5_000,
    }
    assert chunk.columns["seq"] == [0]


def test_an_answer_that_nobody_wants_any_more_is_not_waited_for(guest: Guest) -> None:
    """Who breaks off a storm does not wait for machines that are yet to boot."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        asleep = Guest(vm="storm-0", address="127.0.0.1", port=silent.getsockname()[1])
        with pytest.raises(BenchError, match="did not answer 'hello' in time"):
            asleep.hello(Deadline(600), lambda: True)


def test_a_guest_without_a_bench_says_so(log: EventLog) -> None:
    """A foreign image: the error names the machine and the port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    guest = Guest(vm="bench-0", address="127.0.0.1", port=port)
    with pytest.raises(BenchError, match=f"bench-0: .*no bench answers at 127.0.0.1 port {port}"):
        guest.hello(Deadline(0.1))
    ledger = IoLedger(guest, log, rate=100, room=10)
    with pytest.raises(DrainproofError):
        ledger.open(Deadline(0.1))


def test_the_first_answer_of_a_booting_guest_is_timed(guest: Guest) -> None:
    """It is asked again and again in one process, near the guest."""
    line, said = guest.hello(Deadline(20))
    assert line.arrived_ns > 0
    assert said["writable"] is True


def lines(text: str) -> list[Line]:
    return [Line(7, line) for line in text.splitlines()]


def test_what_is_kept_of_fio() -> None:
    """Seconds instead of nanoseconds; a direction in which nothing was done is none; what comes before is skipped."""
    told = result_of(lines(f"fio: something it complains about\n{FIO_SAYS}"))
    latency = {"p50_s": 0.001, "p99_s": 0.008, "max_s": 0.009}
    assert told["read"] == {"ios": 10, "iops": 5.0, "bytes_per_s": 20480, **latency}
    assert told["write"] is None
    assert (told["runtime_s"], told["ended_ns"]) == (2.0, 7)
    assert told["options"] == {"size": "64m", "rw": "randrw"}


def telling(own_ms: int, reads: dict[str, int], writes: dict[str, int]) -> str:
    """What fio has done since its job began, as it tells again and again."""
    ways = {}
    for way, bins in (("read", reads), ("write", writes)):
        count = sum(bins.values())
        percentile = {"percentile": {"50.000000": 1000, "99.000000": 2000}, "bins": bins} if count else {}
        told = {"total_ios": count, "iops": 1.0, "bw_bytes": 1, "io_bytes": count * 4096, "runtime": own_ms}
        ways[way] = {**told, "clat_ns": {"max": 0, "N": count, **percentile}}
    job = {"error": 0, "job options": {}, "job_runtime": own_ms, **ways}
    return json.dumps({"fio version": "fio-3.33", "jobs": [job]}, indent=2)


def test_what_fio_does_is_kept_step_by_step() -> None:
    """It tells what it has done since it began; kept is what it did since it told before, and the last word stands."""
    said = [(500, {"1000": 3}, {}), (1000, {"1000": 3, "2000": 4}, {}), (1400, {"1000": 4, "2000": 5}, {"9000": 1})]
    text = "\n\n".join(telling(*one) for one in said).replace("}\n\n{", "}\nfio: terminating on signal 2\n{", 1)
    told = result_of([Line(number, line) for number, line in enumerate(text.splitlines())])
    assert told["read"]["ios"] == 9
    steps = told["steps"]
    assert [one["own_ms"] for one in steps] == [500, 1000, 1400]
    assert [one["read"]["clat_ns"] for one in steps] == [{"1000": 3}, {"2000": 4}, {"1000": 1, "2000": 1}]
    assert [one["read"]["bytes"] for one in steps] == [3 * 4096, 4 * 4096, 2 * 4096]
    assert [one["write"]["clat_ns"] for one in steps] == [{}, {}, {"9000": 1}]
    assert steps[0]["arrived_ns"] == 0
    assert told["ended_ns"] == steps[2]["arrived_ns"]


def test_a_telling_that_broke_off_is_no_step() -> None:
    """What it would have told is in the next one."""
    first = telling(500, {"1000": 3}, {})
    said = [first[: len(first) // 2], telling(1000, {"1000": 7}, {}), telling(1500, {"1000": 8}, {})]
    steps = result_of(lines("\n".join(said)))["steps"]
    assert [one["read"]["clat_ns"] for one in steps] == [{"1000": 7}, {"1000": 1}]


def test_the_record_holds_no_more_than_so_many_steps() -> None:
    """Of a job that ran for long; nothing of what it did is lost."""
    said = "\n".join(telling(500 * number, {"1000": number}, {}) for number in range(1, 3 * MOST))
    steps = result_of(lines(said))["steps"]
    assert len(steps) <= MOST
    assert sum(one["read"]["clat_ns"]["1000"] for one in steps) == 3 * MOST - 1
    assert steps[-1]["own_ms"] == 500 * (3 * MOST - 1)


TALKATIVE = """import sys
from pathlib import Path
print("\\n".join(f"{number} {'.' * 100}" for number in range(5000)), flush=True)
Path(sys.argv[1]).touch()
sys.stdin.read()
print("7 " + sys.argv[2])
"""


class TalkativeGuest(Guest):
    """Its fio says more than a pipe holds, and tells its result when it is to end."""

    def ask(self, *wish: str, connect_seconds: float = 0.0) -> subprocess.Popen[str]:
        """Instead of the guest's service, a program of the test's."""
        argv = [sys.executable, "-c", TALKATIVE, self.address, telling(500, {"1000": 3}, {}).replace("\n", "")]
        return subprocess.Popen(argv, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_fio_is_listened_to_while_it_works(tmp_path: Path) -> None:
    """Otherwise it waits until somebody reads what it says, and measures that."""
    heard, log = tmp_path / "heard", tmp_path / "events.jsonl"
    events = EventLog(log)
    fio = Fio(guest=TalkativeGuest(vm="bench-0", address=str(heard)), events=events, mib=64, seconds=1)
    with fio._asked("random", "migration", 30):
        wait("fio has said all", heard.exists, until=bool, deadline=Deadline(20))
    events.close()
    result = next(event for event in read_events(log) if event.kind == "result")
    assert result.data["read"]["ios"] == 3


@pytest.mark.parametrize(("said", "words"), [
    ("fio: no space left on device", "fio told no result: fio: no space"),
    ("", "it said nothing"),
    ("{}", "no result that can be read"),
    (FIO_SAYS.replace('"error": 0', '"error": 28'), "fio ended with error 28"),
    (FIO_SAYS[:100], "no result that can be read"),
])
def test_fio_without_a_result_is_an_error(said: str, words: str) -> None:
    """In its own words."""
    with pytest.raises(BenchError, match=words):
        result_of(lines(said))
