"""Copies of a disk in use hold what had been acknowledged when they were asked for, and the original goes on."""

from __future__ import annotations

import pytest

from drainproof.api import MACHINE_CLONES, MACHINE_RESTORES, MACHINE_SNAPSHOTS
from fixtures.storage import StorageCertification


@pytest.mark.needs(MACHINE_SNAPSHOTS)
@pytest.mark.usefixtures("snapshots")
def test_writes_go_on_through_a_snapshot(storage: StorageCertification) -> None:
    """A snapshot is taken of a machine that writes.

    Preconditions: one machine with a data disk of the class under test.
    Expected: the snapshot can be used within its limit; no write stands still for long, none is lost.
    """
    with storage.machine() as bench:
        bench.baseline()
        bench.undergo(bench.snapshot())
        bench.settle()
        bench.audit()
    storage.conclude()


@pytest.mark.needs(MACHINE_SNAPSHOTS, MACHINE_RESTORES)
@pytest.mark.usefixtures("snapshots")
def test_a_restore_brings_back_the_snapshot(storage: StorageCertification) -> None:
    """A machine is put back to a snapshot, and has what it had then.

    Preconditions: one machine with a data disk of the class under test, which writes on after the snapshot.
    Expected: all that was acknowledged before the snapshot is there, nothing of what came after it; it writes on.
    """
    with storage.machine() as bench:
        bench.baseline()
        snapshot = bench.snapshot()
        bench.undergo(snapshot)
        bench.settle()
        bench.restore(snapshot)
        bench.settle()
        bench.audit()
    storage.conclude()


@pytest.mark.needs(MACHINE_CLONES)
@pytest.mark.usefixtures("snapshots")
def test_a_clone_has_the_data(storage: StorageCertification) -> None:
    """A machine that writes is cloned, and the clone boots beside it with its data.

    Preconditions: one machine with a data disk of the class under test, room for another.
    Expected: the clone has another MAC and all that was acknowledged before; the original writes on and loses nothing.
    """
    with storage.machine() as bench:
        bench.baseline()
        clone = bench.clone()
        with bench.under(clone):
            bench.read_back(clone.guest)
        bench.settle()
        bench.audit()
    storage.conclude()
