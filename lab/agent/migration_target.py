"""The receiving half of a live migration: an empty QEMU that waits, takes the guest over, and says so."""

from __future__ import annotations

import asyncio
import logging
import time

from lab.agent import argv, domain_spec, network, volumes
from lab.agent.context import Node
from lab.agent.domain import Domain
from lab.agent.guest_agent import GuestAgentError
from lab.agent.launcher import Exit, Launcher
from lab.agent.qmp import MonitorError, MonitorEvent
from lab.agent.volumes import VolumeError
from lab.client import ApiError, Object
from lab.image import ImageError
from lab.kinds import VIRTUAL_MACHINE_INSTANCE
from lab.machinery.objects import condition, dig, stamp

log = logging.getLogger(__name__)

FIRST_PORT = 49152
PORTS = 512
ANNOUNCE = {"initial": 50, "max": 550, "rounds": 10, "step": 100}
"""Milliseconds and rounds; twice QEMU's five rounds, so that a lost first frame does not strand the guest."""
SET_TIME_SECONDS = 60.0
SET_TIME_PERIOD_SECONDS = 1.0


def reconcile(node: Node, vmi: Object) -> None:
    """Begin to receive a migration that was handed to this node, and give up one that has failed."""
    state = dig(vmi, "status", "migrationState") or {}
    if state.get("targetNode") != node.name:
        return
    launcher = next(
        (entry for entry in node.launchers.values() if entry.pod == state.get("targetPod") and not entry.exit), None
    )
    if launcher is None or launcher.vmi_uid != vmi["metadata"]["uid"]:
        return
    if launcher.migration == state.get("migrationUid"):
        if state.get("failed") and launcher.busy("receive"):
            launcher.tasks["receive"].cancel()
    elif launcher.domain is None and not state.get("completed"):
        launcher.migration = state["migrationUid"]
        launcher.start("receive", asyncio.create_task(Arrival(node, vmi, launcher).run()))


async def take_over(node: Node, vmi: Object, launcher: Launcher) -> bool:
    """Finish a migration that an earlier agent of this node received; False when the guest has not arrived.

    `launcher` has its running domain already.
    """
    state = dig(vmi, "status", "migrationState") or {}
    domain = launcher.domain
    if domain is None or state.get("targetPod") != launcher.pod or state.get("completed"):
        return False
    status = await domain.monitor.execute("query-status")
    if status["status"] not in ("running", "paused"):
        return False
    launcher.migration = state["migrationUid"]
    await Arrival(node, vmi, launcher).finish(domain)
    return True


