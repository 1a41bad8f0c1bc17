"""The portal application, against a database connection that plays a script."""

import importlib.util
import io
import json
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from lab.image.recipe import GUEST


class DatabaseError(Exception):
    """Stands for MySQLdb.Error: (code, message)."""


class Connection:
    """A connection and its cursor: each execute takes the next of the scripted answers."""

    def __init__(self, script: list[Any]) -> None:
        self.script = script
        self.lastrowid = 41
        self._rows: list[Any] = []

    def cursor(self) -> "Connection":
        return self

    def execute(self, _statement: str, _values: tuple[object, ...] = ()) -> int:
        answer = self.script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        self._rows = answer
        return len(answer)

    def fetchall(self) -> list[Any]:
        return self._rows

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def portal(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The application's module, loaded with stand-ins for the database driver."""
    driver: Any = ModuleType("MySQLdb")
    driver.Error, driver.IntegrityError = DatabaseError, type("IntegrityError", (DatabaseError,), {})
    constants: Any = ModuleType("MySQLdb.constants")
    constants.ER = SimpleNamespace(LOCK_DEADLOCK=1213, LOCK_WAIT_TIMEOUT=1205, DUP_ENTRY=1062)
    constants.CR = SimpleNamespace(SERVER_GONE_ERROR=2006, SERVER_LOST=2013)
    monkeypatch.setitem(sys.modules, "MySQLdb", driver)
    monkeypatch.setitem(sys.modules, "MySQLdb.constants", constants)
    spec = importlib.util.spec_from_file_location("portal", GUEST / "root/usr/share/portal/portal.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ask(portal: Any, script: list[Any], method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Send one request to the application whose connections play `script`."""
    portal.MySQLdb.connect = lambda **_options: Connection(script)
    payload = b"" if body is None else json.dumps(body).encode()
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": "",
               "CONTENT_LENGTH": str(len(payload)), "wsgi.input": io.BytesIO(payload)}
    statuses: list[str] = []
    answer = portal.application(environ, lambda status, _headers: statuses.append(status))
    return int(statuses[0].split()[0]), json.loads(b"".join(answer))


BILL = {"patient_id": 1, "doctor_id": 2, "amount_cents": 300, "key": "k"}


def test_bill_is_opened(portal: Any) -> None:
    """A new key opens a bill and answers with its number."""
    assert ask(portal, [[]], "POST", "/bills", BILL) == (201, {"id": 41})


def test_repeated_bill_answers_with_the_first(portal: Any) -> None:
    """The same key again is answered with the bill it opened."""
    duplicate = portal.MySQLdb.IntegrityError(1062, "duplicate")
    assert ask(portal, [duplicate, [(7,)]], "POST", "/bills", BILL) == (201, {"id": 7})


def test_certification_conflict_is_repeated(portal: Any) -> None:
    """Galera's conflict is repeated as the server asks."""
    assert ask(portal, [DatabaseError(1213, "deadlock"), []], "POST", "/bills", BILL)[0] == 201


def test_lost_connection_is_made_again_once(portal: Any) -> None:
    """One lost connection is replaced; a second loss is told."""
    gone = DatabaseError(2006, "gone")
    assert ask(portal, [gone, []], "POST", "/bills", BILL)[0] == 201
    portal.DATABASE = portal.Database()
    assert ask(portal, [gone, gone], "POST", "/bills", BILL)[0] == 503


def test_refusing_database_is_answered_as_503(portal: Any) -> None:
    """A member outside of the primary component says so, at once."""
    refusal = DatabaseError(1047, "WSREP has not yet prepared node for application use")
    status, content = ask(portal, [refusal], "GET", "/doctors")
    assert (status, content["code"]) == (503, 1047)
    assert "WSREP" in content["reason"]


def test_bill_is_paid_once(portal: Any) -> None:
    """The first key pays; the same key is answered alike; another one is refused; an unknown bill is not found."""
    assert ask(portal, [[1], []], "POST", "/bills/5/pay", {"key": "p"}) == (200, {"id": 5, "paid": True})
    portal.DATABASE = portal.Database()
    assert ask(portal, [[], [("p",)]], "POST", "/bills/5/pay", {"key": "p"})[0] == 200
    portal.DATABASE = portal.Database()
    assert ask(portal, [[], [("p",)]], "POST", "/bills/5/pay", {"key": "other"})[0] == 409
    portal.DATABASE = portal.Database()
    assert ask(portal, [[], []], "POST", "/bills/5/pay", {"key": "p"})[0] == 404


@pytest.mark.parametrize("body", [None, [], {}, {**BILL, "amount_cents": "many"}, {**BILL, "patient_id": True}])
def test_malformed_body_is_refused(portal: Any, body: object) -> None:
    """A body that is no bill never reaches the database."""
    assert ask(portal, [], "POST", "/bills", body)[0] == 400
