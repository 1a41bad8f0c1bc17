"""The life cycle, in real processes: reports, metrics, samples on disk, an own stall on the record, a quick stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from drainproof.clock import SystemClock
from drainproof.record import Case, CaseReader, Outcome
from drainproof.wait import Deadline, wait
from load.plan import PASSWORD_VARIABLE

PROJECT = Path(__file__).resolve().parents[3]
Start = Callable[..., "Running"]


class Running:
    """An observer process under test: `python` with some arguments and a plan."""

    def __init__(self, arguments: Sequence[str], plan_file: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *arguments, str(plan_file)], cwd=PROJECT, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env={**os.environ, PASSWORD_VARIABLE: "x"},
        )

    def wait_for(self, accept: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first report that is accepted; the test's own time limit ends a vain wait."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            report: dict[str, Any] = json.loads(line)
            if accept(report):
                return report
        raise AssertionError(f"the observer ended: {self.process.communicate()[1]}")

    def ready(self) -> None:
        self.wait_for(lambda report: report["kind"] == "ready")

    def samples(self, least: int) -> dict[str, Any]:
        return self.wait_for(lambda report: report.get("samples", 0) >= least)

    def stop(self) -> float:
        """Ask it to stop; the seconds it took. Fails unless it ended well."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, errors
        return time.monotonic() - begun


@pytest.fixture
def start(plan_file: Path) -> Iterator[Start]:
    started: list[Running] = []

    def begin(name: str = "", *, script: str = "") -> Running:
        started.append(Running(["-c", script] if script else ["-m", f"load.{name}"], plan_file))
        return started[-1]

    yield begin
    for running in started:
        if running.process.poll() is None:
            running.process.kill()
        running.process.communicate()


@pytest.fixture
def case(tmp_path: Path) -> CaseReader:
    return CaseReader(tmp_path / "case")


def merged(case: CaseReader) -> CaseReader:
    writing = Case(case.directory)
    writing.merge_samples()
    writing.close()
    assert not case.events("record"), "no shard is damaged"
    return case


def wait_for_event(case: CaseReader, kind: str) -> None:
    deadline = Deadline(10)
    wait(f"the witness says {kind}", lambda: case.events("witness", kind), until=bool, deadline=deadline, every=0.05)


def test_a_stopped_probe_confesses_its_stall_and_loses_no_sample(start: Start, case: CaseReader) -> None:
    probe = start("probe")
    probe.ready()
    probe.samples(30)
    probe.process.send_signal(signal.SIGSTOP)
    SystemClock().sleep(0.8)
    probe.process.send_signal(signal.SIGCONT)
    last = probe.wait_for(lambda report: report.get("stall_ms", 0) > 500)
    last = probe.samples(last["samples"] + 30)
    assert probe.stop() < 3
    (begun,), (stall,), (ended,) = (case.events("probe", kind) for kind in ("start", "stall", "stop"))
    assert set(begun.data["streams"]) == {"http-new/a", "http-reused/a", "http-new/vip", "http-reused/vip"}
    assert begun.data["priority"]
    assert 0.7e9 < stall.data["end_ns"] - stall.data["start_ns"] < 3e9
    samples = merged(case).samples()
    assert sum(len(stream) for stream in samples.values()) == ended.data["samples"] >= last["samples"]
    for stream in samples.values():
        late = stream.start_ns - stream.intended_ns
        assert (late > 0.6e9).sum() == 1
        inside = (stream.start_ns > stall.data["start_ns"] + 0.2e9) & (stream.start_ns < stall.data["end_ns"] - 0.1e9)
        assert not inside.any()


def test_failures_are_events_with_their_reasons_up_to_a_number(start: Start, case: CaseReader, server: Any) -> None:
    server.status = 503
    probe = start("probe")
    probe.samples(200)
    probe.stop()
    failures = case.events("probe", "failure")
    of_stream = [event for event in failures if event.object == "http-reused/a"]
    assert len(of_stream) == 50
    assert of_stream[0].data == {"outcome": "ERROR", "reason": "status 503", "key": -1}


def test_the_clinic_works_through_the_virtual_address_and_stops_at_once(
    start: Start, case: CaseReader, server: Any
) -> None:
    clinic = start("clinic")
    clinic.ready()
    paid = "POST /bills/7/pay"
    status = clinic.wait_for(lambda report: report.get("samples", 0) >= 10 and paid in server.seen)
    assert status["failures"] == 0
    assert clinic.stop() < 3
    samples = merged(case).samples()
    assert set(samples) <= {f"clinic/{name}" for name in (
        "GET doctors", "GET patients", "GET patient", "POST bills", "POST pay",
    )}
    assert sum(len(stream) for stream in samples.values()) >= status["samples"]
    assert all((stream.end_ns > stream.start_ns).all() for stream in samples.values())


def test_a_failed_request_of_the_clinic_keeps_its_reason(start: Start, case: CaseReader, server: Any) -> None:
    server.status = 503
    clinic = start("clinic")
    clinic.wait_for(lambda report: report.get("failures", 0) > 0)
    clinic.stop()
    outcomes = {outcome for stream in merged(case).samples().values() for outcome in stream.outcome.tolist()}
    assert Outcome.ERROR in outcomes <= {Outcome.ERROR, Outcome.INDETERMINATE}
    (failure, *_) = case.events("clinic", "failure")
    assert "status 503" in failure.data["reason"]


