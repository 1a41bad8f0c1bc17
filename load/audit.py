"""The audit: once writing has stopped, what every member holds, row by row, and how the member stands.

`python -m load.audit <plan.json>` waits until all members have applied the same transactions, then reads each of them
directly. It ends with 0 when every member was read, with 1 when one could not be; the events say which and why.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pymysql

from drainproof.errors import WaitTimeoutError
from drainproof.record import Case, CaseReader, HistoryWriter, Operation, Outcome, Step
from drainproof.record.case import TABLES
from drainproof.record.history import SYNC
from drainproof.wait import Deadline, wait
from load.observer import run
from load.plan import Machine, Plan, sql_password
from load.sessions import Session
from load.sql import connect, execute, reason_of
from load.tables import NAMES, PORTAL, TableReader
from load.workloads import WORKLOADS, Workload

NAME = "audit"
HISTORIAN = "historian"
SETTLE_SECONDS = 30.0
READ_SECONDS = 30.0
STATUS = {
    "cluster_status": "wsrep_cluster_status",
    "cluster_size": "wsrep_cluster_size",
    "local_state_comment": "wsrep_local_state_comment",
    "last_committed": "wsrep_last_committed",
    "cluster_state_uuid": "wsrep_cluster_state_uuid",
    "cluster_conf_id": "wsrep_cluster_conf_id",
    "flow_control_paused_ns": "wsrep_flow_control_paused_ns",
    "ready": "wsrep_ready",
    "provider_version": "wsrep_provider_version",
}
"""Status variables of Galera that go on the record, by the name they get there."""
NUMBERS = {"cluster_size", "last_committed", "cluster_conf_id", "flow_control_paused_ns"}
SETTINGS = (
    "version", "transaction_isolation", "tx_isolation", "sync_binlog", "log_bin", "binlog_format",
    "default_storage_engine", "innodb_flush_log_at_trx_commit", "innodb_doublewrite", "innodb_flush_method",
    "innodb_snapshot_isolation", "innodb_autoinc_lock_mode", "innodb_lock_wait_timeout",
    "innodb_rollback_on_timeout", "wsrep_on", "wsrep_sync_wait", "wsrep_causal_reads", "wsrep_trx_fragment_size",
    "wsrep_trx_fragment_unit", "wsrep_certify_nonpk", "wsrep_certification_rules", "wsrep_retry_autocommit",
    "wsrep_max_ws_rows", "wsrep_max_ws_size", "wsrep_mode", "wsrep_osu_method", "wsrep_desync",
    "wsrep_dirty_reads", "wsrep_drupal_282555_workaround", "wsrep_ignore_apply_errors",
    "wsrep_load_data_splitting", "wsrep_slave_threads", "wsrep_slave_fk_checks", "wsrep_slave_uk_checks",
    "wsrep_sst_method", "wsrep_sst_donor_rejects_queries", "wsrep_provider_options",
)
"""Server variables that decide what an acknowledgement, or an answer, is worth; by their names in small letters."""
FAULTS = (pymysql.MySQLError, OSError)
COLUMNS: list[tuple[str, pa.DataType]] = [
    ("member", pa.string()), ("table", pa.string()), ("key", pa.int64()), ("digest", pa.int64()),
]
SCHEMA = pa.schema(COLUMNS)


@dataclass
class Member:
    """One member under audit: its connection, or the reason why there is none."""

    machine: Machine
    connection: pymysql.Connection[Any] | None = None
    reason: str = ""
    tables: set[str] = field(default_factory=set)
    rows: dict[str, int] = field(default_factory=dict)

    def lost(self, error: BaseException) -> None:
        """The member cannot be read any further."""
        self.connection, self.reason = None, reason_of(error)


def status_of(member: Member) -> dict[str, Any]:
    """The wsrep status of a member as it stands; empty when it cannot be read."""
    if member.connection is None:
        return {}
    try:
        found = dict(execute(member.connection, "SHOW GLOBAL STATUS LIKE 'wsrep\\_%'"))
    except FAULTS as error:
        member.lost(error)
        return {}
    values = {name: found.get(variable) for name, variable in STATUS.items()}
    return {name: _number(value) if name in NUMBERS else value for name, value in values.items()}


def settings_of(member: Member) -> dict[str, str]:
    """The settings of a member that matter for durability and consistency."""
    if member.connection is None:
        return {}
    try:
        found = dict(execute(member.connection, "SHOW GLOBAL VARIABLES"))
    except FAULTS as error:
        member.lost(error)
        return {}
    found = {name.lower(): value for name, value in found.items()}
    return {name: found[name] for name in SETTINGS if name in found}


def settle(members: list[Member], deadline: Deadline) -> tuple[bool, dict[str, int | None]]:
    """Wait until every member that answers has applied the same transactions; whether they have, and where each is."""

    def committed() -> dict[str, int | None]:
        return {member.machine.name: status_of(member).get("last_committed") for member in members}

    def equal(seen: dict[str, int | None]) -> bool:
        answered = {value for name, value in seen.items() if value is not None}
        return len(answered) == 1

    try:
        return True, wait("every member has applied the same transactions", committed, until=equal, deadline=deadline)
    except WaitTimeoutError:
        return False, committed()


def tables_there(members: list[Member]) -> tuple[str, ...]:
    """The portal's tables, and those of the workloads that at least one member has."""
    for member in members:
        if member.connection is not None:
            try:
                member.tables = {str(row[0]) for row in execute(member.connection, "SHOW TABLES")}
            except FAULTS as error:
                member.lost(error)
    there = set(PORTAL).union(*(member.tables for member in members))
    return tuple(name for name in NAMES if name in there)


