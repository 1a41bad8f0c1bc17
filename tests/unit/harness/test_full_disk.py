"""The full disk: what counts as full, that only one member is filled, and how it heals when the server has died."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from drainproof.errors import UnexpectedStateError
from drainproof.wait import Deadline
from scenarios.fault import Fault, Proof
from scenarios.process import FillDisk
from scenarios.sql import Member, SqlError
from tests.unit.harness.fakes import FakeClock

OFF = "SET SESSION wsrep_on=OFF"
DEAD = SqlError(2003, "Connection refused")


@dataclass
class Server:
    """A member as the fault reaches it; once dead, it lives again when its disk was replaced."""

    fills: SqlError | None = None
    dead: bool = False
    said: list[str] = field(default_factory=list)
    vm: str = "vm-0"

    def run(self, *statements: str, times: int = 1, seconds: float = 30) -> list[list[Any]]:
        self.said.extend(statements)
        if statements[-1].startswith("INSERT"):
            if self.fills:
                raise self.fills
        elif self.dead:
            raise DEAD
        return []

    def variable(self, name: str) -> str:
        return "30" if name == "Uptime" else "Synced"


@dataclass
class NewDisk:
    """The remedy, as a fault is one."""

    server: Server
    calls: list[str] = field(default_factory=list)
    kind: str = "fresh-disk"
    target: str = "vm-0"

    def inject(self, deadline: Deadline) -> Proof:
        self.calls.append("inject")
        self.server.dead = False
        return {}

    def heal(self, deadline: Deadline) -> Proof:
        self.calls.append("heal")
        return {}


def _fault(server: Server, remedy: Fault | None = None) -> FillDisk:
    return FillDisk(member=cast(Member, server), remedy=remedy)


def _deadline() -> Deadline:
    return Deadline(60, FakeClock())


@pytest.mark.parametrize(
    "error", [SqlError(1114, "The table 'filler' is full", 93), SqlError(2013, "Lost connection", 93)]
)
def test_a_disk_is_full_when_mariadb_says_so_or_dies_of_it(error: SqlError) -> None:
    """Replication is off in the session that fills; how much went in is told."""
    server = Server(fills=error)
    proof = _fault(server).inject(_deadline())
    assert (proof["code"], proof["filled_mib"]) == (error.code, 90 * 8)
    assert server.said[0] == OFF


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (None, UnexpectedStateError, "blobs of 8 MiB fit"),
        (SqlError(1047, "WSREP has not yet prepared node", 40), SqlError, "1047"),
        (SqlError(2013, "Lost connection", 3), SqlError, "2013"),
    ],
)
def test_any_other_end_is_an_error(error: SqlError | None, kind: type[Exception], told: str) -> None:
    """More room than the bound; another trouble; a server that died before anything was filled."""
    with pytest.raises(kind, match=told):
        _fault(Server(fills=error)).inject(_deadline())


def test_a_server_that_lives_drops_the_filler_here_only() -> None:
    """Its disk is not touched."""
    server = Server()
    remedy = NewDisk(server)
    assert _fault(server, remedy).heal(_deadline())["remedy"] == ""
    assert server.said == [OFF, "DROP DATABASE IF EXISTS drainproof_filler"]
    assert remedy.calls == []


def test_a_server_that_is_dead_gets_the_remedy() -> None:
    """No SQL can free anything any more."""
    server = Server(dead=True)
    remedy = NewDisk(server)
    assert _fault(server, remedy).heal(_deadline())["remedy"] == "fresh-disk"
    assert remedy.calls == ["inject", "heal"]


def test_without_a_remedy_a_dead_server_has_not_healed() -> None:
    """With the reason why it could not be asked."""
    with pytest.raises(SqlError, match="2003: Connection refused"):
        _fault(Server(dead=True)).heal(_deadline())
