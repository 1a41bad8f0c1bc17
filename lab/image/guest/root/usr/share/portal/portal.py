"""The patient portal: doctors, patients, bills and payments as JSON over WSGI.

Writes carry a client-chosen unique `key`, so a client may repeat one after a lost answer and gets the first result.
A database that refuses is answered with 503 and its reason; the application never waits for a better moment itself,
except for Galera's certification conflicts, which the server asks to be repeated.
"""

import json
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import MySQLdb  # type: ignore[import-untyped]
from MySQLdb.constants import CR, ER  # type: ignore[import-untyped]

PAGE_SIZE = 20
CONFLICT_RETRIES = 5
CONFLICTS = {ER.LOCK_DEADLOCK, ER.LOCK_WAIT_TIMEOUT}
CONNECTION_LOST = {CR.SERVER_GONE_ERROR, CR.SERVER_LOST}
CONNECTION = {
    "unix_socket": "/run/mysqld/mysqld.sock",
    "user": "portal",
    "db": "portal",
    "connect_timeout": 5,
    "read_timeout": 30,
    "write_timeout": 30,
    # A bill opened through another member must be visible before it is paid here: updates wait for what is on its way.
    "init_command": "SET SESSION wsrep_sync_wait = 2",
}
STATUS_TEXT = {200: "OK", 201: "Created", 400: "Bad Request", 404: "Not Found", 409: "Conflict",
               503: "Service Unavailable"}

Answer = tuple[int, object]
Row = tuple[Any, ...]


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """A request that cannot be fulfilled, with the HTTP status and reason to answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Database:
    """One connection per thread, made when needed and again after it broke."""

    def __init__(self) -> None:
        self._local = threading.local()

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """Yield a cursor; commit at the end, drop the connection on an error."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = MySQLdb.connect(**CONNECTION)
        try:
            yield connection.cursor()
            connection.commit()
        except BaseException as error:
            self._after(connection, error)
            raise

    def _after(self, connection: Any, error: BaseException) -> None:
        reusable = isinstance(error, Refused) or _code(error) in CONFLICTS | {ER.DUP_ENTRY}
        try:
            if reusable:
                connection.rollback()
                return
        except MySQLdb.Error:
            pass  # the connection is broken as well: closed below
        self._local.connection = None
        connection.close()


def _code(error: BaseException) -> int:
    return int(error.args[0]) if isinstance(error, MySQLdb.Error) and error.args else 0


def run(database: Database, work: Callable[[Any], Answer]) -> Answer:
    """Run one transaction, again after a certification conflict and once after a connection that had been lost.

    Repeating is safe: every write has a unique key.
    """
    lost = 0
    for _ in range(CONFLICT_RETRIES):
        try:
            with database.transaction() as cursor:
                return work(cursor)
        except MySQLdb.Error as error:
            lost += _code(error) in CONNECTION_LOST
            if lost > 1 or _code(error) not in CONFLICTS | CONNECTION_LOST:
                return _unavailable(error)
            last = error
    return _unavailable(last)


def _unavailable(error: MySQLdb.Error) -> Answer:
    return 503, {"error": "database", "code": _code(error), "reason": str(error.args[-1] if error.args else error)}


def _rows(cursor: Any, statement: str, values: tuple[object, ...] = ()) -> list[Row]:
    cursor.execute(statement, values)
    return list(cursor.fetchall())


def list_doctors(cursor: Any, page: int) -> Answer:
    """List one page of doctors."""
    rows = _rows(cursor, "SELECT id, name, specialty FROM doctors ORDER BY id LIMIT %s OFFSET %s",
                 (PAGE_SIZE, page * PAGE_SIZE))
    return 200, {"page": page, "doctors": [{"id": i, "name": name, "specialty": s} for i, name, s in rows]}


def list_patients(cursor: Any, page: int) -> Answer:
    """List one page of patients."""
    rows = _rows(cursor, "SELECT id, name FROM patients ORDER BY id LIMIT %s OFFSET %s", (PAGE_SIZE, page * PAGE_SIZE))
    return 200, {"page": page, "patients": [{"id": i, "name": name} for i, name in rows]}


