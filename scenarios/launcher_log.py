"""What a virt-launcher's log tells of a migration: the hypervisor's own figures, as KubeVirt prints them."""

from __future__ import annotations

import re

from drainproof.api import Cluster, Object
from drainproof.errors import ApiError
from drainproof.record import EventLog
from drainproof.vm import NAME_LABEL

CONTAINER = "compute"
PATIENCE_SECONDS = 5.0
"""A node that does not answer is not waited for: it may be lost, and the log with it."""
MEBIBYTE = 2**20
MEGABIT_BYTES = 125_000

_DOWNTIME = re.compile(r"\bDowntime:(\d+)ms")
_NET_DOWNTIME = re.compile(r"\bDowntimeNet:(\d+)ms")
_ELAPSED = re.compile(r"\bTimeElapsed:(\d+)ms")
_MIGRATION_UID = re.compile(r"Migration info for ([0-9a-f-]{36})")
_PAUSE = re.compile(r"migration ([0-9a-f-]{36}) stop_ns=(\d+) resume_ns=(\d+)")
_PEAKS = re.compile(r"migration ([0-9a-f-]{36}) dirty_rate_bytes=(\d+) throttle_percent=(\d+)")

_FIGURES = (
    ("total_ms", _ELAPSED, 1),
    ("downtime_ms", _DOWNTIME, 1),
    ("iterations", re.compile(r"\bIteration:(\d+)"), 1),
    ("data_processed_bytes", re.compile(r"\bDataProcessed:(\d+)MiB"), MEBIBYTE),
    ("data_remaining_bytes", re.compile(r"\bDataRemaining:(\d+)MiB"), MEBIBYTE),
    ("data_total_bytes", re.compile(r"\bDataTotal:(\d+)MiB"), MEBIBYTE),
    ("bandwidth", re.compile(r"\bMemoryBandwidth:(\d+)Mbps"), MEGABIT_BYTES),
    ("postcopy_requests", re.compile(r"\bPostcopyRequests:(\d+)"), 1),
)
"""What the last line about a migration says, each with its unit in bytes, bytes per second or milliseconds."""
_DIRTY_RATE = re.compile(r"\bDirtyRate:(\d+)Mbps")


def read_log(cluster: Cluster, pod: str, namespace: str) -> str:
    """A launcher's log; raises ApiError when it cannot be had within seconds."""
    return cluster.patient(PATIENCE_SECONDS).log(pod, namespace, CONTAINER)


def keep_downtime(cluster: Cluster, events: EventLog, pod: Object) -> None:
    """Take the hypervisor's own downtime from a finished launcher's log: whoever removes the pod removes the log."""
    machine = pod["metadata"].get("labels", {}).get(NAME_LABEL)
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    try:
        text = read_log(cluster, name, namespace)
    except ApiError as error:
        events.add("hypervisor", "unreadable", machine, pod=name, reason=str(error))
        return
    if facts := downtime_facts(text):
        events.add("hypervisor", "downtime", machine, pod=name, **facts)


def downtime_facts(log: str) -> dict[str, object]:
    """The last migration's figures in a virt-launcher log; empty when it tells of none.

    `downtime_ms` is libvirt's (KubeVirt: live-migration-source.go prints it when the job has completed); `stop_ns` and
    `resume_ns` are monotonic instants that only the embedded lab knows.
    """
    lines = [line for line in log.splitlines() if _DOWNTIME.search(line)]
    if not lines:
        return {}
    line = lines[-1]
    facts: dict[str, object] = {"line": line[:1000]}
    for key, pattern in (("downtime_ms", _DOWNTIME), ("downtime_net_ms", _NET_DOWNTIME), ("total_ms", _ELAPSED)):
        if match := pattern.search(line):
            facts[key] = int(match.group(1))
    if match := _MIGRATION_UID.search(line):
        facts["migration_uid"] = match.group(1)
    if match := _PAUSE.search(log):
        facts |= {"stop_ns": int(match.group(2)), "resume_ns": int(match.group(3))}
    return facts


def figures(log: str, migration_uid: str) -> dict[str, int | None]:
    """All that a launcher's log says of one migration, finished or not; None for what it does not say.

    The dirty rate is the highest that was told: QEMU knows none before its second pass, and says zero in the end. How
    far the guest was throttled only the embedded lab tells.
    """
    found: dict[str, int | None] = dict.fromkeys(
        [key for key, _, _ in _FIGURES] + ["dirty_rate_bytes", "throttle_percent", "stop_ns", "resume_ns"]
    )
    lines = [line for line in log.splitlines() if f"Migration info for {migration_uid}:" in line]
    for key, pattern, unit in _FIGURES if lines else ():
        if match := pattern.search(lines[-1]):
            found[key] = int(match.group(1)) * unit
    rates = [int(match.group(1)) * MEGABIT_BYTES for line in lines if (match := _DIRTY_RATE.search(line))]
    for match in _PEAKS.finditer(log):
        if match.group(1) == migration_uid:
            rates.append(int(match.group(2)))
            found["throttle_percent"] = max(found["throttle_percent"] or 0, int(match.group(3)))
    found["dirty_rate_bytes"] = max(rates, default=0) or None
    for match in _PAUSE.finditer(log):
        if match.group(1) == migration_uid:
            found |= {"stop_ns": int(match.group(2)), "resume_ns": int(match.group(3))}
    return found
