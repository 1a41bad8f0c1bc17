"""The nodes of a simulated site: one process that registers them and takes their pods and instances on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from lab.agent import node as node_object
from lab.agent.context import Node
from lab.agent.launcher import is_launcher
from lab.agent.migration_limits import Progress, log_line
from lab.client import Object
from lab.config import LabConfig
from lab.controllers import indexes
from lab.controllers.instances import current_pod, launcher_pods
from lab.controllers.runtime import Controller, itself
from lab.kinds import POD, VIRTUAL_MACHINE_INSTANCE
from lab.machinery.cluster import Cluster
from lab.machinery.objects import clone, dig, key, namespace, node_name, uid
from lab.simulated import steps
from lab.simulated.durations import Durations, Step

log = logging.getLogger(__name__)

KEPT_LOGS = 5000
"""Logs of finished launchers that can still be read, the oldest go first; a drain reads each within seconds."""
ELAPSED_MS = 1371
"""QEMU's own time of a migration, the recorded median."""


def node_address(config: LabConfig, node: str) -> str:
    """Where a simulated node's kubelet listens: on the loopback, apart from every other site on this machine."""
    return f"127.{config.api_port >> 8}.{config.api_port & 255}.{1 + config.nodes.index(node)}"


class SimulatedNode(Node):
    """A node that exists only as objects; its lease and its status are kept as any other's."""

    @property
    def address(self) -> str:
        return node_address(self.config, self.name)


@dataclass(slots=True)
class _Pending:
    step: Step
    due: float


class Hypervisor:
    """Takes every launcher pod and every instance of its nodes through its steps, each after its drawn time."""

    def __init__(self, config: LabConfig, durations: Durations) -> None:
        self._durations = durations
        self._addresses = {node: node_address(config, node) for node in config.nodes}
        self._pending: dict[str, _Pending] = {}
        self.logs: OrderedDict[str, str] = OrderedDict()
        """What finished launchers have told, by `namespace/name` of the pod."""

    def controllers(self) -> tuple[Controller, Controller]:
        return (
            Controller("pods", self.reconcile_pod, ((POD, itself), (VIRTUAL_MACHINE_INSTANCE, _pods_of))),
            Controller("instances", self.reconcile_instance, ((VIRTUAL_MACHINE_INSTANCE, itself),)),
        )

    async def reconcile_instance(self, cluster: Cluster, where: str) -> float | None:
        """Do the instance's next step when its time has come; seconds until then."""
        vmi = cluster.get(VIRTUAL_MACHINE_INSTANCE, where)
        step = steps.of_instance(vmi) if vmi is not None else None
        left = self._left(f"vmi {where}", step, where)
        if vmi is None or step is None or left > 0:
            return left or None
        target = str(dig(vmi, "status", "migrationState", "targetNode", default=""))
        wished = clone(vmi)
        pod = current_pod(vmi, launcher_pods(cluster, vmi)) if step is Step.START else None
        steps.apply(step, wished, pod, self._addresses.get(target, ""))
        if step is Step.COMPLETE:
            self._write_log(vmi)
        await cluster.update(VIRTUAL_MACHINE_INSTANCE, vmi, wished)
        _tell(cluster, vmi, step)
        return None

    async def reconcile_pod(self, cluster: Cluster, where: str) -> float | None:
        """Do the pod's next step when its time has come; seconds until then."""
        pod = cluster.get(POD, where)
        host = self._addresses.get(node_name(pod)) if pod is not None and is_launcher(pod) else None
        if pod is None or host is None:
            self._pending.pop(f"pod {where}", None)
            return None
        vmi_name = dig(pod, "metadata", "ownerReferences", 0, "name", default="")
        vmi = cluster.get(VIRTUAL_MACHINE_INSTANCE, f"{namespace(pod)}/{vmi_name}")
        step = steps.of_pod(pod, vmi, host)
        left = self._left(f"pod {where}", step, f"{namespace(pod)}/{vmi_name}")
        if step is None or left > 0:
            return left or None
        if step is Step.REMOVE_POD:
            await cluster.delete(POD, pod, grace_seconds=0)
        else:
            await cluster.update(POD, pod, steps.ended(pod, host) if step is Step.END_POD else steps.running(pod, host))
        return None

    def _left(self, who: str, step: Step | None, drawn_for: str) -> float:
        """Seconds until the step is due, from when it was first seen to be next; 0: now, or there is none."""
        if step is None:
            self._pending.pop(who, None)
            return 0.0
        known = self._pending.get(who)
        if known is None or known.step is not step:
            known = _Pending(step, time.monotonic() + self._durations.seconds(step, drawn_for))
            self._pending[who] = known
        return max(known.due - time.monotonic(), 0.0)

    def _write_log(self, vmi: Object) -> None:
        state = vmi["status"]["migrationState"]
        figures = Progress(elapsed_ms=ELAPSED_MS, downtime_ms=self._durations.downtime_ms(key(vmi)))
        self.logs[f"{namespace(vmi)}/{state['sourcePod']}"] = log_line(state["migrationUid"], figures) + "\n"
        while len(self.logs) > KEPT_LOGS:
            self.logs.popitem(last=False)


def _pods_of(cluster: Cluster, vmi: Object) -> Iterable[str]:
    return [key(pod) for pod in cluster.among(indexes.POD_BY_CONTROLLER, uid(vmi))]


def _tell(cluster: Cluster, vmi: Object, step: Step) -> None:
    """The events by which virt-handler comments on a migration."""
    state = dig(vmi, "status", "migrationState", default={})
    told = {
        Step.PREPARE: ("PreparingTarget", "VirtualMachineInstance Migration Target Prepared."),
        Step.BEGIN: ("Migrating", "VirtualMachineInstance is migrating."),
        Step.ARRIVE: ("Migrated", f"The VirtualMachineInstance migrated to node {state.get('targetNode')}."),
        Step.COMPLETE: ("Deleted", "Signaled Deletion"),
    }.get(step)
    if told:
        cluster.event(VIRTUAL_MACHINE_INSTANCE, vmi, "Normal", *told, "virt-handler")


async def keep_nodes(config: LabConfig, cluster: Cluster) -> None:
    """Register every node, then keep their leases and their status for ever."""
    nodes = [SimulatedNode(config, name, cluster) for name in config.nodes]
    for node in nodes:
        await node_object.register(node)
    log.info("%d nodes registered", len(nodes))
    async with asyncio.TaskGroup() as tasks:
        for node in nodes:
            tasks.create_task(node_object.keep_lease(node))
            tasks.create_task(node_object.keep_status(node))
