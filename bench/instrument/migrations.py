"""Real live migrations of a guest in a lab: do its clients' blackout and its own clock agree with QEMU's pause?"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.instrument import moves
from bench.instrument.blackouts import MS
from bench.instrument.crew import BenchError
from bench.instrument.moves import Move, Pause
from bench.instrument.scale import Scale
from bench.instrument.table import Row
from drainproof import spec
from drainproof.api import CLAIMS, INSTANCES, MACHINES, MIGRATIONS, NAMESPACES, SECRETS, Cluster
from drainproof.errors import DrainproofError
from drainproof.record import Case, CaseReader
from drainproof.settings import Load, Profile
from drainproof.streams import HEARTBEAT, TCP_KEPT, TCP_NEW, UDP, Stream
from drainproof.target import Target
from drainproof.vm import VirtualMachine
from drainproof.wait import Deadline, pause, wait
from fixtures.observers import STOPWATCH, Observers, observing
from fixtures.portal import AGENT_PORT
from fixtures.target import PROJECT, opened
from lab import processes
from lab.lifecycle.down import config_of
from lab.lifecycle.errors import LifecycleError
from load.plan import Machine, Plan, Portal
from reports.outages.reading import Stopwatch
from reports.spans import Span
from reports.verdict import MissingEvidenceError
from scenarios.launcher_log import downtime_facts

LAB, API_PORT, NODES = "dpbm", 16961, 2
NAMESPACE, NAME = "bench", "vm"
USER_DATA = "#!/bin/sh\nsv down /etc/sv/portal /etc/sv/node-exporter\n"
"""Nothing in the guest but the agent, the web server and what the hypervisor talks to."""
LOAD = Load(udp_rate=200, heartbeat_rate=100, control_rate=500, tcp_kept_rate=10, tcp_new_rate=5)
START_SECONDS, STEADY_SECONDS, MOVE_SECONDS = 180.0, 90.0, 60.0
STEADY_MS = 100.0
SETTLE_SECONDS, BASELINE_SECONDS, QUIET_SECONDS = 15.0, 20.0, 2.0
"""The agent answers before the guest has done with starting; after a migration it is left alone for a while."""
GUEST_ERROR_NS = 5 * MS
EMULATED = "guests are emulated here"


@dataclass(frozen=True)
class Ride:
    """What was done, on the monotonic clock."""

    baseline: Span
    end_ns: int
    pauses: list[Pause]


def migrations(scale: Scale, directory: Path) -> Iterator[Row]:
    """Migrate one guest to and fro in a lab of its own, with the stopwatch running; the lab is gone afterwards."""
    directory.mkdir(parents=True, exist_ok=True)
    case = Case(directory / "case")
    try:
        _clear_leftover()
        with opened(f"lab:{LAB}", None, Profile(name="bench", nodes=NODES), _tell, API_PORT) as target:
            emulated = target.emulated
            ride = _ride(target, case, scale.migrations)
        case.merge_samples()
        seen, conditions = _seen(case.directory, ride)
    except (DrainproofError, MissingEvidenceError) as error:
        raise BenchError(str(error)) from error
    finally:
        case.close()
    yield from _rows(seen, EMULATED if emulated else "")
    yield from conditions


def _clear_leftover() -> None:
    """Take down the lab of a bench that was killed."""
    with suppress(LifecycleError):  # there is no such lab
        if processes.is_orphan(config_of(LAB).owner):
            command = [sys.executable, "-m", "lab", "down", "--name", LAB]
            subprocess.run(command, cwd=PROJECT, stdout=sys.stderr, check=True)


def _ride(target: Target, case: Case, times: int) -> Ride:
    cluster = Cluster.connect(Path(target.kubeconfig))
    address = target.address_pool[0]
    machine = _machine(cluster, target, address)
    plan = case.directory / "plan.json"
    plan.write_text(_plan(case, address).model_dump_json())
    with observing((STOPWATCH,), plan, case, target.client_exec, {}, Deadline(STEADY_SECONDS)) as observers:
        echo = Stream(UDP, NAME).name
        observers.wait_steady([echo], STEADY_MS, Deadline(STEADY_SECONDS))
        _rest(observers, SETTLE_SECONDS)
        begin = time.monotonic_ns()
        _rest(observers, BASELINE_SECONDS)
        quiet_until = time.monotonic_ns()
        pauses = []
        for _ in range(times):
            pauses.append(_migrate(machine))
            case.events.add("hypervisor", "downtime", NAME, **asdict(pauses[-1]))
            _rest(observers, QUIET_SECONDS)
        return Ride(Span(begin, quiet_until), time.monotonic_ns(), pauses)


def _machine(cluster: Cluster, target: Target, address: str) -> VirtualMachine:
    """One guest, Ready."""
    cluster.create(NAMESPACES, {"metadata": {"name": NAMESPACE}})
    cluster.create(SECRETS, spec.secret(f"{NAME}-init", {"userdata": USER_DATA}), NAMESPACE)
    cluster.create(CLAIMS, spec.claim(f"{NAME}-data", target.storage_classes.shared, "64Mi"), NAMESPACE)
    asked = spec.VmSpec(
        name=NAME, labels={"app": NAME}, image=target.guest_image, claim=f"{NAME}-data",
        user_data_secret=f"{NAME}-init", address=address,
    )
    cluster.create(MACHINES, asked.manifest(), NAMESPACE)
    machine = VirtualMachine(cluster, NAME, NAMESPACE)
    machine.wait_ready(Deadline(START_SECONDS))
    return machine


def _plan(case: Case, address: str) -> Plan:
    portal = Portal(vms=(Machine(name=NAME, address=address),), virtual_ip="", agent_port=AGENT_PORT)
    return Plan(case_dir=case.directory, run_id="bench", portal=portal, load=LOAD)


def _rest(observers: Observers, seconds: float) -> None:
    pause(seconds, Deadline(seconds))
    observers.check_alive()


def _migrate(machine: VirtualMachine) -> Pause:
    """Move the guest once; raises DrainproofError when that fails, or nobody tells how long it paused."""
    body = {"metadata": {"generateName": f"{machine.name}-"}, "spec": {"vmiName": machine.name}}
    asked = machine.cluster.create(MIGRATIONS, body, machine.namespace)["metadata"]
    wait(
        f"migration {asked['name']} has succeeded",
        lambda: machine.cluster.get(MIGRATIONS, asked["name"], machine.namespace).get("status", {}).get("phase"),
        until=lambda phase: phase == "Succeeded", never=lambda phase: phase == "Failed",
        deadline=Deadline(MOVE_SECONDS),
    )
    state = machine.cluster.get(INSTANCES, machine.name, machine.namespace)["status"]["migrationState"]
    told = downtime_facts(machine.cluster.log(state["sourcePod"], machine.namespace, "compute"))
    stop, resume = (int(str(told.get(key, 0))) for key in ("stop_ns", "resume_ns"))
    if told.get("migration_uid") != asked["uid"] or not 0 < stop < resume:
        raise DrainproofError(f"pod {state['sourcePod']} does not tell how long migration {asked['name']} paused")
    return Pause(stop, resume)


def _seen(directory: Path, ride: Ride) -> tuple[list[Move], list[Row]]:
    """What the project's own judge makes of each migration, and how well the stopwatch and the guest fared."""
    record = CaseReader(directory)
    samples = record.samples()
    watch = Stopwatch(samples, record.events(), LOAD, ride.baseline)
    window = Span(ride.baseline.end, ride.end_ns)
    echo, beat = (watch.read(Stream(kind, NAME), window) for kind in (UDP, HEARTBEAT))
    asked, ticks = (samples[Stream(kind, NAME).name] for kind in (UDP, HEARTBEAT))
    frames = [samples[Stream(kind, NAME).name] for kind in (UDP, HEARTBEAT, TCP_KEPT, TCP_NEW)]
    seen = [
        Move(
            one, moves.overlapping(echo.finding.outages, one), moves.overlapping(beat.finding.outages, one),
            moves.first_answered(asked, one.stop_ns), moves.first_frame(frames, one.resume_ns), moves.lag(ticks, one),
        )
        for one in ride.pauses
    ]
    away = 100 * echo.void_ns / (window.end - window.begin)
    trips = watch.calibration(echo.stream, watch.voids(echo.stream, window))
    return seen, [
        Row.told("stopwatch away", f"{away:.2f} % of the time"),
        Row.told("round trip before", f"median {trips.typical_ns / MS:.2f}, slow {trips.slow_ns / MS:.2f} ms"),
    ]


