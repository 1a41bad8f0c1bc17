"""Undoes what killed runs have left: their observers are ended by pid, their clusters restored from their journals."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from drainproof.api import CONFIG_MAPS, LEASES, NAMESPACES, Cluster
from drainproof.errors import ApiError, DrainproofError
from drainproof.heartbeat import Heartbeat, Pulses, other_holder, pulses, run_of_lease
from drainproof.journal import Journal
from drainproof.journal.copy import PREFIX, ClusterCopy
from drainproof.journal.reopening import cluster_of
from drainproof.leases import CONTROL_NAMESPACE, DURATION_SECONDS, holder_of
from drainproof.namespaces import delete_namespace
from drainproof.ownership import OURS, process_mark, run_of
from drainproof.remedies import Remedies
from drainproof.retained import removed
from drainproof.undo import NAMESPACE_SECONDS, Step, Undo
from drainproof.wait import Deadline

RUN_MARK = "DRAINPROOF_RUN"
"""Environment variable that names the run an observer belongs to; it survives the death of the harness."""
NOTHING = "nothing to do: no dead run has left anything"


@dataclass
class Leavings:
    """What dead runs have left, and what of it cannot be undone."""

    steps: list[tuple[str, Step]] = field(default_factory=list)
    """Each with the run that it belongs to, in order."""
    alive: list[str] = field(default_factory=list)
    """The runs that go on and are left alone, each with why."""
    troubles: list[str] = field(default_factory=list)
    """What could not even be looked at."""

    def add(self, run_id: str, steps: Iterable[Step]) -> None:
        self.steps += [(run_id, step) for step in steps]

    @property
    def runs(self) -> set[str]:
        return {run_id for run_id, _ in self.steps}

    def undone(self, tell: Callable[[str], None], trouble: Callable[[str], None]) -> bool:
        """Take every step whatever becomes of the others; whether all could be taken.

        The last step of a run forgets it: it is not taken after one that failed.
        """
        failed = set()
        for run_id, step in self.steps:
            if isinstance(step, Forget) and run_id in failed:
                continue
            try:
                tell(f"run {run_id}: {step.do()}")
            except (DrainproofError, OSError) as error:
                failed.add(run_id)
                trouble(f"run {run_id}: could not {step.will}: {error}")
        return not failed and not self.troubles


@dataclass(frozen=True, slots=True)
class Forget(Step):
    """Closes the books of a run that has nothing left to be undone."""


def undo_dead_runs(runs: Path) -> Iterator[str]:
    """Undo every run of a directory whose process has died before it was done; yields what was done, in sentences.

    A cluster that cannot be reached raises ApiError or CannotRunError, and its run stays to be undone later.
    """
    for run_id, journal in dead_journals(runs):
        for step in _steps_here(run_id, journal, Remedies.of("", str(journal.opening.get("facts", "")))):
            try:
                yield f"run {run_id}: {step.do()}"
            except ApiError:
                raise
            except DrainproofError as error:
                yield f"run {run_id}: {error}"
                break


def leavings_here(runs: Path, facts: str, *, labs: bool = True) -> Leavings:
    """What the dead runs of a directory have left, on their clusters and on this host; without `labs` none in one."""
    found = Leavings()
    for run_id, journal in dead_journals(runs):
        if journal.opening["lab"] and not labs:
            continue
        try:
            found.add(run_id, _steps_here(run_id, journal, Remedies.of(facts, str(journal.opening.get("facts", "")))))
        except DrainproofError as error:
            found.troubles.append(f"run {run_id} cannot be undone: {error}")
    return found


def leavings_in(
    cluster: Cluster, namespace: str, facts: str, skip: Collection[str] = (),
    look: Callable[[Cluster, str], Pulses] = pulses,
) -> Leavings:
    """What dead runs have left in a cluster, by what it holds itself: journals, leases and labelled namespaces.

    `namespace` is the control namespace; runs to `skip` are undone otherwise. A run that lives is named and left alone.
    """
    kept = [str(item["metadata"]["name"]) for item in cluster.items(CONFIG_MAPS, namespace, labels=OURS)]
    journals = {name.removeprefix(PREFIX) for name in kept if name.startswith(PREFIX)}
    spaces = {str(item["metadata"]["name"]): run_of(item) for item in cluster.items(NAMESPACES, labels=OURS)}
    # Last: a run makes its heartbeat first, so that one that begins just now is not taken for one without.
    found, leases = Leavings(), look(cluster, namespace)
    for run_id in sorted({*journals, *leases.runs, *spaces.values()} - {"", *skip}):
        journal = Journal(copy=ClusterCopy(cluster, namespace, run_id) if run_id in journals else None)
        if why := _why_alive(run_id, journal.opening, leases):
            found.alive.append(f"run {run_id} {why} and is left alone")
            continue
        # Asked for each node when its turn has come: somebody may have thought long before he said yes.
        other = partial(other_holder, cluster, namespace, run_id, look=look)
        undo = Undo(journal, cluster, Remedies.of(facts, ""), other)
        known = journal.left_anywhere.names("namespace")
        found.add(run_id, _end_observers(run_id))
        found.add(run_id, undo.steps())
        found.add(run_id, (
            Step(f"delete namespace {name}, which the run has made", partial(_delete, cluster, name, run_id))
            for name, owner in sorted(spaces.items()) if owner == run_id and name not in known
        ))
        found.add(run_id, _forget_leases(cluster, namespace, run_id, leases))
        found.add(run_id, _forget(journal, Heartbeat(cluster, namespace, run_id, DURATION_SECONDS)))
    return found


def dead_journals(runs: Path) -> Iterator[tuple[str, Journal]]:
    """The runs of a directory that did not come to their end and live no more, each with its journal's file."""
    for directory in sorted(runs.iterdir()) if runs.is_dir() else ():
        journal = Journal.of(directory)
        if journal.unfinished and not _process_lives(journal.opening) and not _is_elsewhere(journal.opening):
            yield directory.name, journal


