"""The limits of one migration: what KubeVirt's configuration means for QEMU, and when patience ends."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

from lab.client import Object
from lab.machinery import quantity

UNLIMITED_BANDWIDTH = (2**63 - 1) // 2**20 * 2**20
"""Bytes per second; what libvirt sets when no bandwidth is configured (QEMU's own default is 128 MiB/s)."""
DEFAULT_DOWNTIME_MS = 300
"""QEMU's default, which KubeVirt leaves as it is unless a policy sets maxDowntimeMs."""
GIGABYTE = 10**9


class Action(Enum):
    """What the watch over a migration decides."""

    GO_ON = "go on"
    ABORT = "abort"
    POST_COPY = "post-copy"
    PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class Limits:
    """The effective settings of one migration (VMI.status.migrationState.migrationConfiguration)."""

    bandwidth: int = UNLIMITED_BANDWIDTH
    """Bytes per second."""
    downtime_ms: int = DEFAULT_DOWNTIME_MS
    completion_seconds: float = 150
    progress_seconds: float = 150
    """Zero turns the check off."""
    auto_converge: bool = False
    post_copy: bool = False
    disruption: bool = False


def read(configuration: Object, memory_bytes: int, policy_downtime_ms: int | None = None) -> Limits:
    """The limits for a guest of this size; the completion budget grows with each begun decimal gigabyte."""
    bandwidth = math.ceil(quantity.parse(configuration.get("bandwidthPerMigration", "0")))
    post_copy = bool(configuration.get("allowPostCopy", False))
    per_gigabyte = float(configuration.get("completionTimeoutPerGiB", 150))
    return Limits(
        bandwidth=bandwidth or UNLIMITED_BANDWIDTH,
        downtime_ms=policy_downtime_ms or DEFAULT_DOWNTIME_MS,
        completion_seconds=per_gigabyte * math.ceil(memory_bytes / GIGABYTE),
        progress_seconds=float(configuration.get("progressTimeout", 150)),
        auto_converge=bool(configuration.get("allowAutoConverge", False)),
        post_copy=post_copy,
        disruption=bool(configuration.get("allowWorkloadDisruption", post_copy)),
    )


class Watch:
    """Decides, from the figures of a running migration, whether to go on."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._budget = limits.completion_seconds
        self._last_remaining = math.inf
        self._progress_at = 0.0
        self._escalated = False

    def decide(self, elapsed_seconds: float, remaining_bytes: int) -> tuple[Action, str]:
        """The action, and for an abort why; call it with growing elapsed time.

        In post-copy nothing ends it: the guest runs at the target already, and would be lost.
        """
        if self._escalated and self._limits.post_copy:
            return Action.GO_ON, ""
        if remaining_bytes < self._last_remaining:
            self._progress_at = elapsed_seconds
        self._last_remaining = remaining_bytes
        over = elapsed_seconds > self._budget
        if over and self._limits.disruption and not self._escalated:
            self._escalated = True
            self._budget *= 2
            return (Action.POST_COPY if self._limits.post_copy else Action.PAUSE), ""
        patience = self._limits.progress_seconds
        if patience and elapsed_seconds - self._progress_at > patience:
            return Action.ABORT, f"Live migration stuck for {patience:.0f} sec and has been aborted"
        if over:
            return Action.ABORT, f"Live migration is not completed after {self._budget:.0f} sec and has been aborted"
        return Action.GO_ON, ""


@dataclass(frozen=True, slots=True)
class Progress:
    """The figures of a migration at one moment, in bytes, bytes per second and milliseconds."""

    elapsed_ms: int = 0
    processed: int = 0
    remaining: int = 0
    total: int = 0
    transfer_rate: float = 0.0
    dirty_rate: float = 0.0
    iterations: int = 0
    post_copy_requests: int = 0
    constant_pages: int = 0
    normal_pages: int = 0
    normal_bytes: int = 0
    downtime_ms: int | None = None
    expected_downtime_ms: int | None = None
    throttle_percent: int = 0
    """How far auto-converge slows the guest's processors down."""


def progress(info: dict[str, Any]) -> Progress:
    """QMP's MigrationInfo as Progress."""
    ram = info.get("ram", {})
    return Progress(
        elapsed_ms=info.get("total-time", 0), processed=ram.get("transferred", 0), remaining=ram.get("remaining", 0),
        total=ram.get("total", 0), transfer_rate=ram.get("mbps", 0.0) * 1e6 / 8,
        dirty_rate=float(ram.get("dirty-pages-rate", 0) * ram.get("page-size", 4096)),
        iterations=ram.get("dirty-sync-count", 0), post_copy_requests=ram.get("postcopy-requests", 0),
        constant_pages=ram.get("duplicate", 0), normal_pages=ram.get("normal", 0),
        normal_bytes=ram.get("normal-bytes", 0), downtime_ms=info.get("downtime"),
        expected_downtime_ms=info.get("expected-downtime"), throttle_percent=info.get("cpu-throttle-percentage", 0),
    )


@dataclass(slots=True)
class Peaks:
    """What QEMU tells only while a migration runs, at its highest."""

    dirty_rate: float = 0.0
    throttle_percent: int = 0

    def note(self, figures: Progress) -> None:
        self.dirty_rate = max(self.dirty_rate, figures.dirty_rate)
        self.throttle_percent = max(self.throttle_percent, figures.throttle_percent)

    def __str__(self) -> str:
        return f"dirty_rate_bytes={self.dirty_rate:.0f} throttle_percent={self.throttle_percent}"


def log_line(migration_uid: str, figures: Progress) -> str:
    """virt-launcher's line about a migration, field by field (live-migration-source.go, logMigrationInfo)."""
    mebi = 2**20
    if figures.downtime_ms is None:
        downtime = f"ExpectedDowntime:{figures.expected_downtime_ms or 0}ms"
    else:
        downtime = f"Downtime:{figures.downtime_ms}ms DowntimeNet:{figures.downtime_ms}ms"
    return (
        f"Migration info for {migration_uid}: TimeElapsed:{figures.elapsed_ms}ms "
        f"DataProcessed:{figures.processed // mebi}MiB DataRemaining:{figures.remaining // mebi}MiB "
        f"DataTotal:{figures.total // mebi}MiB MemoryProcessed:{figures.processed // mebi}MiB "
        f"MemoryRemaining:{figures.remaining // mebi}MiB MemoryTotal:{figures.total // mebi}MiB "
        f"MemoryBandwidth:{figures.transfer_rate * 8 / 1e6:.0f}Mbps DirtyRate:{figures.dirty_rate * 8 / 1e6:.0f}Mbps "
        f"Iteration:{figures.iterations} PostcopyRequests:{figures.post_copy_requests} "
        f"ConstantPages:{figures.constant_pages} NormalPages:{figures.normal_pages} "
        f"NormalData:{figures.normal_bytes // mebi}MiB {downtime} DiskMbps:0"
    )
