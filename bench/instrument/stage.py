"""The stage of one measurement: wires, servers and stopwatches that play together for the length of a block."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.figure import PROJECT
from bench.instrument.blackouts import MS, Blackout, Truth, as_line, read_truth
from bench.instrument.crew import AGENT_LEVEL, SERVER_LEVEL, WIRE_LEVEL, BenchError, Crew, Member
from bench.instrument.places import Ground, Line, ground
from drainproof.record import Case
from drainproof.settings import Load
from load.plan import Machine, Plan, Portal
from load.stopwatch import PRIORITY_VARIABLE

AGENT = PROJECT / "lab/image/guest/root/usr/lib/drainproof/agent"
HTTP_PORT, AGENT_PORT = 8080, 7007
WORLD_CPU = "0"
"""Wires and servers share a processor: to wake each other on another one costs a virtual machine tens of
microseconds. The stopwatch takes the last one for itself."""
RING = 256
"""Frames that a wire holds each way while it holds, as a card's ring does; more are lost."""
LEAD_NS = 500 * MS
PROBES_ONLY = Load(tcp_kept_rate=10, tcp_new_rate=10, heartbeat_rate=10)
"""What is measured is the UDP stream; the others run, but leave the processors to it."""


@dataclass(frozen=True)
class Wire:
    """One wire at work."""

    line: Line
    member: Member
    truth: Path

    def play(self, blackouts: Sequence[Blackout]) -> None:
        """Have these blackouts happen."""
        self.member.tell(as_line(blackouts))

    def truths(self) -> list[Truth]:
        """What has happened so far."""
        return read_truth(self.truth)

    def stalls(self) -> list[tuple[int, int]]:
        """When the wire itself stood still, known after its end."""
        return [(begin, end) for begin, end in self.report()["stalls"]]

    def report(self) -> Mapping[str, Any]:
        """What the wire says of itself after its end."""
        found: Mapping[str, Any] = json.loads(self.member.said().splitlines()[-1])
        return found


@dataclass(frozen=True)
class Watch:
    """One stopwatch at work, and the case that it writes."""

    member: Member
    plan: Plan

    @property
    def directory(self) -> Path:
        return self.plan.case_dir


@dataclass
class Stage:
    """Everything that plays."""

    crew: Crew
    ground: Ground
    wires: list[Wire] = field(default_factory=list)

    def stopwatch(self, name: str, load: Load = PROBES_ONLY, priority: str = "realtime") -> Watch:
        """Start a stopwatch that looks at every server; it is ready when `await_ready` returns."""
        case = self.crew.directory / name
        machines = tuple(Machine(name=f"vm-{line.number}", address=line.address) for line in self.ground.lines)
        portal = Portal(vms=machines, virtual_ip=machines[0].address, http_port=HTTP_PORT, agent_port=AGENT_PORT)
        plan = Plan(case_dir=case, run_id="bench", portal=portal, load=load)
        file = self.crew.directory / f"{name}.json"
        file.write_text(plan.model_dump_json())
        member = self.crew.module(
            name, "load.stopwatch", str(file), namespace=self.ground.client, environment={PRIORITY_VARIABLE: priority},
        )
        return Watch(member, plan)

    def await_ready(self, *watches: Watch) -> None:
        """Wait until these stopwatches look."""
        for watch in watches:
            self.crew.await_word(watch.member, '"ready"')

    def await_truths(self, expected: int) -> None:
        """Wait until each wire has told so many blackouts; raises BenchError when one does not."""
        self.crew.wait(
            lambda: all(len(wire.truths()) >= expected for wire in self.wires), 10.0, "a wire did not tell all it did",
        )

    def finish(self, *watches: Watch) -> None:
        """End these stopwatches and make samples.parquet of what they have seen."""
        self.crew.end(*(watch.member for watch in watches))
        for watch in watches:
            if watch.member.process.returncode:
                raise BenchError(f"{watch.member.name} ended with code {watch.member.process.returncode}")
            case = Case(watch.directory)
            case.merge_samples()
            case.close()

    def end_wires(self) -> None:
        """End the wires, so that they say what they have cost."""
        self.crew.end(*(wire.member for wire in self.wires), by=None)


@contextmanager
def stage(directory: Path, wires: int = 1) -> Iterator[Stage]:
    """Wires, each with a server at its end that runs the guests' own agent and answers HTTP."""
    directory.mkdir(parents=True, exist_ok=True)
    crew = Crew(directory)
    with ground(wires) as laid:
        try:
            yield Stage(crew, laid, [_open(crew, line) for line in laid.lines])
        finally:
            if crew.members:
                crew.end()


def _open(crew: Crew, line: Line) -> Wire:
    number, truth = line.number, crew.directory / f"truth{line.number}.jsonl"
    wire = crew.module(
        f"wire{number}", "bench.instrument.wire", str(truth), str(RING), namespace=line.wire, realtime=WIRE_LEVEL,
        cpu=WORLD_CPU,
    )
    crew.await_word(wire, "ready")
    agent = crew.start(
        f"agent{number}", [sys.executable, "-u", str(AGENT), line.address, str(AGENT_PORT)], namespace=line.server,
        realtime=AGENT_LEVEL, cpu=WORLD_CPU,
    )
    crew.await_word(agent, str(AGENT_PORT))
    server = crew.module(
        f"server{number}", "bench.instrument.server", line.address, str(HTTP_PORT), namespace=line.server,
        realtime=SERVER_LEVEL, cpu=WORLD_CPU,
    )
    crew.await_word(server, "ready")
    return Wire(line, wire, truth)


def soon() -> int:
    """A monotonic instant a moment from now."""
    return time.monotonic_ns() + LEAD_NS
