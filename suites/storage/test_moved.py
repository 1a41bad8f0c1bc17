"""A guest writes on while its machine moves: what its disk acknowledged is there, and no write waited for long."""

from __future__ import annotations

from fixtures.storage import StorageCertification


def test_writes_go_on_through_a_migration(storage: StorageCertification) -> None:
    """A machine is live-migrated to and fro while it writes and while fio keeps its disk busy.

    Preconditions: one machine with a data disk of the class under test, and a free node.
    Expected: both migrations succeed; no write stands still for long, every acknowledged one is on the disk.
    """
    with storage.machine() as bench:
        bench.prepare()
        bench.baseline()
        bench.measure("random", "sequential")
        for job in ("random", "sequential"):
            with bench.measured(job, during="migration"):
                bench.undergo(bench.migration())
            bench.settle()
        bench.audit()
    storage.conclude()


def test_writes_go_on_through_a_drain(storage: StorageCertification) -> None:
    """The node under a machine that writes is drained.

    Preconditions: one machine with a data disk of the class under test, and a free node.
    Expected: the machine moves; no write stands still for long, every acknowledged one is on the disk.
    """
    with storage.machine() as bench:
        bench.baseline()
        bench.drain_node()
        bench.settle()
        bench.audit()
    storage.conclude()
