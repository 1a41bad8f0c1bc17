"""The consistency workloads: small transactions whose history shows what a database has lost, invented or reordered."""

from __future__ import annotations

from drainproof.record import Step
from load.workloads import append, bank, counter, register, sets
from load.workloads.transaction import TAKING_TURNS, Execute, Transaction, Turn, Workload

WORKLOADS: tuple[Workload, ...] = (append.WORKLOAD, bank.WORKLOAD, sets.WORKLOAD, register.WORKLOAD, counter.WORKLOAD)
"""All of them, in the order in which they take turns."""
TABLES = tuple(workload.table for workload in WORKLOADS)
_PERFORM = {act: perform for workload in WORKLOADS for act, perform in workload.acts.items()}


def turn_of(turn: Turn) -> list[Transaction]:
    """What one member does in its turn: all members run the same workload in a slot, so that they meet in its rows."""
    return WORKLOADS[turn.slot % TAKING_TURNS].plan(turn)


def perform(execute: Execute, step: Step) -> Step:
    """Take one step on a connection; returns it with what was seen. Raises what the database raises."""
    return _PERFORM[step.act](execute, step)


__all__ = ["TABLES", "WORKLOADS", "Execute", "Step", "Transaction", "Turn", "Workload", "perform", "turn_of"]
