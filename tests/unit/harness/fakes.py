"""A clock that costs nothing and a cluster that refuses what it was not told about."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

from drainproof.api import INSTANCES, MIGRATIONS, NODES, PODS, Object, Resource
from drainproof.errors import EvictionRefusedError, NotFoundError
from drainproof.request_counts import RequestKind, Requests
from drainproof.vm import NAME_LABEL
from drainproof.wait import Deadline


@dataclass
class FakeClock:
    """Time passes only when somebody sleeps."""

    now_ns: int = 0

    def monotonic_ns(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1e9)


@dataclass
class FakeCluster:
    """Three nodes and one virtual machine on node-a, which migrates to node-b when it is asked to leave."""

    migrates: bool = True
    restarts: bool = False
    log_text: str = "Migration info for 11111111-2222-3333-4444-555555555555: TimeElapsed:900ms Downtime:140ms"
    unschedulable: bool = False
    calls: list[str] = field(default_factory=list)
    asked: int = 0
    pod_phase: str = "Running"
    pod_gone: bool = False
    pod_controlled: bool = True
    node: str = "node-a"
    uid: str = "uid-1"
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def requests(self) -> Requests:
        """Evictions are what is counted here."""
        return Requests({RequestKind("create", "pods/eviction", 429): self.asked} if self.asked else {})

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        self._known(resource, NODES)
        return {"metadata": {"name": name}, "spec": {"unschedulable": self.unschedulable}, "status": {
            "conditions": [{"type": "Ready", "status": "True"}]}}

    def find(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        self._known(resource, INSTANCES)
        return self._instance()

    def items(
        self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        if resource == MIGRATIONS:
            assert labels == "kubevirt.io/vmi-name=vm-0"
            return [{"metadata": {"name": "kubevirt-evacuation-x", "uid": "m-1"}}]
        if resource == INSTANCES:
            return [self._instance()]
        self._known(resource, PODS)
        assert fields == "spec.nodeName=node-a"
        return [] if self.pod_gone else [self._pod(), self._daemon()]

    def list(self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = "") -> Object:
        with self.changed:
            return {"items": self.items(resource, namespace, fields=fields), "metadata": {"resourceVersion": "1"}}

    def watch(
        self, resource: Resource, namespace: str | None, version: str, seconds: int, *, labels: str, fields: str,
        opened: Callable[[Callable[[], None]], None],
    ) -> Iterator[tuple[str, Object]]:
        """Tells of what has changed since it was opened; ends when it is hung up on."""
        over = threading.Event()
        opened(over.set)
        told: list[Object] = []
        while not over.is_set():
            with self.changed:
                found = self.items(resource, namespace, fields=fields)
                if found == told:
                    self.changed.wait(0.01)
            names = {item["metadata"]["name"] for item in found}
            yield from [("DELETED", item) for item in told if item["metadata"]["name"] not in names]
            yield from [("MODIFIED", item) for item in found if item not in told]
            told = found

    def patch(self, resource: Resource, name: str, patch: dict[str, Any], namespace: str | None = None) -> Object:
        self._known(resource, NODES)
        self.unschedulable = bool(patch["spec"]["unschedulable"])
        self.calls.append(f"unschedulable={self.unschedulable}")
        return {}

    def evict(self, pod: str, namespace: str) -> None:
        with self.changed:
            if self.pod_gone:
                raise NotFoundError("evict", 404, "NotFound", "gone")
            self.asked += 1
            self.calls.append(f"evict in phase {self.pod_phase}")
            if self.restarts or self.pod_phase == "Succeeded":
                self.pod_gone = True
                if self.restarts:
                    self.node, self.uid = "node-b", "uid-2"
                return
            if self.migrates:
                self.node, self.pod_phase = "node-b", "Succeeded"
            self.changed.notify_all()
        raise EvictionRefusedError("evict", 429, "", 'Eviction triggered evacuation of VMI "ns/vm-0"')

    def patient(self, seconds: float) -> Self:
        return self

    def within(self, deadline: Deadline) -> Self:
        return self

    def log(self, pod: str, namespace: str, container: str) -> str:
        assert container == "compute"
        self.calls.append(f"log in phase {self.pod_phase}")
        return self.log_text

    def _instance(self) -> Object:
        evacuation = "node-a" if self.asked and self.node == "node-a" else ""
        return {"metadata": {"name": "vm-0", "namespace": "ns", "uid": self.uid, "resourceVersion": "1"}, "status": {
            "phase": "Running", "nodeName": self.node, "evacuationNodeName": evacuation,
            "conditions": [{"type": "Ready", "status": "True"}], "migrationState": {"migrationUid": "m-1"}}}

    def _pod(self) -> Object:
        owners = [{"kind": "VirtualMachineInstance", "controller": self.pod_controlled}]
        return {"metadata": {"name": "virt-launcher-vm-0-abcde", "namespace": "ns", "uid": "pod-1",
                             "resourceVersion": "1",
                             "labels": {NAME_LABEL: "vm-0"}, "ownerReferences": owners},
                "status": {"phase": self.pod_phase}}

    @staticmethod
    def _daemon() -> Object:
        return {"metadata": {"name": "agent", "namespace": "kube-system", "uid": "pod-2", "resourceVersion": "1",
                             "ownerReferences": [{"kind": "DaemonSet"}]}, "status": {"phase": "Running"}}

    @staticmethod
    def _known(resource: Resource, expected: Resource) -> None:
        if resource != expected:
            raise AssertionError(f"unexpected request for {resource.plural}")
