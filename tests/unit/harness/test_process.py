"""Faults inside one machine: each proves what it did, waits for its healing, and says what it saw instead."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from drainproof.api import INSTANCES, PODS, Cluster, Object, Resource
from drainproof.errors import NotFoundError, UnexpectedStateError, WaitTimeoutError
from drainproof.vm import VirtualMachine
from drainproof.wait import Deadline
from scenarios.churn import Churn, missing
from scenarios.process import KillLauncher, PauseGuest, StopDatabase
from scenarios.sql import Member, SqlError
from tests.unit.harness.fakes import FakeClock


@dataclass
class Guests:
    """One machine, its instance and its launcher; a deleted launcher comes back with another instance."""

    comes_back: bool = True
    obeys: bool = True
    paused: bool = False
    killed: bool = False
    calls: list[str] = field(default_factory=list)

    def act(self, resource: Resource, name: str, namespace: str, action: str) -> None:
        self.calls.append(action)
        self.paused = action == "pause" and self.obeys

    def find(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        if resource == PODS:
            return None if self.killed else self._pod()
        assert resource == INSTANCES
        if self.killed and not self.comes_back:
            return None
        paused = [{"type": "Paused", "status": "True", "reason": "PausedByUser"}] if self.paused else []
        ready = {"type": "Ready", "status": "False" if self.paused else "True"}
        return {"metadata": {"name": name, "uid": "uid-2" if self.killed else "uid-1"}, "status": {
            "phase": "Running", "nodeName": "node-a", "conditions": [ready, *paused]}}

    def items(self, resource: Resource, namespace: str, *, labels: str) -> list[Object]:
        assert labels == "kubevirt.io=virt-launcher,kubevirt.io/created-by=uid-1"
        finished: Object = {"metadata": {"name": "old", "uid": "pod-0"}, "spec": {"nodeName": "node-b"},
                            "status": {"phase": "Succeeded"}}
        return [finished, self._pod()]

    def delete(self, resource: Resource, name: str, namespace: str, *, grace_seconds: int | None = None) -> None:
        self.calls.append(f"delete {name} with {grace_seconds}")
        self.killed = True

    @staticmethod
    def _pod() -> Object:
        return {"metadata": {"name": "launcher", "uid": "pod-1"}, "spec": {"nodeName": "node-a"},
                "status": {"phase": "Running"}}


@dataclass
class Database:
    """A member as a fault reaches it: an answer or an error for each statement, by its first word."""

    vm: str = "portal-0"
    errors: dict[str, SqlError] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    uptime: int = 500
    state: str = "Synced"

    def run(self, *statements: str, times: int = 1, seconds: float = 30) -> list[list[Any]]:
        for statement in statements:
            self.said.append(statement)
            if error := self.errors.get(statement.split()[0]):
                raise error
            if statement == "SHUTDOWN":
                self.uptime = 1
        return [[] for _ in statements]

    def variable(self, name: str) -> str:
        return str(self.uptime) if name == "Uptime" else self.state


def _machine(cluster: Guests) -> tuple[Cluster, VirtualMachine]:
    fake = cast(Cluster, cluster)
    return fake, VirtualMachine(fake, "vm-0", "ns")


def _member(database: Database) -> Member:
    return cast(Member, database)


def test_a_pause_lasts_its_time_however_long_seeing_it_took() -> None:
    """Counted from the request; afterwards the condition is gone and the guest is Ready."""
    guests, clock = Guests(), FakeClock()
    cluster, machine = _machine(guests)
    fault = PauseGuest(cluster=cluster, machine=machine, seconds=8)
    assert fault.inject(Deadline(30, clock))["condition"]["reason"] == "PausedByUser"
    clock.sleep(3)
    assert fault.heal(Deadline(30, clock))["paused_s"] == pytest.approx(8)
    assert guests.calls == ["pause", "unpause"]


def test_a_pause_without_its_condition_is_no_proof() -> None:
    """The API took the request, and nothing happened."""
    cluster, machine = _machine(Guests(obeys=False))
    with pytest.raises(WaitTimeoutError, match="vm-0 is paused"):
        PauseGuest(cluster=cluster, machine=machine, seconds=8).inject(Deadline(5, FakeClock()))


def test_a_killed_launcher_is_the_one_that_ran_and_another_instance_heals() -> None:
    """Force means a grace of 0; launchers that have ended are left alone."""
    guests = Guests()
    cluster, machine = _machine(guests)
    fault = KillLauncher(cluster=cluster, machine=machine)
    assert fault.inject(Deadline(30, FakeClock()))["pod_uid"] == "pod-1"
    assert guests.calls == ["delete launcher with 0"]
    assert fault.heal(Deadline(30, FakeClock()))["instance"] == "uid-2"


def test_a_machine_that_stays_away_has_not_healed() -> None:
    """Nobody started it anew."""
    cluster, machine = _machine(Guests(comes_back=False))
    fault = KillLauncher(cluster=cluster, machine=machine)
    fault.inject(Deadline(30, FakeClock()))
    with pytest.raises(WaitTimeoutError, match="as another instance than uid-1"):
        fault.heal(Deadline(5, FakeClock()))


def test_without_a_running_launcher_there_is_nothing_to_kill() -> None:
    """The error names the machine."""
    cluster, machine = _machine(Guests(killed=True, comes_back=False))
    with pytest.raises(NotFoundError, match="launcher of vm-0"):
        KillLauncher(cluster=cluster, machine=machine).inject(Deadline(5, FakeClock()))


def test_a_database_that_has_started_anew_was_stopped() -> None:
    """A supervisor may be faster than any look at the dead server: its uptime tells."""
    database = Database()
    fault = StopDatabase(member=_member(database))
    assert fault.inject(Deadline(30, FakeClock()))["uptime_s"] == 500
    assert fault.heal(Deadline(30, FakeClock()))["state"] == "Synced"


def test_a_refused_shutdown_is_an_error() -> None:
    """The account lacks the privilege."""
    database = Database(errors={"SHUTDOWN": SqlError(1227, "Access denied")})
    with pytest.raises(SqlError, match="1227"):
        StopDatabase(member=_member(database)).inject(Deadline(5, FakeClock()))


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_sql_where_nobody_listens_is_an_error_without_the_password() -> None:
    """From a process of its own, as it runs where the clients are."""
    member = Member(vm="portal-0", address="127.0.0.1", port=_closed_port(), user="drainproof", password="not-told")
    with pytest.raises(SqlError, match="2003") as caught:
        member.run("SELECT 1")
    assert "not-told" not in f"{caught.value} {member}"


def test_a_guest_without_the_service_says_why_it_cannot_churn() -> None:
    """A foreign image: the reason stands in the skip, and the fault refuses."""
    assert "offers no memory churn: no service for it at port" in missing("127.0.0.1")
    fault = Churn(vm="vm-0", address="127.0.0.1", mib=1, mib_per_second=1, seconds=1)
    with pytest.raises(UnexpectedStateError, match="no service for it"):
        fault.inject(Deadline(20))
    assert "no service" in fault.heal(Deadline(5))["guest"]
