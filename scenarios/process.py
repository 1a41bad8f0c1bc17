"""Faults inside one machine: its processors paused, its launcher killed, its database stopped, its disk full."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from drainproof.api import INSTANCES, PODS, Cluster, Object
from drainproof.errors import NotFoundError, UnexpectedStateError
from drainproof.vm import LAUNCHER, Instance, VirtualMachine
from drainproof.wait import Deadline, pause, wait
from scenarios.fault import Fault, Proof
from scenarios.sql import Member, SqlError

SYNCED = "Synced"
FILLER = "drainproof_filler"
BLOB_MIB = 8
BLOBS_AT_MOST = 256
"""Two gigabytes: a larger disk is not filled, and the fault says so."""
DISK_FULL_CODES = (1021, 1026, 1114)
"""Disk full, error on write, the table is full."""
LOST_CODES = (2006, 2013)
"""The server went away, or the connection was lost in a query: MariaDB has died of it."""
DROP_SECONDS = 15.0
"""How long a member is given to drop the filler by itself, before its disk is replaced."""


@dataclass(frozen=True, kw_only=True)
class PauseGuest:
    """All processors of a guest stand still, as virtctl pause does it; its memory and its connections stay."""

    cluster: Cluster
    machine: VirtualMachine
    seconds: float
    """How long at least; until the fault is healed if that is later."""
    _paused_ns: list[int] = field(default_factory=list, init=False, repr=False)
    kind = "pause"

    @property
    def target(self) -> str:
        return self.machine.name

    def inject(self, deadline: Deadline) -> Proof:
        """Pause it and see the condition Paused."""
        self.cluster.act(INSTANCES, self.machine.name, self.machine.namespace, "pause")
        self._paused_ns.append(deadline.clock.monotonic_ns())
        seen = wait(f"{self.target} is paused", lambda: self.machine.instance, until=_is_paused, deadline=deadline)
        return {"condition": seen.conditions["Paused"] if seen else None}

    def heal(self, deadline: Deadline) -> Proof:
        """Let the rest of the time pass, unpause it, and see it Ready without the condition."""
        if not self._paused_ns:
            return {"paused_s": 0.0}
        gone = (deadline.clock.monotonic_ns() - self._paused_ns[0]) / 1e9
        pause(max(0.0, self.seconds - gone), deadline)
        self.cluster.act(INSTANCES, self.machine.name, self.machine.namespace, "unpause")
        lasted = (deadline.clock.monotonic_ns() - self._paused_ns[0]) / 1e9
        wait(
            f"{self.target} is Ready and no longer paused", lambda: self.machine.instance,
            until=lambda seen: seen is not None and not _is_paused(seen) and seen.ready, deadline=deadline,
        )
        return {"paused_s": lasted}


@dataclass(frozen=True, kw_only=True)
class KillLauncher:
    """The pod of a running machine is deleted by force: its guest is lost, and is started anew, cold.

    In the lab the guest dies at once. A kubelet may give the processes of a pod that is gone from the API their grace
    all the same (kubernetes/kubernetes #120449): then the guest shuts down in good order while its successor starts.
    """

    cluster: Cluster
    machine: VirtualMachine
    _before: list[str] = field(default_factory=list, init=False, repr=False)
    kind = "launcher-kill"

    @property
    def target(self) -> str:
        return self.machine.name

    def inject(self, deadline: Deadline) -> Proof:
        """Delete the pod with a grace of 0 and see that it, by its uid, is gone."""
        instance, pod = _launcher(self.machine)
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        self._before.append(instance.uid)
        self.cluster.delete(PODS, name, self.machine.namespace, grace_seconds=0)
        wait(
            f"pod {name} is gone", lambda: self.cluster.find(PODS, name, self.machine.namespace),
            until=lambda seen: seen is None or seen["metadata"]["uid"] != uid, deadline=deadline,
            describe=lambda seen: seen and seen["status"].get("phase"),
        )
        return {"pod": name, "pod_uid": uid, "instance": instance.uid, "node": instance.node}

    def heal(self, deadline: Deadline) -> Proof:
        """See the machine Ready as another instance."""
        if not self._before:
            return {"instance": ""}
        seen = wait(
            f"{self.target} is Ready as another instance than {self._before[0]}", lambda: self.machine.instance,
            until=lambda seen: seen is not None and seen.uid != self._before[0] and seen.ready, deadline=deadline,
            describe=lambda seen: seen or "no instance",
        )
        return {"instance": seen.uid if seen else "", "node": seen.node if seen else ""}


@dataclass(frozen=True, kw_only=True)
class StopDatabase:
    """A member's database is stopped cleanly with SQL's SHUTDOWN; the guest and its web server go on.

    It leaves the cluster by itself, so that its peers keep their quorum. In the lab's guest the supervisor (runit)
    starts it again at once, which is the whole of the healing: the server runs after seconds, and is synced after half
    a minute under emulation. In another guest its own supervisor has to.
    """

    member: Member
    _started: list[str] = field(default_factory=list, init=False, repr=False)
    kind = "database-stop"

    @property
    def target(self) -> str:
        return self.member.vm

    def inject(self, deadline: Deadline) -> Proof:
        """Say SHUTDOWN and see that the server refuses, or is another than before."""
        uptime = self.member.variable("Uptime")
        self._started.append(uptime)
        try:
            self.member.run("SHUTDOWN")
        except SqlError as error:
            if error.code and error.code < 2000:
                raise
        refusal = wait(
            f"the database of {self.target} does not answer, or has started anew", lambda: _standing(self.member),
            until=lambda seen: seen["error"] != "" or int(seen["uptime"]) < int(uptime), deadline=deadline,
        )
        return {"uptime_s": int(uptime), **refusal}

    def heal(self, deadline: Deadline) -> Proof:
        """See it synced with its cluster again."""
        return _see_synced(self.member, deadline)


@dataclass(frozen=True, kw_only=True)
class FillDisk:
    """A member's data disk is filled with a table of its own, which is not replicated, until nothing more fits.

    MariaDB 10.11 does not live through it: InnoDB logs error 28 where it extends the table, the server dies, and its
    recovery needs room too, so that it is in a loop of failing starts and no SQL can free anything. Its peers have
    lost a member and go on. The remedy is the operator's: a new, empty disk, which Galera fills by state transfer.
    Eight MiB a second are filled under emulation, so the data disk should be small.
    """

    member: Member
    remedy: Fault | None = None
    """What frees the disk when the server has died of it, such as FreshDisk; None: then it does not heal."""
    blobs: int = BLOBS_AT_MOST
    """How many of 8 MiB at most."""
    kind = "disk-full"

    @property
    def target(self) -> str:
        return self.member.vm

    def inject(self, deadline: Deadline) -> Proof:
        """Insert until the disk is full or the server has died of it; raises UnexpectedStateError if all fits."""
        table = f"CREATE TABLE {FILLER}.filler (content LONGBLOB NOT NULL) ENGINE=InnoDB"
        insert = f"INSERT INTO {FILLER}.filler VALUES (REPEAT('x', {BLOB_MIB * 2**20}))"
        try:
            self.member.run(
                "SET SESSION wsrep_on=OFF", f"CREATE DATABASE {FILLER}", table, insert, times=self.blobs,
                seconds=deadline.remaining,
            )
        except SqlError as error:
            filled = max(0, error.done - 3) * BLOB_MIB
            if error.code in DISK_FULL_CODES or (error.code in LOST_CODES and filled):
                return {"code": error.code, "message": error.message, "filled_mib": filled}
            raise
        raise UnexpectedStateError(f"the disk of {self.target} is full", f"{self.blobs} blobs of 8 MiB fit into it")

    def heal(self, deadline: Deadline) -> Proof:
        """Drop the table, here only; where no server answers, apply the remedy. Then see the member synced."""
        trouble = self._drop(deadline.at_most(DROP_SECONDS))
        if trouble is None:
            return {**_see_synced(self.member, deadline), "remedy": ""}
        if self.remedy is None:
            raise trouble
        try:
            self.remedy.inject(deadline)
        finally:
            self.remedy.heal(deadline)
        return {**_see_synced(self.member, deadline), "remedy": self.remedy.kind}

    def _drop(self, deadline: Deadline) -> SqlError | None:
        """Drop the filler as soon as the member lets us; the last refusal when it does not in time."""
        while True:
            try:
                self.member.run("SET SESSION wsrep_on=OFF", f"DROP DATABASE IF EXISTS {FILLER}", seconds=DROP_SECONDS)
            except SqlError as error:
                if deadline.expired:
                    return error
                pause(1.0, deadline)
            else:
                return None


def _is_paused(instance: Instance | None) -> bool:
    return instance is not None and instance.conditions.get("Paused", {}).get("status") == "True"


def _launcher(machine: VirtualMachine) -> tuple[Instance, Object]:
    """The instance and the pod in which it runs now; raises NotFoundError when there is none."""
    instance = machine.instance
    if instance is not None:
        labels = f"{LAUNCHER},kubevirt.io/created-by={instance.uid}"
        for pod in machine.cluster.items(PODS, machine.namespace, labels=labels):
            if pod["spec"].get("nodeName") == instance.node and pod["status"].get("phase") == "Running":
                return instance, pod
    raise NotFoundError(f"launcher of {machine.name}", 404, "NotFound", f"no launcher runs; the instance is {instance}")


def _standing(member: Member) -> dict[str, Any]:
    """How a member stands: since when it runs, its state, or why it does not answer."""
    return _told(lambda: {
        "uptime": member.variable("Uptime"), "state": member.variable("wsrep_local_state_comment"), "error": "",
    })


def _told(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return ask()
    except SqlError as error:
        return {"uptime": "0", "state": "", "error": str(error)}


def _see_synced(member: Member, deadline: Deadline) -> Proof:
    return wait(
        f"the database of {member.vm} is synced", lambda: _standing(member),
        until=lambda seen: seen["state"] == SYNCED, deadline=deadline, every=0.5,
    )
