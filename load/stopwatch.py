"""The stopwatch: says when, and for how long, a service did not answer, from every vantage point that the plan names.

This parent keeps the samples and the figures; the probing is done by a child per vantage point, `load.stopwatch_loop`,
beside a control responder, `load.control`, which injects known blackouts. The environment variable
DRAINPROOF_STOPWATCH_PRIORITY names the priority that both take: realtime (default), raised, plain or nice:N.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drainproof.record.spool import Spool
from load.contention import Drops, Host, Pressure, Robberies
from load.observer import Observer, observing, ready, run
from load.plan import Plan
from load.schedule import SECOND, Schedule
from load.stopwatch_children import Child, Children, Message, StopwatchError
from load.stopwatch_streams import View, views_of

NAME = "stopwatch"
PRIORITY_VARIABLE = "DRAINPROOF_STOPWATCH_PRIORITY"
START_SECONDS = 30.0
SETTLE_NS = 2 * SECOND
"""How long beyond the limit a late answer is still taken for what it is."""
SAMPLE_NS = SECOND // 10
SAMPLES_A_SECOND = SECOND // SAMPLE_NS
TCP_SETTINGS = ("tcp_rto_min_us", "tcp_syn_retries", "tcp_syn_linear_timeouts")


class Stopwatch:
    """The children of all vantage points, and what this parent itself notes meanwhile."""

    def __init__(self, plan: Plan, views: list[View], spools: Mapping[str, Spool], plan_file: Path) -> None:
        self._plan = plan
        self._views = views
        self._spools = spools
        self._plan_file = plan_file
        self._priority = os.environ.get(PRIORITY_VARIABLE, "realtime")
        self._children = Children(self._hear)
        self._loops: list[Child] = []
        self._first_words: dict[Child, Message] = {}
        self._untold: list[tuple[int, str, str, dict[str, Any]]] = []

    def start(self) -> None:
        """Start every child and wait until all look; raises StopwatchError when one cannot."""
        responders = [self._responder(place, view) for place, view in enumerate(self._views)]
        self._wait_for(responders)
        ports = [self._first_words[responder]["data"]["port"] for responder in responders]
        self._loops = [self._loop(place, view, ports[place]) for place, view in enumerate(self._views)]
        self._wait_for(self._loops)

    def watch(self, observer: Observer) -> None:
        """Report readiness, hear the children and read the host's accounts until told to stop, then end the children.

        Raises StopwatchError when a part of the stopwatch dies.
        """
        try:
            self._write_events(observer)
            ready(observer)
            now, host = time.monotonic_ns(), Host()
            robberies = Robberies(host, self._tell, now)
            accounts: list[Pressure | Drops] = [Pressure(host, self._tell, now), *self._drops(now)]
            samples, seconds = Schedule(now + SAMPLE_NS, SAMPLE_NS), Schedule(now + SECOND, SECOND)
            while not observer.stop.is_set():
                self._children.listen((samples.due_ns - time.monotonic_ns()) / 1e9)
                now = time.monotonic_ns()
                if now >= samples.due_ns:
                    samples.take(now)
                    robberies.look(now)
                if now >= seconds.due_ns:
                    seconds.take(now)
                    for account in accounts:
                        account.look(now)
                self._write_events(observer)
            now = time.monotonic_ns()
            robberies.look(now)
            robberies.end(now)
            for account in accounts:
                account.look(now)
        finally:
            self.end()
            self._write_events(observer)

    def end(self) -> None:
        """End all children: the loops first, because what is under way shall still be answered."""
        self._children.end(self._loops, self._plan.load.probe_timeout_seconds)
        self._children.end_all(0)

    def _drops(self, now_ns: int) -> list[Drops]:
        said = [self._first_words[loop]["data"] for loop in self._loops]
        return [Drops(loop["vantage"], loop["pid"], loop["ports"], self._tell, now_ns) for loop in said]

    def _wait_for(self, children: list[Child]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while late := [child.name for child in children if child not in self._first_words]:
            if time.monotonic() > deadline:
                raise StopwatchError(f"not ready within {START_SECONDS:.0f} s: {', '.join(late)}")
            self._children.listen(0.1)

    def _hear(self, child: Child, message: Message) -> None:
        self._first_words.setdefault(child, message)
        self._tell(message["t_ns"], message["kind"], message["object"], **message["data"])

    def _tell(self, t_ns: int, kind: str, subject: str, **facts: Any) -> None:
        self._untold.append((t_ns, kind, subject, facts))

    def _write_events(self, observer: Observer) -> None:
        for t_ns, kind, subject, facts in self._untold:
            observer.case.events.add_at(t_ns, NAME, kind, subject, **facts)
        self._untold.clear()

    def _responder(self, place: int, view: View) -> Child:
        load = self._plan.load
        return self._children.start(
            f"control responder at {view.vantage}",
            [
                *view.exec, sys.executable, "-m", "load.control", "--stream", view.control.name,
                "--every-ms", str(load.control_every_seconds * 1000),
                "--blackout-ms", str(load.control_blackout_seconds(view.control) * 1000),
                "--seed", f"{self._plan.seed}/{view.vantage}", "--priority", self._priority,
                "--place", str(2 * place + 1),
            ],
        )

    def _loop(self, place: int, view: View, control_port: int) -> Child:
        spools = {"--spool": samples_of(view), "--heartbeats": heartbeats_of(view)}
        fds = {option: self._spools[name].fd for option, name in spools.items() if name in self._spools}
        return self._children.start(
            f"loop at {view.vantage}",
            [
                *view.exec, sys.executable, "-m", "load.stopwatch_loop", str(self._plan_file),
                "--vantage", view.vantage,
                *(word for option, fd in fds.items() for word in (option, str(fd))),
                "--control", str(control_port), "--priority", self._priority, "--place", str(2 * place),
            ],
            list(fds.values()),
        )


def samples_of(view: View) -> str:
    """The name of the shard that holds the samples of a vantage point."""
    return f"{NAME}-{view.vantage}"


def heartbeats_of(view: View) -> str:
    """The name of the shard that holds the heartbeats that arrived at a vantage point."""
    return f"heartbeat-{view.vantage}"


def spools_of(views: list[View]) -> dict[str, Spool]:
    """Fresh spools, by the names of their shards."""
    spools = {samples_of(view): Spool.create(view.streams, capacity=view.capacity) for view in views}
    return spools | {
        heartbeats_of(view): Spool.create(
            [stream.name for stream in view.heartbeats], keyed=True, capacity=view.heartbeat_capacity
        )
        for view in views if view.heartbeats
    }


def host_facts(root: Path = Path("/")) -> dict[str, Any]:
    """What of this kernel decides how long TCP waits."""
    facts: dict[str, Any] = {"kernel": os.uname().release}
    for name in TCP_SETTINGS:
        try:
            facts[name.removeprefix("tcp_")] = int((root / "proc/sys/net/ipv4" / name).read_text())
        except (OSError, ValueError):
            continue  # older kernels do not have it
    return facts


def main(plan: Plan, plan_file: Path) -> int:
    """Look until SIGTERM."""
    views = views_of(plan)
    spools = spools_of(views)
    limit = round(plan.load.probe_timeout_seconds * SECOND)
    rates = {stream.name: rate for view in views for stream, rate in (view.rates | view.heartbeats).items()}
    stopwatch = Stopwatch(plan, views, spools, plan_file)
    try:
        stopwatch.start()  # before observation begins, for until then nobody has been silent
        with observing(
            NAME, plan, list(rates), rates=rates, ticking=False, spools=spools, limit_ns=limit,
            settle_ns=limit + SETTLE_NS, facts=host_facts(),
        ) as observer:
            stopwatch.watch(observer)
    finally:
        stopwatch.end()
    return 0


if __name__ == "__main__":
    sys.exit(run(lambda plan: main(plan, Path(sys.argv[1])), sys.argv[1:]))