def end_observers(run_id: str) -> list[int]:
    """Kill the processes that bear a run's mark; returns their pids."""
    ended = []
    for process in _observers(run_id):
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGKILL)
            ended.append(process.pid)
    return ended


def _observers(run_id: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(RUN_MARK) == run_id and process.pid != psutil.Process().pid:
                found.append(process)
    return found


def _end_observers(run_id: str) -> Iterator[Step]:
    if found := _observers(run_id):
        pids = ", ".join(str(process.pid) for process in found)
        yield Step(f"end its observers on this host, pid {pids}", partial(_ended, run_id))


def _ended(run_id: str) -> str:
    return f"observers {', '.join(map(str, end_observers(run_id))) or 'had'} ended"


def _steps_here(run_id: str, journal: Journal, remedies: Remedies) -> Iterator[Step]:
    """What is to be done for a run that has run on this host."""
    yield from _end_observers(run_id)
    opened = journal.opening
    if opened["lab"]:
        yield Step("leave it to the end of its lab", partial(_abandon, journal))
        return
    cluster = cluster_of(opened)
    namespace = str(opened.get("control_namespace") or CONTROL_NAMESPACE)
    copied = "control_namespace" in opened
    whole = Journal(journal.path, ClusterCopy(cluster, namespace, run_id) if copied else None)
    heartbeat = Heartbeat(cluster, namespace, run_id, DURATION_SECONDS) if copied else None
    yield from Undo(whole, cluster, remedies, partial(other_holder, cluster, namespace, run_id)).steps()
    yield from _forget(whole, heartbeat)


def _abandon(journal: Journal) -> str:
    journal.abandon()
    return "its lab will be taken down whole"


def _delete(cluster: Cluster, name: str, run_id: str) -> str:
    found = cluster.find(NAMESPACES, name)
    if found is not None and run_of(found) != run_id:
        return f"namespace {name} does not bear the run's label any more and is left alone"
    with removed(cluster, name):
        delete_namespace(cluster, name, Deadline(NAMESPACE_SECONDS))
    return f"namespace {name} deleted"


def _forget_leases(cluster: Cluster, namespace: str, run_id: str, leases: Pulses) -> Iterator[Step]:
    """The claims of a dead run that its journal does not know of, or that have no journal any more."""
    for name, lease in sorted(leases.leases.items()):
        if run_of_lease(lease) == run_id and not name.startswith(PREFIX):
            yield Step(f"delete its stale lease {name}", partial(_release, cluster, namespace, name, run_id))


def _release(cluster: Cluster, namespace: str, name: str, run_id: str) -> str:
    found = cluster.find(LEASES, name, namespace)
    if found is None or not holder_of(found).startswith(f"{run_id}/"):
        return f"lease {name} is gone already"
    cluster.delete(LEASES, name, namespace)
    return f"lease {name} deleted"


def _forget(journal: Journal, heartbeat: Heartbeat | None) -> Iterator[Step]:
    yield Forget("forget it: close its journal, delete the cluster's copy and its heartbeat", partial(
        closed, journal, heartbeat
    ))


def closed(journal: Journal, heartbeat: Heartbeat | None) -> str:
    """Close the journal of a run that has nothing left; what the cluster keeps of it goes last."""
    journal.closed()
    if journal.copy is not None:
        journal.copy.remove()
    if heartbeat is not None:
        heartbeat.remove()
    return "nothing of it is left"


def _why_alive(run_id: str, opening: dict[str, Any], leases: Pulses) -> str:
    if leases.is_alive(run_id):
        return "renews its leases"
    if _process_lives(opening):
        return f"runs on this host as pid {opening['pid']}"
    return ""


def _is_elsewhere(opening: dict[str, Any]) -> bool:
    """Whether the run was started on another host, or in another container, which alone can tell whether it lives."""
    if not opening:
        return False
    there, here = str(opening.get("process", "")).split(), process_mark(psutil.Process().pid).split()
    shut_off = bool(there and here) and there[0] == here[0] and there[1] != here[1]
    return shut_off or opening.get("host", socket.gethostname()) != socket.gethostname()


def _process_lives(opening: dict[str, Any]) -> bool:
    if not opening or _is_elsewhere(opening):
        return False
    if known := opening.get("process"):
        return process_mark(opening["pid"]) == str(known)
    with contextlib.suppress(psutil.Error):
        return bool(psutil.Process(opening["pid"]).create_time() == opening["born"])
    return False
