"""Many machines start at once from disks of one storage class, beside one that writes."""

from __future__ import annotations

from fixtures.storage import StorageCertification


def test_a_boot_storm(storage: StorageCertification) -> None:
    """Several machines are started at the same time beside one that writes.

    Preconditions: one machine with a data disk of the class under test, room for the others.
    Expected: the last of them answers within its limit; the writes of the first go on, and none is lost.
    """
    with storage.machine() as bench:
        bench.baseline()
        bench.undergo(bench.boot_storm())
        bench.settle()
        bench.audit()
    storage.conclude()
