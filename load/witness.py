"""The witness: asks every machine once a second who it is and since when it runs, so that a restart cannot hide."""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from typing import Any

from load.observer import Observer, observing, ready, rest, run
from load.plan import Machine, Plan
from load.schedule import SECOND, Schedule, stagger

NAME = "witness"
PATH = "/identity"
RATE = 1.0
FACTS = ("boot_id", "hostname", "uptime_s")


class SilentError(Exception):
    """A machine did not say who it is; carries the reason."""


def ask(machine: Machine, port: int, seconds: float) -> dict[str, Any]:
    """The identity that a machine gives; raises SilentError."""
    connection = http.client.HTTPConnection(machine.address, port, timeout=seconds)
    try:
        connection.request("GET", PATH, headers={"Connection": "close"})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != http.client.OK:
            raise SilentError(f"status {answer.status}")
        said = json.loads(content)
        return {fact: said[fact] for fact in FACTS}
    except (OSError, http.client.HTTPException) as error:
        raise SilentError(f"{type(error).__name__}: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SilentError(f"not an identity: {content[:100]!r}") from error
    finally:
        connection.close()


def watch(observer: Observer, machine: Machine, schedule: Schedule) -> None:
    """Ask one machine whenever it is time, until the observer stops; each answer or silence is an event."""
    plan, events = observer.plan, observer.case.events
    while not observer.stop.wait(max(0, schedule.due_ns - time.monotonic_ns()) / 1e9):
        schedule.take(time.monotonic_ns())
        try:
            kind, data = "identity", ask(machine, plan.portal.http_port, plan.load.timeout_seconds)
        except SilentError as silence:
            kind, data = "silent", {"reason": str(silence)}
        if not observer.stop.is_set():
            events.add(NAME, kind, machine.name, **data)


def main(plan: Plan) -> int:
    """Watch until SIGTERM."""
    machines = plan.portal.vms
    rates = {machine.name: RATE for machine in machines}
    with observing(NAME, plan, (), rates=rates) as observer:
        schedules = stagger(time.monotonic_ns() + SECOND // 10, list(rates.values()))
        for machine, schedule in zip(machines, schedules, strict=True):
            threading.Thread(target=watch, args=(observer, machine, schedule), daemon=True).start()
        ready(observer)
        rest(observer)
    return 0


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
