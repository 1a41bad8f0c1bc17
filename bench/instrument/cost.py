"""What one probe of the stopwatch costs, what the sample hook costs Locust, and what the peers take for a request."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

from bench.instrument.crew import Crew, Member, spent_seconds
from bench.instrument.peers import outputs
from bench.instrument.peers.tools import TOOLS, Task, Wrk
from bench.instrument.places import Line
from bench.instrument.scale import Scale
from bench.instrument.stage import AGENT_PORT, HTTP_PORT, Stage, Watch, soon, stage
from bench.instrument.table import Row
from drainproof.record import CaseReader
from drainproof.settings import Load

PACED_US, SATURATED_US, HOOK_US = 50, 10, 1
PACED = Load(udp_rate=1000, control_rate=1000, tcp_kept_rate=1, tcp_new_rate=1, heartbeat_rate=1)
CALLS = 200_000
CLIENT_CPU = "1"
OWN_SECONDS = 60.0


def cost(scale: Scale, directory: Path) -> Iterator[Row]:
    """CPU time in microseconds, user and system."""
    figure = _paced(scale, directory / "paced", PACED)
    yield _limited("CPU per paced probe, UDP and control at 1 kHz", figure, PACED_US)
    figure = _paced(scale, directory / "mixed", Load())
    told = f"{figure:.1f} us, a new TCP connection is several calls"
    yield Row.told("CPU per paced probe, all kinds at default rates", told)
    hooked, bare = _hook(directory)
    yield _limited("sample hook", hooked, HOOK_US, f"; append alone {bare:.2f} us")


def _paced(scale: Scale, directory: Path, load: Load) -> float:
    with stage(directory) as scene:
        watch = scene.stopwatch("watch", load)
        scene.await_ready(watch)
        loop = _loop(watch)
        scene.crew.rest_until(soon())
        begin, spent = time.monotonic_ns(), spent_seconds(loop)
        scene.crew.rest_until(begin + scale.cost_seconds * 10**9)
        end, spent = time.monotonic_ns(), spent_seconds(loop) - spent
        scene.finish(watch)
        return 1e6 * spent / max(1, _probes(watch, begin, end))


def _loop(watch: Watch) -> int:
    (event,) = CaseReader(watch.directory).events("stopwatch", "loop")
    return int(event.data["pid"])


def _probes(watch: Watch, begin: int, end: int) -> int:
    samples = CaseReader(watch.directory).samples()
    probed = [samples[stream].start_ns for stream in samples if not stream.startswith(("away", "heartbeat"))]
    return sum(int(((start >= begin) & (start < end)).sum()) for start in probed)


def _hook(directory: Path) -> tuple[float, float]:
    """In a process of its own, because Locust puts gevent in place of much that the bench needs."""
    crew = Crew(directory)
    member = crew.module("hook", "bench.instrument.hook", str(CALLS), cpu=CLIENT_CPU)
    try:
        crew.wait(lambda: member.reap(block=False), OWN_SECONDS, "the hook's measurement did not end")
        told = json.loads(member.said())
    finally:
        crew.end()
    return float(told["hook_us"]), float(told["append_us"])


def _own(scene: Stage, line: Line) -> Row:
    member = scene.crew.module(
        "saturator", "bench.instrument.saturator", line.address, str(AGENT_PORT), str(CALLS), namespace=line.server,
        cpu=CLIENT_CPU,
    )
    scene.crew.wait(lambda: member.reap(block=False), OWN_SECONDS, "the saturated probe did not end")
    scene.crew.end(member, by=None)
    figure = float(json.loads(member.said())["cpu_us_per_probe"])
    return _limited("CPU per probe, saturated", figure, SATURATED_US)


def saturated(scale: Scale, directory: Path) -> Iterator[Row]:
    """CPU per request of everybody at full speed, in the server's own namespace: no wire, no pace."""
    with stage(directory) as scene:
        line = scene.ground.lines[0]
        yield _own(scene, line)
        task = Task(f"http://{line.address}:{HTTP_PORT}/", line.address, max(2, scale.cost_seconds // 5), directory)
        wrk = Wrk()
        if wrk.present:
            member = scene.crew.start("wrk", wrk.command(task, paced=False), namespace=line.server, cpu=CLIENT_CPU)
            scene.crew.end(member, by=None)
            count = outputs.wrk(member.said())[1]
            yield _of_peer(wrk.name, member, count)
        for tool in TOOLS:
            if not tool.present or tool.saturated is None:
                continue
            begun = time.monotonic_ns()
            member = scene.crew.start(tool.name, tool.saturated(task), namespace=line.server, cpu=CLIENT_CPU)
            if not tool.timed:
                scene.crew.rest_until(begun + task.seconds * 10**9)
            scene.crew.end(member, by=tool.ending)
            count = len(tool.read(member, task, begun, 0).start)
            yield _of_peer(tool.name, member, count)


def _of_peer(name: str, member: Member, requests: int) -> Row:
    return Row.told(f"CPU per request, saturated, {name}", f"{1e6 * member.spent_seconds / max(1, requests):.1f} us")


def _limited(name: str, figure: float, limit: float, more: str = "") -> Row:
    return Row.judged(name, f"at most {limit} us", f"{figure:.2f} us{more}", figure <= limit)
