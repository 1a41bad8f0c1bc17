"""What a virt-launcher pod is in the lab: a pod, its log, and at most one QEMU."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from lab.agent.domain import Domain
from lab.agent.migration_limits import Progress
from lab.client import Object
from lab.config import LabConfig
from lab.machinery.objects import dig, labels, name, namespace, stamp, uid

IP_ANNOTATION = "lab.drainproof.dev/ip"
MAC_ANNOTATION = "lab.drainproof.dev/mac"
MIGRATION_LABEL = "kubevirt.io/migrationJobUID"
COMPUTE = "compute"
CONSOLE = "guest-console-log"


@dataclass(frozen=True, slots=True)
class Exit:
    """How the launcher's container ended."""

    code: int
    message: str = ""
    finished_at: str = field(default_factory=stamp)


class Outgoing(Protocol):
    """A migration under way, as others see it."""

    progress: Progress

    def abort(self, reason: str) -> None:
        """Cancel it."""


@dataclass(eq=False, slots=True)
class Launcher:
    """The state of one launcher pod on this node, from its first sight to its removal."""

    namespace: str
    pod: str
    pod_uid: str
    vmi: str
    vmi_uid: str
    ip: str
    mac: str
    directory: Path
    """Where the pod's logs are kept."""
    started_at: str
    domain: Domain | None = None
    ready: bool = False
    """The container's readiness, as the VMI's readinessProbe sees it."""
    exit: Exit | None = None
    migrated: bool = False
    """The guest has left to another node; what happens to this QEMU no longer concerns the VMI."""
    migration: str = ""
    """The uid of the migration this launcher takes part in, or took part in last."""
    departure: Outgoing | None = None
    """The migration that is under way from here."""
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """`namespace/name` of the pod."""
        return f"{self.namespace}/{self.pod}"

    @property
    def vmi_key(self) -> str:
        return f"{self.namespace}/{self.vmi}"

    @property
    def running(self) -> bool:
        """QEMU is there, whatever its guest does."""
        return self.domain is not None and self.domain.running

    @property
    def log_file(self) -> Path:
        return self.directory / f"{COMPUTE}.log"

    @property
    def console_file(self) -> Path:
        return self.directory / f"{CONSOLE}.log"

    def log(self, message: str, position: str = "", level: str = "info") -> None:
        """Append a line as virt-launcher writes it."""
        line = {
            "component": "virt-launcher", "level": level, "msg": message, "name": self.vmi,
            "namespace": self.namespace, "pos": position,
            "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "uid": self.vmi_uid,
        }
        self.log_plain(json.dumps(line, separators=(",", ":")))

    def log_plain(self, line: str) -> None:
        with self.log_file.open("a") as file:
            file.write(line + "\n")

    def start(self, task_name: str, task: asyncio.Task[None]) -> None:
        """Keep the task, so that it is neither collected nor started twice."""
        self.tasks[task_name] = task

    def busy(self, task_name: str) -> bool:
        task = self.tasks.get(task_name)
        return task is not None and not task.done()


def pod_directory(config: LabConfig, namespace_: str, pod: str) -> Path:
    return config.state / "logs" / "pods" / f"{namespace_}_{pod}"


def from_pod(config: LabConfig, pod: Object) -> Launcher:
    """The launcher that a virt-launcher pod stands for; raises KeyError when it lacks an owner, an IP or a MAC."""
    owner = next(entry for entry in pod["metadata"].get("ownerReferences", []) if entry.get("controller"))
    notes = pod["metadata"]["annotations"]
    directory = pod_directory(config, namespace(pod), name(pod))
    directory.mkdir(parents=True, exist_ok=True)
    container = dig(pod, "status", "containerStatuses", 0, default={})
    return Launcher(
        namespace=namespace(pod), pod=name(pod), pod_uid=uid(pod), vmi=owner["name"], vmi_uid=owner["uid"],
        ip=notes[IP_ANNOTATION], mac=notes[MAC_ANNOTATION], directory=directory,
        started_at=dig(container, "state", "running", "startedAt", default=stamp()),
        ready=bool(container.get("ready", False)),
    )


def is_launcher(pod: Object) -> bool:
    """Whether the pod runs a virtual machine."""
    return labels(pod).get("kubevirt.io") == "virt-launcher"


def is_target(pod: Object) -> bool:
    """Whether the pod was made to receive a migration (it may have become the current pod since)."""
    return MIGRATION_LABEL in labels(pod)