def test_a_request_under_way_when_the_clinic_stops_is_on_the_record(
    start: Start, case: CaseReader, server: Any
) -> None:
    clinic = start("clinic")
    clinic.samples(3)
    server.flowing.clear()
    asked = len(server.seen)
    wait("a request is held", lambda: len(server.seen), until=lambda seen: seen > asked, deadline=Deadline(10))
    assert clinic.stop() < 3
    outcomes = [outcome for stream in merged(case).samples().values() for outcome in stream.outcome.tolist()]
    assert 1 <= outcomes.count(Outcome.INDETERMINATE) <= 3
    assert set(outcomes) <= {Outcome.OK, Outcome.INDETERMINATE}
    (failure, *_) = case.events("clinic", "failure")
    assert failure.data["reason"] == "the clinic was stopped while the request was under way"


def test_the_witness_notes_identities_and_silence(start: Start, case: CaseReader, server: Any) -> None:
    witness = start("witness")
    witness.ready()
    wait_for_event(case, "identity")
    server.status = 500
    wait_for_event(case, "silent")
    assert witness.stop() < 3
    identity, silent = case.events("witness", "identity")[0], case.events("witness", "silent")[0]
    assert (identity.object, identity.data) == ("a", {"boot_id": "b", "hostname": "h", "uptime_s": 1.5})
    assert silent.data == {"reason": "status 500"}


def test_a_ledger_without_a_database_counts_errors_and_stops(start: Start, case: CaseReader, plan_file: Path) -> None:
    data = json.loads(plan_file.read_text())
    data["portal"]["sql_port"], data["load"]["sql_rate"] = 1, 50.0
    plan_file.write_text(json.dumps(data))
    ledger = start("ledger")
    ledger.samples(5)
    assert ledger.stop() < 3
    stream = merged(case).samples()["sql/a"]
    assert (stream.outcome == 1).all()
    assert (stream.key == -1).all()


SEVERAL_SPOOLS = """
import sys
import time
from drainproof.record.spool import Spool
from load.observer import observing, ready, run

LIMIT, SETTLE = 10**9 * 3600, 2 * 10**9 * 3600

def main(plan):
    spools = {"loop": Spool.create(["udp/a", "away/client"], capacity=CAPACITY), "ticks": Spool.create(["heartbeat/a"])}
    streams = [name for spool in spools.values() for name in spool.streams]
    with observing("probe", plan, streams, spools=spools, limit_ns=LIMIT, settle_ns=SETTLE) as observer:
        now = time.monotonic_ns()
        spools["ticks"].append(0, now, now, now, 0)
        spools["loop"].append(1, now, now, now + 1, 0)
        spools["loop"].begin(0, now, now)
        spools["loop"].append(0, now, now, now + 2, 1)
        ready(observer)
        observer.stop.wait()
    return 0

sys.exit(run(main, sys.argv[1:]))
"""


def test_an_observer_with_several_spools_tells_what_it_kept_and_what_it_left_out(
    start: Start, case: CaseReader
) -> None:
    probe = start(script=SEVERAL_SPOOLS.replace("CAPACITY", "8"))
    status = probe.samples(2)
    assert (status["samples"], status["failures"]) == (2, 1), "being away is no operation, and one has not ended"
    assert set(status["gap_ms"]) == {"udp/a", "heartbeat/a"}
    probe.stop()
    assert sorted(path.name for path in (case.directory / "shards").iterdir()) == ["loop.spool", "ticks.spool"]
    (ended,) = case.events("probe", "stop")
    assert (ended.data["samples"], ended.data["left_out"]) == (3, 1)
    counts = {name: len(stream) for name, stream in merged(case).samples().items()}
    assert counts == {"udp/a": 1, "away/client": 1, "heartbeat/a": 1}


def test_samples_that_were_overwritten_before_they_were_taken_end_the_observer(start: Start, case: CaseReader) -> None:
    probe = start(script=SEVERAL_SPOOLS.replace("CAPACITY", "2"))
    _, errors = probe.process.communicate(timeout=20)
    assert probe.process.returncode == 1
    assert "RecordError: 3 samples were not taken from a spool of 2 in time" in errors
    (ended,) = case.events("probe", "stop")
    assert ended.data["samples"] == 1


def test_an_observer_whose_reports_nobody_reads_ends(start: Start) -> None:
    probe = start("probe")
    probe.ready()
    assert probe.process.stdout is not None
    probe.process.stdout.close()
    probe.process.stdout = None
    assert probe.process.wait(10) == 0


def test_a_second_process_of_an_observer_keeps_the_first_ones_samples(start: Start, case: CaseReader) -> None:
    for _ in range(2):
        probe = start("probe")
        probe.samples(5)
        probe.stop()
    counted = sum(event.data["samples"] for event in case.events("probe", "stop"))
    assert sum(len(stream) for stream in merged(case).samples().values()) == counted


def test_a_wrong_plan_is_refused_in_a_sentence(start: Start, plan_file: Path) -> None:
    plan_file.write_text("{}")
    probe = start("probe")
    _, errors = probe.process.communicate(timeout=20)
    assert probe.process.returncode == 3
    assert "portal: Field required; correct it." in errors
    assert "Traceback" not in errors
