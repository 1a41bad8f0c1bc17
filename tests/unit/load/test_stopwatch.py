"""The stopwatch as its harness runs it: parent, responder and loop as processes, stopped, killed and orphaned."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drainproof.record import Outcome
from drainproof.record.events import Event, read_events
from drainproof.record.shards import read_shard
from drainproof.wait import Deadline, wait
from load.plan import Plan
from load.stopwatch_streams import views_of
from tests.unit.load.echo_agent import Guest, guest
from tests.unit.load.stopwatches import MS, plan_of


class Running:
    """One stopwatch with its children."""

    def __init__(self, plan: Plan) -> None:
        self.case = plan.case_dir
        path = self.case.parent / "plan.json"
        path.write_text(plan.model_dump_json())
        self.process = subprocess.Popen(
            [sys.executable, "-m", "load.stopwatch", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env={**os.environ, "DRAINPROOF_STOPWATCH_PRIORITY": "raised"},
        )
        assert self.process.stdout is not None
        self.said = iter(self.process.stdout)

    def wait_ready(self) -> None:
        assert any(json.loads(line)["kind"] == "ready" for line in self.said), self.process.communicate()[1]

    def events(self, kind: str) -> list[Event]:
        return [event for event in read_events(self.case / "events.jsonl") if event.kind == kind]

    def wait_for(self, condition: Callable[[], Any]) -> None:
        wait("the condition", condition, until=bool, deadline=Deadline(10), every=0.02)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=20)
        return self.process.returncode

    def rows(self, shard: str, stream: str) -> Any:
        streams, rows, trouble = read_shard(self.case / "shards" / f"{shard}.spool")
        assert trouble == ""
        return rows[rows["stream"] == streams.index(stream)]


@pytest.fixture
def agent() -> Iterator[Guest]:
    with guest() as running:
        yield running


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[Plan], Running]]:
    started: list[Running] = []

    def run(plan: Plan) -> Running:
        started.append(Running(plan))
        return started[-1]

    yield run
    for running in started:
        running.stop()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_loop_that_is_stopped_says_so_and_does_not_catch_up(
    start: Callable[[Plan], Running], agent: Guest, tmp_path: Path
) -> None:
    running = start(plan_of(tmp_path / "case", agent.port, udp_rate=500))
    running.wait_ready()
    (loop,) = running.events("loop")
    running.wait_for(lambda: len(running.rows("stopwatch-outside", "udp/a")) > 50)
    os.kill(loop.data["pid"], signal.SIGSTOP)
    running.wait_for(lambda: Path(f"/proc/{loop.data['pid']}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    stopped = time.monotonic_ns()
    running.wait_for(lambda: time.monotonic_ns() > stopped + 100 * MS)
    resumed = time.monotonic_ns()
    os.kill(loop.data["pid"], signal.SIGCONT)
    running.wait_for(lambda: running.rows("stopwatch-outside", "udp/a")["start"].max() > resumed)
    assert running.stop() == 0
    away = running.rows("stopwatch-outside", "away/client")
    assert ((away["start"] <= stopped) & (away["end"] >= resumed)).any()
    starts = running.rows("stopwatch-outside", "udp/a")["start"]
    assert not ((starts > stopped) & (starts < resumed)).any()
    assert np.sum((starts >= resumed) & (starts < resumed + 20 * MS)) <= 12, "no burst for the slots that passed"


def test_everything_is_on_disk_when_it_has_ended(
    start: Callable[[Plan], Running], agent: Guest, tmp_path: Path
) -> None:
    vantages = {"vantages": [{"name": "n1", "exec": ["env", "THERE=1"]}]}
    plan = Plan.model_validate_json(
        json.dumps({**plan_of(tmp_path / "case", agent.port, vantage_share=0.5).model_dump(mode="json"), **vantages})
    )
    running = start(plan)
    running.wait_ready()
    running.wait_for(lambda: len(running.rows("stopwatch-n1", "udp/a@n1")) > 5)
    running.wait_for(lambda: len(running.rows("heartbeat-outside", "heartbeat/a")) > 5)
    assert running.stop() == 0
    for view in views_of(plan):
        for stream in view.rates:
            rows = running.rows(f"stopwatch-{view.vantage}", stream.name)
            assert len(rows) > 5
            assert (rows["outcome"] == Outcome.OK).mean() > 0.8
    (begun,) = running.events("start")
    assert begun.data["kernel"] == os.uname().release
    streams = {stream.name for view in views_of(plan) for stream in (*view.rates, *view.heartbeats)}
    assert set(begun.data["rates"]) == streams
    assert {event.data["vantage"] for event in running.events("loop")} == {"outside", "n1"}
    assert len(running.events("loop-end")) == 2


def test_known_blackouts_are_told_and_are_in_the_samples(
    start: Callable[[Plan], Running], agent: Guest, tmp_path: Path
) -> None:
    running = start(
        plan_of(tmp_path / "case", agent.port, control_every_seconds=1, control_blackout_ms=60, control_rate=200)
    )
    running.wait_ready()
    running.wait_for(lambda: len(running.events("control-blackout")) >= 2)
    assert running.stop() == 0
    rows = running.rows("stopwatch-outside", "control/client")
    first, second = running.events("control-blackout")[:2]
    assert (first.data["mode"], second.data["mode"]) == ("drop", "hold")
    for blackout in (first, second):
        dark = (rows["start"] > blackout.data["start_ns"]) & (rows["start"] < blackout.data["end_ns"] - 10 * MS)
        assert dark.sum() >= 3
        prompt = (rows["outcome"] == Outcome.OK) & (rows["end"] < blackout.data["end_ns"])
        assert not (dark & prompt).any()


def test_without_an_agent_there_are_connections_and_the_control_only(
    start: Callable[[Plan], Running], agent: Guest, tmp_path: Path
) -> None:
    plan = plan_of(tmp_path / "case", agent.port, agentless=True)
    running = start(plan)
    running.wait_ready()
    running.wait_for(lambda: len(running.rows("stopwatch-outside", "tcp-new/a")) > 5)
    assert running.stop() == 0
    assert [stream.name for stream in views_of(plan)[0].rates] == ["control/client", "tcp-new/a"]
    assert [path.name for path in (tmp_path / "case" / "shards").iterdir()] == ["stopwatch-outside.spool"]


def test_a_child_that_dies_ends_the_stopwatch_with_an_error(
    start: Callable[[Plan], Running], agent: Guest, tmp_path: Path
) -> None:
    running = start(plan_of(tmp_path / "case", agent.port))
    running.wait_ready()
    (loop,) = running.events("loop")
    os.kill(loop.data["pid"], signal.SIGKILL)
    _, errors = running.process.communicate(timeout=20)
    assert running.process.returncode not in (0, None)
    assert "loop at outside ended" in errors
    assert running.events("stop")


def test_children_do_not_outlive_a_killed_parent(
    start: Callable[[Plan], Running], agent: Guest, tmp_path: Path
) -> None:
    running = start(plan_of(tmp_path / "case", agent.port))
    running.wait_ready()
    running.wait_for(lambda: running.events("loop"))
    pids = [event.data["pid"] for event in (*running.events("loop"), *running.events("responder"))]
    assert len(pids) == 2
    running.process.kill()
    running.process.communicate()
    running.wait_for(lambda: not any(alive(pid) for pid in pids))


def test_a_priority_that_does_not_exist_is_refused(agent: Guest, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(plan_of(tmp_path / "case", agent.port).model_dump_json())
    done = subprocess.run(
        [sys.executable, "-m", "load.stopwatch", str(path)], capture_output=True, text=True, timeout=20,
        env={**os.environ, "DRAINPROOF_STOPWATCH_PRIORITY": "highest"},
    )
    assert done.returncode != 0
    assert "There is no priority 'highest'" in done.stderr
