"""Set-up: the workloads' tables are made through one member, and seen on every other before anything is written."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from load.plan import Machine, Plan
from load.sql import connect, execute
from load.workloads import TABLES, WORKLOADS, append

SETTINGS = (
    "transaction_isolation", "tx_isolation", "innodb_snapshot_isolation", "innodb_flush_log_at_trx_commit",
    "innodb_lock_wait_timeout", "wsrep_sync_wait", "wsrep_trx_fragment_size", "wsrep_retry_autocommit",
)
"""What decides how far the answers of a member can be trusted."""


def set_up(plan: Plan, machine: Machine, password: str) -> dict[str, Any]:
    """Make the tables through one machine; returns what every member holds to begin with, and how it is set.

    It may be done again. Raises pymysql.MySQLError or OSError when a member does not answer or does not have them.
    """
    with closing(connect(plan, machine.address, password)) as connection:
        for workload in WORKLOADS:
            for statement in workload.create:
                execute(connection, statement)
    seen = {member.name: _look(plan, member, password) for member in plan.portal.vms}
    settings = {name: look.pop("settings") for name, look in seen.items()}
    one = settings[machine.name]
    return {
        **seen[machine.name], "rows": {name: look["rows"] for name, look in seen.items()},
        "isolation": one.get("transaction_isolation", one.get("tx_isolation", "")), "settings": settings,
        "registers": "one for each session", "keys": append.ACTIVE_KEYS, "rounds_per_key": append.ROUNDS_PER_KEY,
        "rate": plan.load.history_rate, "seed": plan.seed,
    }


def _look(plan: Plan, machine: Machine, password: str) -> dict[str, Any]:
    names = ", ".join(f"'{name}'" for name in SETTINGS)
    with closing(connect(plan, machine.address, password)) as connection:
        execute(connection, "SET SESSION wsrep_sync_wait = 1")
        rows = {table: int(execute(connection, f"SELECT COUNT(*) FROM {table}")[0][0]) for table in TABLES}
        accounts, total = execute(connection, "SELECT COUNT(*), SUM(balance) FROM accounts")[0]
        settings = dict(execute(connection, f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})"))
    return {"rows": rows, "accounts": int(accounts), "total": int(total), "settings": settings}
