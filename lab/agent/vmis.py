"""VirtualMachineInstances of this node: starting the guest, reporting on it, and its end."""

from __future__ import annotations

import asyncio
import copy
import logging

from lab.agent import (
    argv,
    domain_spec,
    freezing,
    migration_source,
    migration_target,
    network,
    pods,
    vmi_status,
    volumes,
)
from lab.agent.context import Node
from lab.agent.domain import Domain, End
from lab.agent.guest_agent import GuestAgentError
from lab.agent.launcher import Exit, Launcher
from lab.agent.qmp import MonitorError
from lab.agent.volumes import VolumeError
from lab.client import ApiError, Object
from lab.image import ImageError
from lab.kinds import VIRTUAL_MACHINE_INSTANCE
from lab.machinery.objects import condition, deleting, dig, final, name, phase, set_phase

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
DEFAULT_GRACE_SECONDS = 30


async def reconcile(node: Node, key: str) -> float | None:
    """Start, watch, move or end the VMI's guest, as far as it concerns this node."""
    vmi = node.cluster.get(VIRTUAL_MACHINE_INSTANCE, key)
    _abandon(node, key, vmi)
    if vmi is None:
        return None
    migration_target.reconcile(node, vmi)
    if dig(vmi, "status", "nodeName") != node.name:
        return None
    launcher = node.launcher_of(vmi)
    if phase(vmi) == "Scheduled":
        return await _start(node, vmi, launcher)
    if phase(vmi) == "Running":
        await _running(node, vmi, launcher)
    elif final(vmi):
        _release(node, vmi)
    return None


def _abandon(node: Node, key: str, vmi: Object | None) -> None:
    """End guests whose VMI is gone, or was replaced by a namesake."""
    for launcher in list(node.launchers.values()):
        gone = vmi is None or launcher.vmi_uid != vmi["metadata"]["uid"]
        if launcher.vmi_key == key and gone and not launcher.exit:
            if launcher.domain:
                launcher.start("kill", asyncio.create_task(launcher.domain.kill()))
            else:
                launcher.exit = Exit(0)
            network.withdraw_address(node.config, launcher.mac, launcher.ip)
            volumes.cloud_init_file(node.config, launcher.vmi_uid).unlink(missing_ok=True)
            node.pods.add(launcher.key)


def _release(node: Node, vmi: Object) -> None:
    """The VMI is over: nothing of it stays, and its address may go to another."""
    for launcher in node.launchers.values():
        if launcher.vmi_uid == vmi["metadata"]["uid"]:
            if launcher.running and launcher.domain:
                launcher.start("kill", asyncio.create_task(launcher.domain.kill()))
            elif launcher.exit is None:
                launcher.exit = Exit(0 if phase(vmi) == "Succeeded" else 1)
            node.pods.add(launcher.key)
            network.withdraw_address(node.config, launcher.mac, launcher.ip)
    volumes.cloud_init_file(node.config, vmi["metadata"]["uid"]).unlink(missing_ok=True)


async def _start(node: Node, vmi: Object, launcher: Launcher | None) -> float | None:
    if launcher is None:
        return RETRY_SECONDS
    if launcher.domain is None:
        try:
            await _launch(node, vmi, launcher)
        except VolumeError as error:
            node.event(vmi, "Warning", "SyncFailed", str(error))
            return RETRY_SECONDS
        except (MonitorError, ImageError, ValueError) as error:
            await _fail(node, vmi, launcher, f"the guest could not be started: {error}")
            return None
    domain = launcher.domain
    if domain is None:
        return RETRY_SECONDS
    claims = await volumes.claims(node.cluster.client, vmi)
    can_move = vmi_status.migratable(vmi, claims)
    await node.change(vmi, lambda wished: vmi_status.started(wished, domain.spec, can_move, claims))
    node.event(vmi, "Normal", "Created", "VirtualMachineInstance defined.")
    node.event(vmi, "Normal", "Started", "VirtualMachineInstance started.")
    if not can_move and dig(vmi, "spec", "evictionStrategy") in vmi_status.MIGRATION_STRATEGIES:
        node.event(
            vmi, "Warning", "Migrated", f"EvictionStrategy is set but vmi is not migratable; {can_move.message}"
        )
    return None


