"""One migration object as it was seen last, and what the record keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drainproof.api import INSTANCES, MIGRATIONS, Object
from drainproof.errors import ApiError
from drainproof.followed import Reads
from drainproof.vm import VirtualMachine
from scenarios.launcher_log import figures, read_log

FINAL = ("Succeeded", "Failed")
RUNNING = "Running"


@dataclass(eq=False)
class MigrationRun:
    """One migration object as last seen."""

    machine: VirtualMachine
    vmim: Object
    told: bool = False
    cancelled: bool = False
    _running_ns: int = 0
    _now_ns: int = 0

    @property
    def name(self) -> str:
        return str(self.vmim["metadata"]["name"])

    @property
    def uid(self) -> str:
        return str(self.vmim["metadata"]["uid"])

    @property
    def phase(self) -> str:
        return str(self.vmim.get("status", {}).get("phase", ""))

    @property
    def state(self) -> Mapping[str, Any]:
        return self.vmim.get("status", {}).get("migrationState") or {}

    @property
    def source_pod(self) -> str:
        """The launcher that sends, or that would have."""
        return str(self.state.get("sourcePod") or "")

    @property
    def running_seconds(self) -> float:
        """Since when it has been seen to move data; negative before."""
        return (self._now_ns - self._running_ns) / 1e9 if self._running_ns else -1.0

    def look(self, source: Reads, now_ns: int) -> str:
        """Read it again; returns the phase.

        What a copy tells of its end, or does not know of, is asked of the cluster: a copy may not have been told yet of
        a new migration, nor of the instance what it has been told of the migration.
        """
        found = self._read(source)
        if source is not self.machine.cluster and (not found or self.phase in FINAL):
            self._read(self.machine.cluster)
        self._now_ns = now_ns
        if self.phase == RUNNING and not self._running_ns:
            self._running_ns = now_ns
        return self.phase

    def _read(self, source: Reads) -> bool:
        """Whether it is there. A cancelled one vanishes when it has ended; what became of it, its instance still says.
        """
        found = source.find(MIGRATIONS, self.name, self.machine.namespace)
        vmi = source.find(INSTANCES, self.machine.name, self.machine.namespace)
        state = (vmi or {}).get("status", {}).get("migrationState") or {}
        is_there = found is not None and found["metadata"]["uid"] == self.uid
        status = dict(((found if is_there else self.vmim) or {}).get("status", {}))
        if not is_there:
            status["phase"] = phase_of(state) if self._is_mine(state) else "Failed"
        if self._is_mine(state):
            status["migrationState"] = state
        self.vmim = {**(found if is_there and found else self.vmim), "status": status}
        return is_there

    def read_log(self) -> str:
        """The log of the launcher that sent the guest; empty when it is gone with its node, or there was none."""
        if not self.source_pod:
            return ""
        try:
            return read_log(self.machine.cluster, self.source_pod, self.machine.namespace)
        except ApiError:
            return ""

    def facts(self, log: str) -> dict[str, Any]:
        """What the record keeps of it, with what a launcher's log says."""
        state = self.state
        return {
            "vm": self.machine.name, "vmim": self.name, "uid": self.uid, "phase": self.phase,
            "mode": str(state.get("mode") or ""), "policy": str(state.get("migrationPolicyName") or ""),
            "configuration": state.get("migrationConfiguration"),
            "from": str(state.get("sourceNode") or ""), "to": str(state.get("targetNode") or ""),
            "phases": phase_seconds(self.vmim), "failure": self._failure(), "cancelled": self.cancelled,
            "abort": str(state.get("abortStatus") or ""), **figures(log, self.uid),
        }

    def _is_mine(self, state: Mapping[str, Any]) -> bool:
        return state.get("migrationUid") == self.uid

    def _failure(self) -> str:
        if self.phase != "Failed":
            return ""
        if self.state.get("failureReason"):
            return str(self.state["failureReason"])
        return "it ended before its target was ready" if not self.state.get("targetNode") else "no reason given"


def phase_of(state: Mapping[str, Any]) -> str:
    if not state.get("completed"):
        return RUNNING
    return "Failed" if state.get("failed") else "Succeeded"


def phase_seconds(vmim: Object) -> dict[str, float]:
    """How long a migration was in each of its phases, by its own stamps, which are whole seconds."""
    stamps = vmim.get("status", {}).get("phaseTransitionTimestamps") or []
    times = [(str(one["phase"]), datetime.fromisoformat(one["phaseTransitionTimestamp"])) for one in stamps]
    following = [moment for _, moment in times[1:]]
    return {phase: (end - begin).total_seconds() for (phase, begin), end in zip(times, following, strict=False)}
