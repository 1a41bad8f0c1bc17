"""All tools and the stopwatch side by side on one wire: detection, error, false alarms and CPU per request."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.instrument.blackouts import MODES, MS, Blackout, Truth, log_uniform
from bench.instrument.crew import Crew, Member
from bench.instrument.hogs import HOGS, hogging
from bench.instrument.matching import match
from bench.instrument.measured import measured
from bench.instrument.peers import outputs
from bench.instrument.peers.readings import Reading, Requests, Window, best, by_failures
from bench.instrument.peers.tools import TOOLS, Task, Tool, Wrk, start, wall_ahead_ns
from bench.instrument.scale import Scale
from bench.instrument.stage import HTTP_PORT, Stage, Watch, soon, stage
from bench.instrument.table import Row
from drainproof.record import CaseReader

LENGTHS_MS = (5.0, 1500.0)
SLOT_NS, RUN_SECONDS = 4500 * MS, 4
"""In each slot there is one blackout or none, and one run of the tools that tell of runs only."""
FIRST_NS, LATEST_NS = 500 * MS, 1000 * MS
"""When in its slot a blackout begins: late enough for a run to stand, early enough for TCP to come back within it."""
QUIET_SLOTS = 3
EMPTY_SHARE = 0.2
STREAM = "udp/vm-0"
OURS = "drainproof"


@dataclass(frozen=True)
class Entry:
    """What one competitor has shown."""

    name: str
    how: str
    detection: float
    error_ns: int
    worst_ns: int
    false: int
    cpu_us: float
    failures: float | None = None

    def row(self, where: str) -> Row:
        shown = "" if self.failures is None else f"; {100 * self.failures:.0f} % by failures alone"
        return Row.told(
            f"{self.name} {where}",
            f"finds {100 * self.detection:.0f} %, error median {self.error_ns / MS:.2f} "
            f"max {self.worst_ns / MS:.1f} ms, {self.false} false, {self.cpu_us:.0f} us CPU a request"
            f"{shown} [{self.how}]",
        )


def contest(scale: Scale, directory: Path) -> Iterator[Row]:
    """The contest on a quiet machine, then beside hogs."""
    for tool in (*TOOLS, Wrk()):
        if not tool.present:
            yield Row.told(f"{tool.name}", f"missing; to have it compared: apt-get install {tool.package}")
    for where, blackouts, disturbed in (
        ("on a quiet machine", scale.peer_blackouts, False),
        (f"beside {HOGS} hogs", scale.peer_blackouts // 2, True),
    ):
        entries = _round(directory / where.split()[-1], blackouts, disturbed)
        yield from (entry.row(where) for entry in entries)
        yield _ahead(entries, where)


def _ahead(entries: list[Entry], where: str) -> Row:
    ours = next(entry for entry in entries if entry.name == OURS)
    others = [entry for entry in entries if entry is not ours]
    lines = {
        "detection": [one.name for one in others if one.detection > ours.detection],
        "error": [one.name for one in others if one.error_ns < ours.error_ns],
        "false alarms": [one.name for one in others if one.false < ours.false],
    }
    behind = "; ".join(f"{what}: behind {', '.join(names)}" for what, names in lines.items() if names)
    return Row.judged(f"side by side {where}", "nobody better in any of the three", behind or "nobody is", not behind)


def _round(directory: Path, blackouts: int, disturbed: bool) -> list[Entry]:
    chance = random.Random(4)
    slots = [True] * blackouts + [False] * max(1, round(EMPTY_SHARE * blackouts))
    chance.shuffle(slots)
    with stage(directory) as scene, ExitStack() as stack:
        line = scene.ground.lines[0]
        url, whole = f"http://{line.address}:{HTTP_PORT}/", (len(slots) + QUIET_SLOTS + 1) * SLOT_NS // 10**9
        task = Task(url, line.address, int(whole), directory)
        watch = scene.stopwatch("watch")
        scene.await_ready(watch)
        ahead = wall_ahead_ns()
        running = [(tool, *start(scene.crew, tool, task, scene.ground.client)) for tool in TOOLS if tool.present]
        begin = soon() + 2000 * MS
        wrk = _Wrk(scene, directory)
        for number in range(QUIET_SLOTS):
            wrk.run(begin + number * SLOT_NS)
        first = begin + QUIET_SLOTS * SLOT_NS
        if disturbed:
            stack.enter_context(hogging(scene.crew))
        scene.wires[0].play(_planned(chance, slots, first))
        for number in range(len(slots)):
            wrk.run(first + number * SLOT_NS)
        end = first + len(slots) * SLOT_NS
        scene.crew.rest_until(end)
        stack.close()
        scene.await_truths(blackouts)
        _end(scene.crew, running)
        scene.finish(watch)
        scene.end_wires()
        truths, quiet, window = scene.wires[0].truths(), (begin, first), (first, end)
        entries = [_ours(scene, watch, truths, quiet, window)]
        entries += [
            _theirs(tool, tool.read(member, task, begun, ahead), member, truths, quiet, window)
            for tool, member, begun in running
        ]
        if wrk.windows:
            entries.append(wrk.entry(truths, quiet))
        return entries


def _end(crew: Crew, running: list[tuple[Tool, Member, int]]) -> None:
    for tool, member, _ in sorted(running, key=lambda one: one[0].timed):
        crew.end(member, by=tool.ending)


def _planned(chance: random.Random, slots: list[bool], first_ns: int) -> list[Blackout]:
    found = []
    for number, dark in enumerate(slots):
        if dark:
            begin = first_ns + number * SLOT_NS + chance.randrange(FIRST_NS, LATEST_NS)
            found.append(Blackout(begin, begin + log_uniform(chance, *LENGTHS_MS), chance.choice(MODES)))
    return found


def _ours(scene: Stage, watch: Watch, truths: list[Truth], quiet: tuple[int, int], window: tuple[int, int]) -> Entry:
    seen = measured(watch, STREAM, quiet, window)
    reading = Reading("interval's midpoint", 0, match(seen.found, truths, scene.wires[0].stalls()))
    case = CaseReader(watch.directory)
    samples = case.samples()
    probes = sum(samples.count(stream) for stream in samples if not stream.startswith(("away", "heartbeat")))
    spent = sum(float(event.data["cpu_seconds"]) for event in case.events("stopwatch", "loop-end"))
    return _entry(OURS, f"midpoint; {100 * seen.void_share:.1f} % void", reading, 1e6 * spent / max(1, probes))


def _theirs(
    tool: Tool, told: Requests, member: Member, truths: list[Truth], quiet: tuple[int, int], window: tuple[int, int]
) -> Entry:
    inside = (told.start >= quiet[0]) & (told.start < window[1])
    told = Requests(told.start[inside], told.end[inside], told.good[inside])
    reading = best(told, quiet, truths)
    cpu = 1e6 * member.spent_seconds / max(1, len(inside))
    return _entry(tool.name, tool.how, reading, cpu, by_failures(told, truths))


def _entry(name: str, how: str, reading: Reading, cpu_us: float, failures: float | None = None) -> Entry:
    if reading.threshold_ns:
        how += f"; best: {reading.way} over {reading.threshold_ns / MS:.1f} ms"
    return Entry(
        name, how, reading.score.detection, reading.error_ns, reading.worst_ns, len(reading.score.false), cpu_us,
        failures,
    )


class _Wrk:
    """Runs of wrk, one in each slot."""

    def __init__(self, scene: Stage, directory: Path) -> None:
        self._scene = scene
        self._tool = Wrk()
        line = scene.ground.lines[0]
        self._task = Task(f"http://{line.address}:{HTTP_PORT}/", line.address, RUN_SECONDS, directory)
        self._spent, self._requests = 0.0, 0
        self.windows: list[Window] = []

    def run(self, begin_ns: int) -> None:
        """Run through the slot that begins then; without wrk, just let it pass."""
        crew = self._scene.crew
        crew.rest_until(begin_ns)
        if not self._tool.present:
            return
        argv = self._tool.command(self._task)
        member = crew.start(f"wrk{len(self.windows)}", argv, namespace=self._scene.ground.client)
        crew.wait(lambda: member.reap(block=False), 3.0 * RUN_SECONDS, "wrk did not end")
        crew.members.remove(member)
        slowest, requests, errors = outputs.wrk(member.said())
        self.windows.append(Window(begin_ns, begin_ns + SLOT_NS, slowest, errors))
        self._spent += member.spent_seconds
        self._requests += requests

    def entry(self, truths: list[Truth], quiet: tuple[int, int]) -> Entry:
        """What all runs together have shown."""
        reading = best(self.windows, quiet, truths)
        cpu = 1e6 * self._spent / max(1, self._requests)
        return _entry(self._tool.name, self._tool.how, reading, cpu, by_failures(self.windows, truths))