def show_patient(cursor: Any, patient: int) -> Answer:
    """Show one patient with the latest bills."""
    found = _rows(cursor, "SELECT name, born FROM patients WHERE id = %s", (patient,))
    if not found:
        raise Refused(404, f"no patient {patient}")
    bills = _rows(cursor, "SELECT id, doctor_id, amount_cents, paid FROM bills WHERE patient_id = %s "
                          "ORDER BY id DESC LIMIT 20", (patient,))
    name, born = found[0]
    return 200, {"id": patient, "name": name, "born": str(born),
                 "bills": [{"id": i, "doctor_id": d, "amount_cents": a, "paid": bool(p)} for i, d, a, p in bills]}


def open_bill(cursor: Any, body: dict[str, Any]) -> Answer:
    """Open a bill; the same key again answers with the bill it opened."""
    key = _field(body, "key", str)
    values = (key, _field(body, "patient_id", int), _field(body, "doctor_id", int), _field(body, "amount_cents", int))
    try:
        cursor.execute("INSERT INTO bills (`key`, patient_id, doctor_id, amount_cents) VALUES (%s, %s, %s, %s)", values)
    except MySQLdb.IntegrityError as error:
        if _code(error) != ER.DUP_ENTRY:
            raise Refused(404, "no such patient or doctor") from error
        return 201, {"id": _rows(cursor, "SELECT id FROM bills WHERE `key` = %s", (key,))[0][0]}
    return 201, {"id": cursor.lastrowid}


def pay_bill(cursor: Any, bill: int, body: dict[str, Any]) -> Answer:
    """Pay a bill once; the same key again is answered like the first time, another key is refused."""
    key = _field(body, "key", str)
    if cursor.execute("UPDATE bills SET paid = TRUE WHERE id = %s AND NOT paid", (bill,)):
        cursor.execute("INSERT INTO payments (`key`, bill_id, amount_cents) SELECT %s, id, amount_cents FROM bills "
                       "WHERE id = %s", (key, bill))
        return 200, {"id": bill, "paid": True}
    paid_by = _rows(cursor, "SELECT `key` FROM payments WHERE bill_id = %s", (bill,))
    if not paid_by:
        raise Refused(404, f"no bill {bill}")
    if paid_by[0][0] != key:
        raise Refused(409, f"bill {bill} was paid with another key")
    return 200, {"id": bill, "paid": True}


def identity() -> Answer:
    """Tell which machine answers and since when it runs."""
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return 200, {"hostname": os.uname().nodename, "boot_id": boot_id, "uptime_s": uptime}


def _field(body: dict[str, Any], name: str, kind: type) -> Any:
    value = body.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise Refused(400, f"field {name} must be of type {kind.__name__}")
    return value


def _page(query: str) -> int:
    text = parse_qs(query).get("page", ["0"])[0]
    if not text.isdecimal():
        raise Refused(400, f"page must be a number from 0, not {text}")
    return int(text)


def _body(environ: dict[str, Any]) -> dict[str, Any]:
    try:
        body = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
    except ValueError as error:
        raise Refused(400, "the body is not JSON") from error
    if not isinstance(body, dict):
        raise Refused(400, "the body is not a JSON object")
    return body


def route(database: Database, environ: dict[str, Any]) -> Answer:
    """Find and run what a request asks for."""
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    if method == "GET":
        if path == "/identity":
            return identity()
        if path in ("/doctors", "/patients"):
            page = _page(environ.get("QUERY_STRING", ""))
            listing = list_doctors if path == "/doctors" else list_patients
            return run(database, lambda cursor: listing(cursor, page))
        if patient := re.fullmatch(r"/patients/(\d+)", path):
            return run(database, lambda cursor: show_patient(cursor, int(patient[1])))
    if method == "POST":
        if path == "/bills":
            body = _body(environ)
            return run(database, lambda cursor: open_bill(cursor, body))
        if bill := re.fullmatch(r"/bills/(\d+)/pay", path):
            body = _body(environ)
            return run(database, lambda cursor: pay_bill(cursor, int(bill[1]), body))
    raise Refused(404, f"nothing answers {method} {path}")


DATABASE = Database()


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Answer one WSGI request with JSON."""
    try:
        status, content = route(DATABASE, environ)
    except Refused as refused:
        status, content = refused.status, {"error": refused.reason}
    payload = json.dumps(content).encode()
    start_response(f"{status} {STATUS_TEXT[status]}", [("Content-Type", "application/json"),
                                                      ("Content-Length", str(len(payload)))])
    return [payload]
