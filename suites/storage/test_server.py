"""The storage server itself stands still, or dies and comes back: guests wait, and lose nothing."""

from __future__ import annotations

import pytest

from fixtures.storage import StorageCertification


@pytest.mark.alone
@pytest.mark.usefixtures("storage_server")
def test_the_server_stands_still(storage: StorageCertification) -> None:
    """The storage server answers nobody for a while.

    Preconditions: one machine with a data disk of the class under test; leave to pause its server.
    Expected: its writes wait for the server and then go on; none is refused; what was acknowledged is there, also for a
    guest that lost its power.
    """
    with storage.machine() as bench:
        bench.baseline()
        bench.undergo(bench.server_pause())
        bench.settle()
        bench.audit_after_power_cut()
    storage.conclude()


@pytest.mark.alone
@pytest.mark.usefixtures("storage_failover")
def test_the_server_fails_over(storage: StorageCertification) -> None:
    """The storage server is killed, and the same or another serves in its place.

    Preconditions: one machine with a data disk of the class under test; leave to kill its server.
    Expected: the writes go on within the recovery limit; none is refused; what was acknowledged is there, also
    for a guest that lost its power.
    """
    with storage.machine() as bench:
        bench.baseline()
        bench.undergo(bench.server_failover())
        bench.settle()
        bench.audit_after_power_cut()
    storage.conclude()