def _rows(seen: Sequence[Move], why: str) -> Iterator[Row]:
    for number, move in enumerate(seen, 1):
        yield Row.told(f"migration {number}", _sentence(move))
    explained = sum(move.explained for move in seen)
    unseen = sum(move.clients is None for move in seen)
    yield Row.judged(
        "client blackout at least the guest's pause", "all, less 2 ms",
        f"{explained} of {len(seen)} migrations, {unseen} not seen", bool(seen) and explained == len(seen),
    )
    errors = [abs(error) for move in seen if (error := move.guest_error_ns) is not None]
    near = sum(error <= GUEST_ERROR_NS for error in errors)
    yield Row.judged(
        "guest's own view of the pause", "within 5 ms of QEMU's in all",
        f"{near} of {len(seen)}; off by {moves.spread(errors)}{f'; {why}' if why else ''}",
        bool(seen) and near == len(seen),
    )
    told: dict[str, Sequence[int | None]] = {
        "guest's view less QEMU's": [move.guest_error_ns for move in seen],
        "the same by single ticks": [move.single_error_ns for move in seen],
        "pause, STOP to RESUME": [move.pause.length_ns for move in seen],
        "client blackout": [move.clients.mid_ns for move in seen if move.clients],
        "what clients lost beyond the pause": [move.beyond_ns for move in seen],
        "from RESUME until requests reach the guest": [move.network_ns for move in seen],
        "from RESUME to the first frame": [move.silent_ns for move in seen],
    }
    for name, values in told.items():
        yield Row.told(name, moves.spread(values))


def _sentence(move: Move) -> str:
    one = move.clients
    seen = f"{one.mid_ns / MS:.1f} ({one.lo_ns / MS:.1f} to {one.hi_ns / MS:.1f})" if one else "nothing seen"
    facts = {
        "pause": _ms(move.pause.length_ns), "clients": seen, "heartbeat": _ms(move.beat.mid_ns if move.beat else None),
        "guest": _ms(move.lag_ns), "reached after": _ms(move.network_ns), "first frame": _ms(move.silent_ns),
    }
    return ", ".join(f"{name} {fact}" for name, fact in facts.items()) + " ms"


def _ms(value_ns: int | None) -> str:
    return "unknown" if value_ns is None else f"{value_ns / MS:.1f}"


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