async def _launch(node: Node, vmi: Object, launcher: Launcher) -> None:
    spec = domain_spec.read(vmi, launcher.mac, launcher.ip)
    prepared = await volumes.prepare(node.cluster.client, node.config, vmi, spec)
    with volumes.locked(prepared) as locks:
        network.offer_address(node.config, launcher.mac, launcher.ip, volumes.hostname(vmi))
        domain = new_domain(node, launcher, prepared.spec)
        command = argv.build(prepared.spec, domain.files, prepared.boot, domain.tap, node.config.accelerator)
        await domain.start(command, node.config.name, node.name, launcher.log_file, launcher.pod_uid, locks)
    launcher.log(f"Domain {prepared.spec.domain} started, pid {domain.pid}")


def new_domain(node: Node, launcher: Launcher, spec: domain_spec.DomainSpec) -> Domain:
    """A domain of the launcher, not started yet."""
    domain = Domain(spec, node.domain_files(launcher), network.tap_name(launcher.vmi_key))
    domain.on_change(lambda: node.touch(launcher))
    launcher.domain = domain
    return domain


async def _running(node: Node, vmi: Object, launcher: Launcher | None) -> None:
    if launcher is None or launcher.domain is None:
        if not any(entry.vmi_uid == vmi["metadata"]["uid"] and entry.migrated for entry in node.launchers.values()):
            await _fail(node, vmi, launcher, "the guest is gone: this node has no QEMU for it")
        return
    if launcher.domain.end:
        await _ended(node, vmi, launcher.domain.end)
        return
    if deleting(vmi) and not launcher.busy("stop"):
        _shut_down(node, vmi, launcher)
    migration_source.reconcile(node, vmi, launcher)
    freezing.guard(node, launcher, launcher.domain, vmi)
    connected = launcher.domain.agent_connected
    if connected != (condition(vmi, "AgentConnected") is not None) and not launcher.busy("guest-info"):
        launcher.start("guest-info", asyncio.create_task(_guest_info(node, vmi, launcher.domain)))


def _shut_down(node: Node, vmi: Object, launcher: Launcher) -> None:
    grace = float(vmi["spec"].get("terminationGracePeriodSeconds", DEFAULT_GRACE_SECONDS))
    if grace > 0:
        node.event(vmi, "Normal", "ShuttingDown", "Signaled Graceful Shutdown")
    else:
        node.event(vmi, "Normal", "Deleted", "Signaled Deletion")
    launcher.start("stop", asyncio.create_task(pods.stop(node, launcher, grace)))


async def _ended(node: Node, vmi: Object, end: End) -> None:
    crashed = end is End.CRASHED
    await node.change(vmi, lambda wished: set_phase(wished, "Failed" if crashed else "Succeeded"))
    if crashed:
        node.event(vmi, "Warning", "Stopped", "The VirtualMachineInstance crashed.")
    else:
        node.event(vmi, "Normal", "Stopped", "The VirtualMachineInstance was shut down.")


async def _fail(node: Node, vmi: Object, launcher: Launcher | None, reason: str) -> None:
    log.error("VMI %s/%s failed: %s", vmi["metadata"]["namespace"], name(vmi), reason)
    node.event(vmi, "Warning", "SyncFailed", reason)
    await node.change(vmi, lambda wished: set_phase(wished, "Failed"))
    if launcher:
        launcher.exit = Exit(1, reason)
        node.pods.add(launcher.key)


async def _guest_info(node: Node, vmi: Object, domain: Domain) -> None:
    """Ask the guest agent who it is, and write the answer; an agent that does not answer counts as connected."""
    info: Object = {}
    if domain.agent_connected:
        try:
            info = await domain.guest_agent.call("guest-get-osinfo", timeout=20)
        except GuestAgentError as error:
            log.info("%s: %s", domain.spec.key, error)
    try:
        await node.change(vmi, lambda wished: vmi_status.guest_agent(wished, domain.agent_connected, copy.copy(info)))
    except (ApiError, OSError) as error:
        log.warning("guest agent's state of %s not written: %s", domain.spec.key, error)
