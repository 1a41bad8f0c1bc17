"""The Node object: registration, the lease that says the node lives, and its status."""

from __future__ import annotations

import asyncio
import logging
import platform
import uuid
from datetime import UTC, datetime
from typing import Any

import aiohttp

from lab.agent import boot, post_copy
from lab.agent.context import Node
from lab.client import ApiError, Client, ConflictError, NotFoundError, Object
from lab.config import AGENT_PORT, CLIENTS_NODE
from lab.kinds import LEASE, NODE
from lab.machinery.objects import condition_true, dig, stamp

log = logging.getLogger(__name__)

LEASE_NAMESPACE = "kube-node-lease"
LEASE_SECONDS = 40
LEASE_CALL_SECONDS = 10.0
"""A renewal that takes longer, or half the node's grace, is made anew: one lost answer must not cost the node."""
STATUS_PERIOD_SECONDS = 60.0
KUBELET_VERSION = "v1.36.2"
PODS = "110"
DEVICES = "1k"
RETRY_SECONDS = 0.2
CHECK_SECONDS = 1.0


async def register(node: Node) -> None:
    """Create the Node, or bring its labels up to date, and report it ready; repeats until the API answers."""
    while True:
        try:
            await _register(node)
            return
        except (aiohttp.ClientError, OSError, ApiError) as error:
            log.info("registration of %s: %s", node.name, error)
            await asyncio.sleep(RETRY_SECONDS)


async def keep_lease(node: Node) -> None:
    """Renew the node's lease again and again, for ever; sooner after a failure."""
    period = node.config.lease_period_seconds
    while True:
        try:
            async with asyncio.timeout(min(LEASE_CALL_SECONDS, node.config.node_grace_seconds / 2)):
                await _renew(node.cluster.client, node.name)
        except (aiohttp.ClientError, OSError, ApiError) as error:
            log.warning("lease of %s not renewed: %s", node.name, error)
            await asyncio.sleep(min(RETRY_SECONDS, period))
        else:
            await asyncio.sleep(period)


async def keep_status(node: Node) -> None:
    """Report the node's status every 60 s, and at once when the control plane has declared it not ready."""
    last = asyncio.get_running_loop().time()
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        known = node.cluster.get(NODE, node.name)
        due = asyncio.get_running_loop().time() - last >= STATUS_PERIOD_SECONDS
        if known is None or due or not condition_true(known, "Ready"):
            await (register(node) if known is None else _report_safely(node, known))
            last = asyncio.get_running_loop().time()


def labels(name: str) -> dict[str, str]:
    """The labels of a worker node that can run VMs; the clients' own node is none.

    The last one is what a cluster's owners say of the nodes that runs may drain and power off: a lab is there for it.
    """
    worker = {
        "node-role.kubernetes.io/worker": "", "kubevirt.io/schedulable": "true", "drainproof.io/disruptable": "true",
    }
    role = {"node-role.kubernetes.io/clients": ""} if name == CLIENTS_NODE else worker
    return {
        "beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux", "kubernetes.io/hostname": name,
        **role,
    }


def marks() -> dict[str, str | None]:
    """virt-handler's heartbeat, and why guests cannot arrive in post-copy here if they cannot."""
    return {"kubevirt.io/heartbeat": stamp(), post_copy.ANNOTATION: post_copy.trouble() or None}


def status(node: Node) -> Object:
    """Capacity, addresses and system facts, without the conditions."""
    capacity = {
        "cpu": node.config.node_cpu, "memory": node.config.node_memory, "pods": PODS,
        "ephemeral-storage": "100Gi", "devices.kubevirt.io/kvm": DEVICES, "devices.kubevirt.io/tun": DEVICES,
        "devices.kubevirt.io/vhost-net": DEVICES,
    }
    identity = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{node.name}.{node.config.name}"))
    return {
        "capacity": capacity, "allocatable": capacity,
        "addresses": [{"type": "InternalIP", "address": node.address}, {"type": "Hostname", "address": node.name}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": AGENT_PORT}},
        "nodeInfo": {
            "machineID": identity.replace("-", ""), "systemUUID": identity, "bootID": boot.identity(node),
            "kernelVersion": platform.release(), "osImage": "drainproof lab", "operatingSystem": "linux",
            "architecture": "amd64", "containerRuntimeVersion": "lab://1", "kubeletVersion": KUBELET_VERSION,
            "kubeProxyVersion": "",
        },
    }


def conditions(known: Object | None) -> list[Object]:
    """The kubelet's four conditions, healthy; the moment of a transition is kept while the status stays."""
    facts = (
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    )
    before = {entry["type"]: entry for entry in (known or {}).get("status", {}).get("conditions", [])}
    return [
        {
            "type": type_, "status": value, "reason": reason, "message": message, "lastHeartbeatTime": stamp(),
            "lastTransitionTime": _transition(before.get(type_), value),
        }
        for type_, value, reason, message in facts
    ]


def _transition(before: Object | None, value: str) -> Any:
    return before["lastTransitionTime"] if before and before["status"] == value else stamp()


async def _register(node: Node) -> None:
    client = node.cluster.client
    meta = {"labels": labels(node.name), "annotations": {key: text for key, text in marks().items() if text}}
    try:
        known = await client.create(NODE, {"metadata": {"name": node.name, **meta}, "spec": {}})
    except ConflictError:
        known = await client.get(NODE, node.name)
        before, now = dig(known, "status", "nodeInfo", "bootID"), boot.identity(node)
        if before and before != now:
            told = f"Node {node.name} has been rebooted, boot id: {now}"
            node.cluster.event(NODE, known, "Warning", "Rebooted", told, "kubelet")
    # The lease first: a node that says it is ready while its lease is old is not believed.
    await _renew(client, node.name)
    await _report(node, known)


async def _report_safely(node: Node, known: Object) -> None:
    try:
        await _report(node, known)
    except (aiohttp.ClientError, OSError, ApiError) as error:
        log.warning("status of %s not reported: %s", node.name, error)


async def _report(node: Node, known: Object) -> None:
    client = node.cluster.client
    meta = {"labels": labels(node.name), "annotations": marks()}
    await client.patch(NODE, node.name, {"metadata": meta})
    await client.patch(
        NODE, node.name, {"status": {**status(node), "conditions": conditions(known)}}, type="strategic",
        subresource="status",
    )


async def _renew(client: Client, name: str) -> None:
    spec = {
        "holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS,
        "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    try:
        await client.patch(LEASE, name, {"spec": spec}, LEASE_NAMESPACE)
    except NotFoundError:
        await client.create(LEASE, {"metadata": {"name": name, "namespace": LEASE_NAMESPACE}, "spec": spec})
