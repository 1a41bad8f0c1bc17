"""The stopwatch's planes on their loop against real sockets: stopped, late, refusing, closing, lying."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from drainproof.record import Outcome
from drainproof.record.spool import PENDING
from load.plan import Plan
from tests.unit.load.echo_agent import Guest, guest
from tests.unit.load.stopwatches import MS, SECOND, Bench, plan_of

OK, ERROR, TIMEOUT, LATE = (int(outcome) for outcome in (Outcome.OK, Outcome.ERROR, Outcome.TIMEOUT, Outcome.LATE))
OPERATIONS = ("control/client", "udp/a", "tcp-kept/a", "tcp-new/a")
Benches = Callable[..., Bench]


class JumpingClock:
    """The host's clock, which a test can let jump, as it does for a process that was stopped."""

    def __init__(self) -> None:
        self.jumped_ns = 0

    def __call__(self) -> int:
        return time.monotonic_ns() + self.jumped_ns


@pytest.fixture
def agent() -> Iterator[Guest]:
    with guest() as running:
        yield running


@pytest.fixture
def benches(tmp_path: Path) -> Iterator[Benches]:
    """Makes benches of plans, and closes them."""
    made: list[Bench] = []

    def make(plan: Plan, control_port: int = 0, **options: object) -> Bench:
        made.append(Bench(plan, control_port or plan.portal.agent_port, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for bench in made:
        bench.close()


@pytest.fixture
def bench(benches: Benches, agent: Guest, tmp_path: Path) -> Bench:
    return benches(plan_of(tmp_path, agent.port))


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def hang_up_once(server: socket.socket) -> None:
    """Close a connection once something was said on it, and answer on the next."""
    first, _ = server.accept()
    first.recv(16)
    first.close()
    second, _ = server.accept()
    with second:
        second.sendall(second.recv(16))


def test_every_stream_is_probed_at_its_rate_and_answered(bench: Bench) -> None:
    bench.run(0.8)
    bench.close()
    for stream in OPERATIONS:
        assert 30 <= len(bench.rows(stream)) <= 61
        assert bench.outcomes(stream) == [OK]
    assert bench.told.events == []


def test_strict_streams_keep_to_grids_of_their_own_and_new_connections_do_not(bench: Bench) -> None:
    bench.run(0.8)
    phases = {}
    for stream in OPERATIONS:
        rows = bench.rows(stream)
        phases[stream] = {int(phase) for phase in (rows["start"] - rows["late"]) % (10 * MS)}
    assert len(phases.pop("tcp-new/a")) > 20
    assert [len(found) for found in phases.values()] == [1, 1, 1]
    assert phases["control/client"] == phases["udp/a"] != phases["tcp-kept/a"]


def test_each_tick_of_a_guest_is_a_row_with_the_guests_own_time(bench: Bench) -> None:
    bench.run_until(lambda: len(bench.rows("heartbeat/a")) >= 20)
    rows = bench.rows("heartbeat/a")
    assert (rows["start"] == rows["end"]).all()
    assert np.median(rows["start"] - rows["key"]) < 5 * MS, "guest and client share a clock here"
    assert set(rows["outcome"]) == {OK}


def test_answers_that_a_stopped_guest_gives_afterwards_end_when_they_arrive(bench: Bench, agent: Guest) -> None:
    bench.run(0.4)
    stopped = agent.stop()
    bench.run(0.05)
    streams = ("udp/a", "tcp-kept/a")
    bench.run_until(lambda: all((bench.rows(stream)["start"] > stopped).sum() >= 3 for stream in streams))
    resumed = agent.resume()
    bench.run(0.2)
    bench.close()
    for stream in streams:
        rows = bench.rows(stream)
        held = rows[(rows["start"] > stopped) & (rows["start"] < resumed)]
        assert len(held) >= 3
        assert (held["end"] > resumed).all()
        assert bench.outcomes(stream) == [OK]
    ticks = bench.rows("heartbeat/a")["start"]
    assert not ((ticks > stopped + 2 * MS) & (ticks < resumed)).any()


def test_an_answer_after_the_limit_is_late_and_ends_when_it_came(
    benches: Benches, agent: Guest, tmp_path: Path
) -> None:
    bench = benches(plan_of(tmp_path, agent.port, probe_timeout_seconds=0.1))
    bench.run(0.3)
    agent.stop()
    bench.run(0.25)
    agent.resume()
    bench.run_until(lambda: (bench.rows("udp/a")["outcome"] == LATE).sum() >= 5)
    late = bench.rows("udp/a")[bench.rows("udp/a")["outcome"] == LATE]
    assert (late["end"] - late["start"] > 100 * MS).all()


def test_a_stalled_connection_is_told_once_with_what_the_kernel_says(bench: Bench, agent: Guest) -> None:
    bench.run(0.4)
    stopped = agent.stop()
    bench.run(0.3)
    resumed = agent.resume()
    bench.run_until(lambda: bool(bench.told.events))
    bench.run(0.1)
    ((kind, subject, facts),) = bench.told.events
    assert (kind, subject, facts["answered"]) == ("tcp-stall", "tcp-kept/a", True)
    assert stopped <= facts["start_ns"] <= stopped + 30 * MS
    assert facts["end_ns"] >= resumed
    assert {"rto_us", "retransmits", "backoff", "rtt_us", "total_retrans", "steps"} <= facts.keys()


def test_a_lost_connection_is_an_error_until_it_is_opened_again(benches: Benches, agent: Guest, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        plan = plan_of(tmp_path, server.getsockname()[1], http_port=agent.port)
        serving = threading.Thread(target=hang_up_once, args=(server,), daemon=True)
        serving.start()
        bench = benches(plan, agent.port)
        bench.run_until(lambda: OK in bench.rows("tcp-kept/a")["outcome"])
        serving.join()
    kind, subject, facts = bench.told.events[0]
    assert (kind, subject) == ("connection-lost", "tcp-kept/a")
    assert facts["reason"] in ("closed by the peer", "ECONNRESET", "EPIPE")
    assert ERROR in bench.rows("tcp-kept/a")["outcome"]


def test_an_answer_out_of_order_ends_the_connection(benches: Benches, agent: Guest, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        bench = benches(plan_of(tmp_path, server.getsockname()[1], http_port=agent.port), agent.port)
        connection, _ = server.accept()
        connection.sendall(bytes(16))
        bench.run_until(lambda: bench.told.events != [])
        connection.close()
    assert bench.told.events[0][2]["reason"] == "an answer that was not asked for"


def test_what_is_refused_is_an_error(benches: Benches, agent: Guest, tmp_path: Path) -> None:
    bench = benches(plan_of(tmp_path, unused_port()), agent.port)
    bench.run_until(lambda: all((bench.rows(stream)["outcome"] == ERROR).sum() >= 5 for stream in OPERATIONS[1:]))
    assert OK not in bench.outcomes("udp/a")
    assert (bench.rows("control/client")["outcome"] == OK).any()


def test_a_connection_that_nobody_takes_times_out_at_its_limit(
    benches: Benches, agent: Guest, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent:
        port = silent.getsockname()[1]
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        bench = benches(plan_of(tmp_path, agent.port, http_port=port, probe_timeout_seconds=0.1))
        bench.run_until(lambda: (bench.rows("tcp-new/a")["outcome"] == TIMEOUT).sum() >= 5)
        rows = bench.rows("tcp-new/a")
        given_up = rows[rows["outcome"] == TIMEOUT]
        assert (given_up["end"] - given_up["start"] == 100 * MS).all()
        assert bench.outcomes("udp/a")[0] == OK
        for filler in fillers:
            filler.close()


def test_answers_to_what_was_not_asked_are_not_believed(benches: Benches, agent: Guest, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as liar:
        liar.bind(("127.0.0.1", 0))
        bench = benches(
            plan_of(tmp_path, liar.getsockname()[1], http_port=agent.port, probe_timeout_seconds=0.1), agent.port
        )
        bench.run_until(lambda: len(bench.rows("udp/a")) >= 3)
        request, client = liar.recvfrom(64)
        while request[:4] != b"DPE1":
            request, client = liar.recvfrom(64)
        future = (1 << 63).to_bytes(8, "little")
        for lie in (b"", b"DPE1", request, b"DPE2" + request[4:] + bytes(8), request[:8] + future + bytes(8)):
            liar.sendto(lie, client)
        answered = liar.sendto(request + bytes(8), client) and int.from_bytes(request[8:16], "little")
        liar.sendto(request + bytes(8), client)
        bench.run_until(lambda: OK in bench.rows("udp/a")["outcome"])
    assert (bench.rows("udp/a")["outcome"] == OK).sum() == 1
    assert bench.spool.rows(answered, answered + 1)["outcome"][0] == OK


def test_what_was_sent_last_is_still_waited_for(benches: Benches, agent: Guest, tmp_path: Path) -> None:
    bench = benches(plan_of(tmp_path, agent.port, probe_timeout_seconds=5))
    bench.run(0.3)
    agent.stop()
    bench.run(0.05)
    assert PENDING in bench.rows("udp/a")["outcome"]
    threading.Timer(0.1, agent.resume).start()
    bench.close()
    assert PENDING not in bench.spool.rows(0, bench.spool.written)["outcome"]


def test_an_absence_is_a_row_and_never_a_burst(benches: Benches, agent: Guest, tmp_path: Path) -> None:
    clock = JumpingClock()
    bench = benches(plan_of(tmp_path, agent.port), clock=clock)
    bench.run(0.4)
    before = {stream: len(bench.rows(stream)) for stream in OPERATIONS}
    left = clock()
    jump = threading.Timer(0.03, setattr, (clock, "jumped_ns", 3 * SECOND))
    jump.start()
    bench.run_until(lambda: clock.jumped_ns > 0)
    bench.run(0.1)
    away = bench.rows("away/client")
    longest = away[np.argmax(away["end"] - away["start"])]
    assert left <= longest["start"] <= left + SECOND
    assert longest["end"] >= left + 3 * SECOND
    for stream in OPERATIONS:
        rows = bench.rows(stream)[before[stream]:]
        assert len(rows) <= 20, "no burst for the slots that passed"
        assert (rows["late"] > 2 * SECOND).sum() <= 1
