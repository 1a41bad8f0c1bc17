"""The limits of a migration and virt-launcher's log line."""

from __future__ import annotations

import json
import re

import pytest

from lab.agent import migration_limits
from lab.agent.migration_limits import UNLIMITED_BANDWIDTH, Action, Limits, Watch

REAL_LINE = (
    "Migration info for 80ff5997-b919-42b5-a7bf-04101fdb2070: TimeElapsed:1376ms DataProcessed:91MiB DataRemaining:0MiB"
    " DataTotal:272MiB MemoryProcessed:91MiB MemoryRemaining:0MiB MemoryTotal:272MiB MemoryBandwidth:2589Mbps"
    " DirtyRate:0Mbps Iteration:3 PostcopyRequests:0 ConstantPages:46758 NormalPages:23020 NormalData:89MiB"
    " Downtime:161ms DowntimeNet:158ms DiskMbps:0"
)


@pytest.mark.parametrize(
    ("memory", "seconds"), [(512 << 20, 150), (10**9, 150), (10**9 + 1, 300), (1 << 30, 300), (4 << 30, 750)]
)
def test_budget_grows_with_each_begun_decimal_gigabyte(memory: int, seconds: float) -> None:
    """150 s per gigabyte, rounded up, as virt-launcher reckons."""
    assert migration_limits.read({}, memory).completion_seconds == seconds


def test_bandwidth_zero_means_unlimited() -> None:
    """Zero leaves the link to itself, anything else is bytes per second."""
    assert migration_limits.read({"bandwidthPerMigration": "0"}, 1).bandwidth == UNLIMITED_BANDWIDTH
    assert migration_limits.read({"bandwidthPerMigration": "64Mi"}, 1).bandwidth == 64 << 20


def test_downtime_limit_is_qemus_unless_a_policy_sets_it() -> None:
    """maxDowntimeMs of the configuration is not used without a policy."""
    assert migration_limits.read({"maxDowntimeMs": 900}, 1).downtime_ms == 300
    assert migration_limits.read({"maxDowntimeMs": 900}, 1, 500).downtime_ms == 500


def test_workload_disruption_follows_post_copy_unless_set() -> None:
    """allowWorkloadDisruption unset takes allowPostCopy's value."""
    assert migration_limits.read({"allowPostCopy": True}, 1).disruption
    assert not migration_limits.read({"allowPostCopy": True, "allowWorkloadDisruption": False}, 1).disruption


def test_stuck_migration_is_aborted() -> None:
    """No progress for longer than progressTimeout ends it, and progress starts the clock anew."""
    watch = Watch(Limits(completion_seconds=1000, progress_seconds=10))
    assert watch.decide(1, 100)[0] is Action.GO_ON
    assert watch.decide(10, 90)[0] is Action.GO_ON
    assert watch.decide(20, 90)[0] is Action.GO_ON
    action, reason = watch.decide(20.5, 95)
    assert action is Action.ABORT
    assert "stuck for 10 sec" in reason


def test_progress_check_can_be_turned_off() -> None:
    """progressTimeout 0 never aborts."""
    watch = Watch(Limits(completion_seconds=1000, progress_seconds=0))
    assert watch.decide(1, 100)[0] is watch.decide(999, 100)[0] is Action.GO_ON


def test_over_budget_is_aborted_where_no_disruption_is_allowed() -> None:
    """Without allowWorkloadDisruption the guest goes on at its source."""
    watch = Watch(Limits(completion_seconds=10, progress_seconds=0))
    assert watch.decide(10, 5)[0] is Action.GO_ON
    assert watch.decide(10.1, 5)[0] is Action.ABORT


def test_over_budget_switches_to_post_copy_once() -> None:
    """With allowPostCopy the migration changes its mode, and then has all the time it needs."""
    watch = Watch(Limits(completion_seconds=10, progress_seconds=0, post_copy=True, disruption=True))
    assert watch.decide(11, 5)[0] is Action.POST_COPY
    assert watch.decide(12, 4)[0] is watch.decide(500, 3)[0] is Action.GO_ON


def test_post_copy_is_never_given_up() -> None:
    """The guest runs at the target by then: whoever aborted it, stuck or late, would lose it."""
    watch = Watch(Limits(completion_seconds=10, progress_seconds=20, post_copy=True, disruption=True))
    assert watch.decide(11, 5)[0] is Action.POST_COPY
    assert watch.decide(5000, 5)[0] is Action.GO_ON


def test_a_guest_that_dirties_as_fast_as_the_link_is_not_stuck() -> None:
    """What is left rises and falls with each pass: as long as it falls again there is progress."""
    watch = Watch(Limits(completion_seconds=1000, progress_seconds=10))
    for second, remaining in ((1, 10), (8, 90), (9, 50), (16, 90), (17, 50), (24, 90), (25, 50)):
        assert watch.decide(second, remaining)[0] is Action.GO_ON, second


def test_peaks_keep_what_a_finished_migration_no_longer_tells() -> None:
    """The dirty rate and auto-converge's throttling are gone from QEMU's answer once it has completed."""
    peaks = migration_limits.Peaks()
    active = {"cpu-throttle-percentage": 30, "ram": {"dirty-pages-rate": 100, "page-size": 4096}}
    peaks.note(migration_limits.progress(active))
    peaks.note(migration_limits.progress({"status": "completed", "ram": {}}))
    assert str(peaks) == "dirty_rate_bytes=409600 throttle_percent=30"


def test_over_budget_pauses_the_guest_then_gives_up() -> None:
    """Disruption without post-copy suspends the guest and doubles the budget."""
    watch = Watch(Limits(completion_seconds=10, progress_seconds=0, disruption=True))
    assert watch.decide(11, 5)[0] is Action.PAUSE
    assert watch.decide(19, 4)[0] is Action.GO_ON
    assert watch.decide(21, 4)[0] is Action.ABORT


def test_log_line_has_the_shape_of_the_real_one() -> None:
    """The same fields in the same order as a recorded virt-launcher line."""
    info = json.loads(
        '{"status": "completed", "total-time": 1376, "downtime": 161, "ram": {"transferred": 95420416, "remaining": 0,'
        ' "total": 285212672, "mbps": 2589, "dirty-pages-rate": 0, "page-size": 4096, "dirty-sync-count": 3,'
        ' "postcopy-requests": 0, "duplicate": 46758, "normal": 23020, "normal-bytes": 94289920}}'
    )
    line = migration_limits.log_line("80ff5997-b919-42b5-a7bf-04101fdb2070", migration_limits.progress(info))
    assert line == REAL_LINE.replace("DowntimeNet:158ms", "DowntimeNet:161ms")


def test_unfinished_migration_logs_the_expected_downtime() -> None:
    """Until it is over there is only an estimate."""
    line = migration_limits.log_line("u", migration_limits.progress({"expected-downtime": 300, "ram": {}}))
    assert re.search(r"ExpectedDowntime:300ms DiskMbps:0$", line)
