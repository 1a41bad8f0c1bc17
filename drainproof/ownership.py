"""Who has made an object: labels and annotations that say so on everything that a run makes on a cluster."""

from __future__ import annotations

import getpass
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from drainproof.resources import Object

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "drainproof"
RUN = "drainproof.io/run"
"""Label: the id of the run that made it."""
WHO = "drainproof.io/who"
"""Annotation: the user and the host that started the run."""
UNTIL = "drainproof.io/until"
"""Annotation: when the run expects to be done with it, RFC 3339; who finds it later may ask why it is there."""
OURS = f"{MANAGED_BY}={MANAGER}"
"""The label selector of everything that any run has made."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A run, as its objects name it."""

    run_id: str
    who: str
    seconds: float
    """How long after its making the run expects to need an object at most."""

    @classmethod
    def here(cls, run_id: str, seconds: float) -> Owner:
        """The run of this process."""
        return cls(run_id, who_am_i(), seconds)

    @property
    def labels(self) -> dict[str, str]:
        return {MANAGED_BY: MANAGER, RUN: self.run_id}

    def owned(self, body: Object, now: datetime | None = None) -> Object:
        """A copy of a manifest with the labels and annotations that name its owner; others' stay as they are."""
        until = (now or datetime.now(UTC)) + timedelta(seconds=self.seconds)
        marks = {WHO: self.who, UNTIL: until.isoformat(timespec="seconds").replace("+00:00", "Z")}
        meta = body.get("metadata") or {}
        labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
        return {**body, "metadata": {
            **meta, "labels": {**labels, **self.labels}, "annotations": {**annotations, **marks},
        }}


def run_of(item: Object) -> str:
    """The id of the run that has made an object; empty when none has."""
    labels = item["metadata"].get("labels") or {}
    return str(labels.get(RUN) or "") if labels.get(MANAGED_BY) == MANAGER else ""


def who_am_i() -> str:
    """The user and the host of this process, as `user@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def process_mark(pid: int) -> str:
    """What tells a process from any other: boot, pid namespace, pid and start, with spaces between; empty if unknown.

    The start is counted in ticks since the boot, as proc_pid_stat(5) tells it: a time of day would be another one after
    every step of the wall clock. Empty for a process that is gone, and where there is no /proc.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # The name of the program, in parentheses, may hold spaces.
        ticks = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
        return f"{boot} {Path('/proc/self/ns/pid').readlink()} {pid} {ticks}"
    except (OSError, IndexError):
        return ""
