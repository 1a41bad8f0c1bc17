"""The probe against a real server: held, dead, closing and refusing; and its own stalls, by a clock that jumps."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from drainproof.record import Outcome
from drainproof.record.spool import Spool
from load.figures import StreamFigures
from load.plan import Plan
from load.probe import Probe, streams_of
from load.recorder import Recorder
from load.schedule import SECOND
from tests.unit.load.rows import rows_of

MS = 1_000_000


class JumpingClock:
    """The host's clock, which a test can let jump, as it does for a process that was stopped."""

    def __init__(self) -> None:
        self.jumped_ns = 0

    def __call__(self) -> int:
        return time.monotonic_ns() + self.jumped_ns


class Bench:
    """A probe that is stepped by the test."""

    def __init__(self, plan: Plan) -> None:
        self.clock = JumpingClock()
        self.recorder = Recorder([Spool.create(list(streams_of(plan)))], self.clock())
        self.probe = Probe(plan, self.recorder, self.clock)

    def run(self, seconds: float) -> None:
        end = time.monotonic_ns() + round(seconds * SECOND)
        while time.monotonic_ns() < end:
            self.probe.step()

    def run_until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic_ns() + 5 * SECOND
        while not condition():
            assert time.monotonic_ns() < end, "the condition did not come about in 5 s"
            self.probe.step()

    def streams(self) -> Sequence[StreamFigures]:
        with self.recorder.figures.upto(self.clock()) as streams:
            return streams

    def outcomes(self, outcome: Outcome) -> int:
        return sum(int(stream.outcomes[outcome]) for stream in self.streams())

    def rows(self, first: int = 0) -> list[tuple[int, ...]]:
        return rows_of(self.recorder.spools[0], first)

    def reasons(self) -> set[str]:
        return {failure.reason for failure in self.recorder.failures}


@pytest.fixture
def benches() -> Iterator[Callable[[Plan], Bench]]:
    """Makes benches of plans, and closes them."""
    made: list[Bench] = []

    def make(plan: Plan) -> Bench:
        made.append(Bench(plan))
        return made[-1]

    yield make
    for bench in made:
        bench.probe.run(lambda: True)


@pytest.fixture
def bench(benches: Callable[[Plan], Bench], plan: Plan) -> Bench:
    return benches(plan)


def with_load(plan: Plan, **load: float) -> Plan:
    return plan.model_copy(update={"load": plan.load.model_copy(update=load)})


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def test_every_stream_keeps_its_rate_and_kept_connections_are_few(bench: Bench, server: Any) -> None:
    bench.run(1.1)
    new, reused, *_ = (stream.outcomes[Outcome.OK] for stream in bench.streams())
    assert 25 <= new <= 51
    assert 50 <= reused <= 101
    assert bench.outcomes(Outcome.ERROR) == 0
    opened = sum(stream.operations for stream in bench.streams() if stream.name.startswith("http-new"))
    assert server.connections <= opened + 30


def test_intended_times_lie_on_each_streams_grid(bench: Bench) -> None:
    bench.run(0.5)
    for stream, period in enumerate((20 * MS, 10 * MS, 20 * MS, 10 * MS)):
        intended = [row[1] for row in bench.rows() if row[0] == stream]
        assert len({due % period for due in intended}) == 1
        assert all(row[2] >= row[1] for row in bench.rows())


def test_answers_that_are_held_show_as_a_gap_and_not_as_failures(bench: Bench, server: Any) -> None:
    bench.run(0.4)
    server.flowing.clear()
    bench.run(0.1)  # answers that were on their way have come in
    held = time.monotonic_ns()
    sent = len(server.seen)
    bench.run(0.6)
    assert len(server.seen) - sent > 40, "a server that holds its answers must not hold the probe"
    released = time.monotonic_ns()
    server.flowing.set()
    bench.run(0.4)
    assert bench.outcomes(Outcome.OK) == sum(stream.operations for stream in bench.streams())
    for stream in bench.streams():
        gap = stream.gap.longest_ns(bench.clock())
        assert released - held <= gap <= released - held + 300 * MS


def test_no_answer_in_time_is_a_timeout(plan: Plan, benches: Callable[[Plan], Bench], server: Any) -> None:
    server.flowing.clear()
    bench = benches(with_load(plan, timeout_seconds=0.2))
    bench.run_until(lambda: bench.outcomes(Outcome.TIMEOUT) >= 20)
    assert bench.reasons() == {"no answer"}
    durations = [end - start for _, _, start, end, _ in bench.rows()]
    assert min(durations) >= 200 * MS
    assert sorted(durations)[len(durations) // 2] < 2000 * MS  # long before a kernel gives up


def test_a_refused_connection_is_an_error(plan: Plan, benches: Callable[[Plan], Bench]) -> None:
    portal = plan.portal.model_copy(update={"http_port": unused_port()})
    bench = benches(plan.model_copy(update={"portal": portal}))
    bench.run_until(lambda: bench.outcomes(Outcome.ERROR) >= 5)
    assert bench.reasons() == {"connect: ECONNREFUSED"}


def test_an_error_status_is_an_error(bench: Bench, server: Any) -> None:
    server.status = 503
    bench.run_until(lambda: bench.outcomes(Outcome.ERROR) >= 5)
    assert bench.reasons() == {"status 503"}


def test_a_connection_closed_without_an_answer_is_an_error(bench: Bench, server: Any) -> None:
    bench.run(0.3)
    server.hang_up = True
    bench.run_until(lambda: bench.outcomes(Outcome.ERROR) >= 5)
    assert bench.reasons() <= {"closed without a whole answer", "answer: ECONNRESET"}


def test_idle_connections_that_the_server_closes_are_replaced_without_a_failure(bench: Bench, server: Any) -> None:
    server.one_each = True
    bench.run(0.6)
    assert bench.outcomes(Outcome.OK) > 50
    assert bench.outcomes(Outcome.ERROR) == 0


def test_a_stall_of_the_probe_is_late_in_each_stream_once_and_never_a_burst(bench: Bench) -> None:
    bench.run(0.4)
    before = bench.recorder.spools[0].written
    bench.clock.jumped_ns = 3 * SECOND
    bench.run(0.3)
    rows = bench.rows(before)
    late = [row for row in rows if row[2] - row[1] > 2 * SECOND]
    assert sorted(row[0] for row in late) == [0, 1, 2, 3]
    assert len(rows) < 120, "no burst for the slots that passed"
    (stall,) = bench.recorder.stalls
    assert stall.end_ns - stall.start_ns >= 3 * SECOND
    assert bench.recorder.worst_lateness_ns > 2.9 * SECOND
    assert bench.recorder.stall_seconds >= 3


def test_a_dead_target_does_not_delay_the_others(plan: Plan, benches: Callable[[Plan], Bench]) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent:
        port = silent.getsockname()[1]
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        bench = benches(with_load(plan, timeout_seconds=0.3))
        bench.probe._targets[0].peer = ("127.0.0.1", port)
        bench.run(1.0)
        dead, *alive = bench.streams()
        assert dead.outcomes[Outcome.TIMEOUT] > 15
        assert all(stream.failures == 0 and stream.operations > 20 for stream in alive)
        assert bench.reasons() == {"not connected"}
        for filler in fillers:
            filler.close()