def read_tables(members: list[Member], names: Sequence[str], case: Case) -> None:
    """Read every row of every table from each member into the record; a table that it does not have has no rows."""
    with pq.ParquetWriter(case.directory / TABLES, SCHEMA, compression="zstd") as writer:
        for member in members:
            for table in names:
                if table in member.tables:
                    _read_table(member, table, writer)
                elif member.connection is not None:
                    member.rows[table] = 0


def read_history(members: list[Member], names: Sequence[str], case: Case) -> None:
    """Read on each member what the workloads have left in it, as the last operations of their history."""
    workloads = [workload for workload in WORKLOADS if workload.table in names]
    if not workloads:
        return
    tallies = CaseReader(case.directory).events(HISTORIAN, "tally")
    highest: dict[str, int] = tallies[-1].data["highest"] if tallies else {}
    operations = count(time.monotonic_ns())
    shard = case.history_shard(NAME)
    # An audit that is done again replaces what the one before has read, as it replaces the tables.
    shard.unlink(missing_ok=True)
    with HistoryWriter(shard) as writer:
        for number, member in enumerate(members, 1):
            for workload in workloads:
                keys = range(1, 1 + highest.get(workload.name, 0))
                if (steps := _read_final(member, workload, keys)) is not None:
                    acts, start, end = steps
                    writer.add(Operation(
                        workload=workload.name, session=-number, member=member.machine.name, op=next(operations),
                        start_ns=start, end_ns=end, outcome=Outcome.OK, acts=acts, level=SYNC, final=True,
                    ))


def _read_final(member: Member, workload: Workload, keys: Sequence[int]) -> tuple[tuple[Step, ...], int, int] | None:
    """What one workload has left on one member, and from when to when that was read; None if it cannot be read."""
    if member.connection is None or workload.table not in member.tables:
        return None
    session = Session(0, member.connection)
    start = time.monotonic_ns()
    try:
        session.execute("SET SESSION wsrep_sync_wait = 1")
        return workload.final(session.execute, keys), start, time.monotonic_ns()
    except FAULTS as error:
        member.lost(error)
        return None


def _read_table(member: Member, table: str, writer: pq.ParquetWriter) -> None:
    if member.connection is None:
        return
    reader = TableReader(member.connection, table)
    try:
        execute(member.connection, "SET SESSION wsrep_sync_wait = 1")
        for keys, digests in reader.batches():
            names = pa.array([member.machine.name] * len(keys), pa.string())
            tables = pa.array([table] * len(keys), pa.string())
            columns = [names, tables, pa.array(keys, pa.int64()), pa.array(digests, pa.int64())]
            writer.write_batch(pa.record_batch(columns, schema=SCHEMA))
    except FAULTS as error:
        member.lost(error)
    else:
        member.rows[table] = reader.rows


def main(plan: Plan) -> int:
    """Audit every member and put what was found on the record."""
    members = [_open(plan, machine, sql_password()) for machine in plan.portal.vms]
    case = Case(plan.case_dir)
    started = time.monotonic_ns()
    settled, committed = settle(members, Deadline(SETTLE_SECONDS))
    seconds = (time.monotonic_ns() - started) / 1e9
    names = tables_there(members)
    read_tables(members, names, case)
    read_history(members, names, case)
    for member in members:
        status, settings = status_of(member), settings_of(member)
        case.events.add(
            NAME, "member", member.machine.name, reachable=member.connection is not None, reason=member.reason,
            **({name: status.get(name) for name in STATUS}), settings=settings, rows=member.rows,
        )
    complete = all(member.connection is not None for member in members)
    case.events.add(
        NAME, "done", complete=complete, settled=settled, settle_seconds=round(seconds, 3), last_committed=committed,
    )
    case.close()
    return 0 if complete else 1


def _open(plan: Plan, machine: Machine, password: str) -> Member:
    member = Member(machine)
    try:
        member.connection = connect(plan, machine.address, password, read_timeout=READ_SECONDS, conv={})
    except FAULTS as error:
        member.lost(error)
    return member


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
