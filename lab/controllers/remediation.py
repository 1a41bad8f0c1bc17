"""The fence agents operator: power off, prove it, let the pods go, power on.

The node gets the operator's taint and loses its power. Once its controller says that it is off, the out-of-service
taint has its pods removed by force, so that what ran on it may start elsewhere; when none is left the taint goes and
the power comes back. The operator itself has its agent reboot the node before it sets that taint; here the node stays
off until its pods are gone, because a lab's node boots faster than pods are collected.
"""

from __future__ import annotations

import copy
from typing import Protocol

from lab.client import Object
from lab.controllers.eviction import OUT_OF_SERVICE
from lab.controllers.runtime import Controller, itself
from lab.kinds import FENCE_AGENTS_REMEDIATION, NODE, POD
from lab.machinery.cluster import Cluster
from lab.machinery.objects import (
    add_finalizer,
    condition,
    condition_true,
    deleting,
    dig,
    drop_finalizer,
    finalizers,
    name,
    node_name,
    set_condition,
    stamp,
)

COMPONENT = "fence-agents-remediation"
FINALIZER = "fence-agents-remediation.medik8s.io/far-finalizer"
TAINT = "medik8s.io/fence-agents-remediation"
LOOK_SECONDS = 0.5
_STARTED = "FAR CR was found, its name matches one of the cluster nodes, and a finalizer was set to the CR"
_FENCED = "FAR taint was added, fence agent command has been created and executed successfully"
_FINISHED = ("The unhealthy node was fully remediated (it was tainted, fenced using FA and all the node resources have "
             "been deleted)")


class Agent(Protocol):
    """Switches the power of nodes."""

    async def is_off(self, node: str) -> bool:
        """Whether the node's controller says that it has no power."""

    async def off(self, node: str) -> None:
        """Cut the power."""

    async def on(self, node: str) -> None:
        """Give power."""


class Fencing:
    """Reconciles remediations, one step at a time: each step is read from the object, so any may be the first."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def reconcile(self, cluster: Cluster, where: str) -> float | None:
        """Do the next step; seconds until the one after."""
        item = cluster.get(FENCE_AGENTS_REMEDIATION, where)
        if item is None:
            return None
        if deleting(item):
            await self._end(cluster, item)
            return None
        if condition_true(item, "Succeeded") or cluster.get(NODE, name(item)) is None:
            return None
        if condition(item, "Processing") is None:
            await _begin(cluster, item)
        elif not condition_true(item, "FenceAgentActionSucceeded"):
            await self._fence(cluster, item)
        else:
            await self._release(cluster, item)
        return LOOK_SECONDS

    async def _fence(self, cluster: Cluster, item: Object) -> None:
        await _taint(cluster, name(item), TAINT, "")
        if not await self._agent.is_off(name(item)):
            await self._agent.off(name(item))
            return
        wished = copy.deepcopy(item)
        set_condition(wished, "FenceAgentActionSucceeded", "True", "FenceAgentSucceeded", _FENCED)
        await _write(cluster, item, wished, "FenceAgentSucceeded", "Remediation is completed successfully")

    async def _release(self, cluster: Cluster, item: Object) -> None:
        if any(node_name(pod) == name(item) for pod in cluster.list(POD)):
            await _taint(cluster, name(item), OUT_OF_SERVICE, "nodeshutdown")
            return
        await _untaint(cluster, name(item), OUT_OF_SERVICE)
        await self._agent.on(name(item))
        wished = copy.deepcopy(item)
        set_condition(wished, "Processing", "False", "RemediationFinishedSuccessfully", _FINISHED)
        set_condition(wished, "Succeeded", "True", "RemediationFinishedSuccessfully", _FINISHED)
        await _write(cluster, item, wished, "NodeRemediationCompleted", "Unhealthy node remediation was completed")

    async def _end(self, cluster: Cluster, item: Object) -> None:
        """The node is well, or somebody wants no more of this: nothing of it stays, and the node has power."""
        if FINALIZER not in finalizers(item):
            return
        await self._agent.on(name(item))
        await _untaint(cluster, name(item), TAINT, OUT_OF_SERVICE)
        wished = copy.deepcopy(item)
        drop_finalizer(wished, FINALIZER)
        await cluster.update(FENCE_AGENTS_REMEDIATION, item, wished)


async def _begin(cluster: Cluster, item: Object) -> None:
    wished = copy.deepcopy(item)
    add_finalizer(wished, FINALIZER)
    set_condition(wished, "Processing", "True", "RemediationStarted", _STARTED)
    for type_ in ("FenceAgentActionSucceeded", "Succeeded"):
        set_condition(wished, type_, "Unknown", "RemediationStarted", _STARTED)
    await _write(cluster, item, wished, "RemediationStarted", "Remediation started")


async def _write(cluster: Cluster, item: Object, wished: Object, reason: str, message: str) -> None:
    wished["status"]["lastUpdateTime"] = stamp()
    await cluster.update(FENCE_AGENTS_REMEDIATION, item, wished)
    cluster.event(FENCE_AGENTS_REMEDIATION, item, "Normal", reason, message, COMPONENT)


async def _taint(cluster: Cluster, where: str, key: str, value: str) -> None:
    node = cluster.get(NODE, where)
    taints = dig(node, "spec", "taints", default=[])
    if node is None or any(taint["key"] == key for taint in taints):
        return
    wished = copy.deepcopy(node)
    taint = {"key": key, "effect": "NoExecute", "timeAdded": stamp(), **({"value": value} if value else {})}
    wished["spec"]["taints"] = [*taints, taint]
    await cluster.update(NODE, node, wished)


async def _untaint(cluster: Cluster, where: str, *keys: str) -> None:
    node = cluster.get(NODE, where)
    taints = dig(node, "spec", "taints", default=[])
    kept = [taint for taint in taints if taint["key"] not in keys]
    if node is not None and len(kept) < len(taints):
        wished = copy.deepcopy(node)
        wished["spec"]["taints"] = kept
        await cluster.update(NODE, node, wished)


def controller(agent: Agent) -> Controller:
    """The operator's controller; `agent` is asked for power."""
    return Controller("remediation", Fencing(agent).reconcile, ((FENCE_AGENTS_REMEDIATION, itself),))
