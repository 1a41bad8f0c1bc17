"""Launcher pods of this node: their status, and their end."""

from __future__ import annotations

import asyncio
import logging

from lab.agent import boot, containers, pod_status, probes, volumes
from lab.agent.context import Node
from lab.agent.domain import End
from lab.agent.launcher import Exit, Launcher, from_pod, is_launcher
from lab.client import Object
from lab.kinds import POD, VIRTUAL_MACHINE_INSTANCE
from lab.machinery.objects import deleting, dig, final, uid

log = logging.getLogger(__name__)

IMAGE_RETRY_SECONDS = 10.0
DEFAULT_GRACE_SECONDS = 30


async def reconcile(node: Node, key: str) -> float | None:
    """Bring the pod's status to what runs on this node, and finish its deletion."""
    pod = node.cluster.get(POD, key)
    if pod is None:
        await containers.forget(node, key)
        await _forget(node, key)
        return None
    if containers.runs(node, pod):
        return await containers.reconcile(node, pod)
    launcher = node.launchers.get(uid(pod))
    if final(pod):
        if deleting(pod):
            await _remove(node, pod)
        return None
    if launcher is None:
        image = _missing_image(node, pod)
        if image:
            if deleting(pod):
                await _remove(node, pod)
            else:
                await _write(node, pod, pod_status.waiting(pod, image, node.address))
            return IMAGE_RETRY_SECONDS
        launcher = _begin(node, pod)
        if pod_status.was_running(pod) and not boot.remembers(node, launcher.pod_uid):
            launcher.exit = Exit(pod_status.LOST_CODE, "the container died with the node's power")
        boot.remember(node, launcher.pod_uid)
    _note_end(launcher)
    if launcher.exit is None and deleting(pod):
        _stop(node, launcher, pod)
    if launcher.exit:
        await _write(node, pod, pod_status.terminated(pod, launcher.exit, launcher.started_at, node.address))
        node.pods.add(key)
        return None
    now = pod_status.Running(launcher.started_at, launcher.ready, launcher.ip, node.address)
    await _write(node, pod, pod_status.running(pod, now))
    return None


def _begin(node: Node, pod: Object) -> Launcher:
    launcher = from_pod(node.config, pod)
    node.launchers[launcher.pod_uid] = launcher
    node.vmis.add(launcher.vmi_key)
    watch_readiness(node, launcher)
    return launcher


def watch_readiness(node: Node, launcher: Launcher) -> None:
    """Follow the VMI's readinessProbe; without one the container is ready as soon as it runs."""
    vmi = node.cluster.get(VIRTUAL_MACHINE_INSTANCE, launcher.vmi_key)
    probe = dig(vmi or {}, "spec", "readinessProbe")
    if probe:
        watching = probes.watch(launcher, probe, lambda: node.pods.add(launcher.key))
        launcher.start("probe", asyncio.create_task(watching))
    else:
        launcher.ready = True


def _missing_image(node: Node, pod: Object) -> str | None:
    """The image that keeps the pod's containers from starting."""
    if not is_launcher(pod):
        return str(dig(pod, "spec", "containers", 0, "image", default="none"))
    owner = pod["metadata"]["ownerReferences"][0]["name"]
    vmi = node.cluster.get(VIRTUAL_MACHINE_INSTANCE, f"{pod['metadata']['namespace']}/{owner}")
    return volumes.missing_image(node.config, vmi) if vmi else None


def _note_end(launcher: Launcher) -> None:
    """A launcher whose QEMU is over is over too, unless something else has given it an outcome already."""
    domain = launcher.domain
    if domain is None or domain.end is None or launcher.exit:
        return
    if domain.end is End.CRASHED and not launcher.migrated:
        launcher.exit = Exit(1, f"QEMU ended unexpectedly; its messages are in {launcher.log_file}")
    else:
        launcher.exit = Exit(0)


def _stop(node: Node, launcher: Launcher, pod: Object) -> None:
    """End the guest within the pod's grace period; a launcher without a guest ends at once."""
    if not launcher.running:
        launcher.exit = launcher.exit or Exit(0)
    elif not launcher.busy("stop"):
        grace = float(pod["metadata"].get("deletionGracePeriodSeconds", DEFAULT_GRACE_SECONDS))
        if node.awaits_migration(launcher):
            grace = 0.0
        launcher.start("stop", asyncio.create_task(stop(node, launcher, grace)))


async def stop(node: Node, launcher: Launcher, grace_seconds: float) -> None:
    """Shut the launcher's guest down, forcibly once the grace is over."""
    if launcher.domain:
        launcher.log(f"Signaled graceful shutdown, grace period {grace_seconds:g} s")
        await launcher.domain.power_off(grace_seconds)
    node.touch(launcher)


async def _write(node: Node, old: Object, new: Object) -> None:
    if new != old:
        await node.cluster.update(POD, old, new)


async def _remove(node: Node, pod: Object) -> None:
    """The last step of a pod's deletion, the kubelet's: only now the object goes."""
    await node.cluster.delete(POD, pod, grace_seconds=0)


async def _forget(node: Node, key: str) -> None:
    """The pod object is gone; a guest that still runs for it has been deleted by force."""
    for launcher in [entry for entry in node.launchers.values() if entry.key == key]:
        for task in launcher.tasks.values():
            task.cancel()
        if launcher.domain:
            await launcher.domain.kill()
        node.launchers.pop(launcher.pod_uid, None)
        boot.forget(node, launcher.pod_uid)
        node.vmis.add(launcher.vmi_key)