class Arrival:
    """One incoming migration.

    `over` is set when there is nothing more to wait for, `arrived` when the guest is here then, and whole.
    """

    def __init__(self, node: Node, vmi: Object, launcher: Launcher) -> None:
        self._node = node
        self._vmi = vmi
        self._launcher = launcher
        self._migration = launcher.migration
        self.over = asyncio.Event()
        self.arrived = False
        self._detected = False
        self._post_copy = bool(
            dig(vmi, "status", "migrationState", "migrationConfiguration", "allowPostCopy", default=False)
        )

    async def run(self) -> None:
        """Receive the guest; on any failure end this QEMU and the pod, the guest lives on at the source."""
        try:
            domain = await self._prepare()
            await self.over.wait()
            if not self.arrived:
                raise MonitorError("the guest did not arrive: QEMU has ended, or has lost the source")
            await self.finish(domain)
        except (MonitorError, VolumeError, ImageError, ApiError, OSError, ValueError) as error:
            await self._give_up(str(error))
        except asyncio.CancelledError:
            await self._give_up("the migration was given up at the source")
        finally:
            self._node.touch(self._launcher)

    async def _prepare(self) -> Domain:
        node, launcher, client = self._node, self._launcher, self._node.cluster.client
        spec = domain_spec.read(self._vmi, launcher.mac, launcher.ip)
        prepared = await volumes.prepare(client, node.config, self._vmi, spec)
        with volumes.locked(prepared, joining=True) as locks:
            domain = Domain(prepared.spec, node.domain_files(launcher), network.tap_name(launcher.vmi_key))
            launcher.domain = domain
            domain.monitor.add_handler(self.note)
            domain.on_change(self._changed)
            command = argv.build(
                prepared.spec, domain.files, prepared.boot, domain.tap, node.config.accelerator, incoming=True
            )
            await domain.start(command, node.config.name, node.name, launcher.log_file, launcher.pod_uid, locks)
        port = await self._listen(domain)
        launcher.log("Prepared migration target pod", "server.go:228")
        await self._publish(port)
        return domain

    async def _listen(self, domain: Domain) -> int:
        wanted = ["events", "return-path", "late-block-activate"]
        if self._post_copy:
            wanted.append("postcopy-ram")
        await domain.monitor.execute(
            "migrate-set-capabilities", capabilities=[{"capability": name, "state": True} for name in wanted]
        )
        port = FIRST_PORT + self._node.ports % PORTS
        self._node.ports += 1
        await domain.monitor.execute("migrate-incoming", uri=f"tcp:{self._node.address}:{port}")
        return port

    async def _publish(self, port: int) -> None:
        def address(wished: Object) -> None:
            state = self._state(wished)
            if state is not None:
                state["targetNodeAddress"] = self._node.address
                state["targetDirectMigrationNodePorts"] = {str(port): FIRST_PORT}

        await self._node.change(self._vmi, address)
        self._node.event(self._vmi, "Normal", "PreparingTarget", "VirtualMachineInstance Migration Target Prepared.")
        self._node.event(
            self._vmi, "Normal", "PreparingTarget",
            f"Migration Target is listening at {self._node.address}, on ports: {port}",
        )

    def note(self, event: MonitorEvent) -> None:
        """Take an event of QEMU's: RESUME comes before the migration has completed; a paused guest only completes.

        Where post-copy is allowed, a resumed guest may still have memory at the source, and is lost with it.
        """
        if event.name == "RESUME" and self._migration not in self._node.resumed:
            self._node.resumed[self._migration] = event.monotonic_ns
            self._launcher.start("announce", asyncio.create_task(self._announce()))
        status = event.data.get("status") if event.name == "MIGRATION" else None
        if status == "completed" or (event.name == "RESUME" and not self._post_copy):
            self.arrived = True
            self.over.set()
        elif status == "postcopy-paused":
            self.over.set()
        elif status == "active" and not self._detected:
            self._detected = True
            self._launcher.start("detected", asyncio.create_task(self._report_detected()))

    def _changed(self) -> None:
        if self._launcher.domain and self._launcher.domain.end:
            self.over.set()
        self._node.touch(self._launcher)

    async def _announce(self) -> None:
        domain = self._launcher.domain
        if domain:
            try:
                await domain.monitor.execute("announce-self", **ANNOUNCE)
            except MonitorError as error:
                log.warning("%s: %s", domain.spec.key, error)

    async def _report_detected(self) -> None:
        def detected(wished: Object) -> None:
            state = self._state(wished)
            if state is not None:
                state["targetNodeDomainDetected"] = True

        await self._node.change(self._vmi, detected)

    async def finish(self, domain: Domain) -> None:
        """Publish, in one write, that the guest is here: node, label, time stamps, and the evacuation is over."""
        domain.agent_connected = condition(self._vmi, "AgentConnected") is not None
        domain.on_change(lambda: self._node.touch(self._launcher))
        latest = self._node.cluster.get(VIRTUAL_MACHINE_INSTANCE, self._launcher.vmi_key)
        if dig(latest, "status", "migrationState", "mode") == "Paused":
            # Stopped by the source to let the migration converge, not by a user.
            await domain.monitor.execute("cont")

        def acknowledge(wished: Object) -> None:
            state = self._state(wished)
            if state is None:
                return
            state["targetNodeDomainDetected"] = True
            state["targetNodeDomainReadyTimestamp"] = state["endTimestamp"] = stamp()
            wished["metadata"].setdefault("labels", {})["kubevirt.io/nodeName"] = self._node.name
            wished["status"]["nodeName"] = self._node.name
            wished["status"].pop("evacuationNodeName", None)

        await self._node.change(self._vmi, acknowledge)
        domain.monitor.remove_handler(self.note)
        self._node.event(
            self._vmi, "Normal", "Migrated", f"The VirtualMachineInstance migrated to node {self._node.name}."
        )
        self._launcher.log('DomainLifecycle event Domain event="resumed" detail="migrated"', "client.go:528")
        if domain.agent_connected:
            self._launcher.start("set-time", asyncio.create_task(_set_time(domain)))

    async def _give_up(self, reason: str) -> None:
        self._launcher.log(f"migration {self._migration} failed: {reason}", level="error")
        log.warning("%s: incoming migration %s: %s", self._launcher.vmi_key, self._migration, reason)
        self._launcher.exit = Exit(1, reason)
        if self._launcher.domain:
            await self._launcher.domain.kill()

    def _state(self, wished: Object) -> Object | None:
        """The VMI's migration state while it is about this migration."""
        state: Object = dig(wished, "status", "migrationState") or {}
        return state if state.get("migrationUid") == self._migration else None


async def _set_time(domain: Domain) -> None:
    """Set the guest's clock through its agent, once a second until it takes it, as virt-launcher does."""
    deadline = time.monotonic() + SET_TIME_SECONDS
    while time.monotonic() < deadline and domain.running:
        try:
            await domain.guest_agent.call("guest-set-time", time=time.time_ns(), timeout=SET_TIME_SECONDS)
        except GuestAgentError as error:
            log.info("%s: %s", domain.spec.key, error)
            await asyncio.sleep(SET_TIME_PERIOD_SECONDS)
        else:
            return
