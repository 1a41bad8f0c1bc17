"""The sending half of a live migration: drives QEMU, keeps the limits, and reports the outcome."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

import aiohttp

from lab.agent import copies, migration_limits
from lab.agent.context import Node
from lab.agent.domain import Domain
from lab.agent.launcher import Exit, Launcher
from lab.agent.migration_limits import Action, Limits, Peaks, Progress
from lab.agent.qmp import MonitorError, MonitorEvent
from lab.client import ApiError, NotFoundError, Object
from lab.config import AGENT_PORT
from lab.kinds import MIGRATION_POLICY, VIRTUAL_MACHINE_INSTANCE
from lab.machinery.objects import dig, set_phase, stamp

log = logging.getLogger(__name__)

POLL_SECONDS = 0.4
"""virt-launcher's monitor period."""
LOG_SECONDS = 4.0
DOWNTIME_REREADS = 10
DOWNTIME_PAUSE_SECONDS = 0.02
TAKE_OVER_SECONDS = 60.0
"""virt-handler's patience with a target that never reports the guest (migrationTargetDelayTimeout)."""
TAKE_OVER_POLL_SECONDS = 0.05
RESUME_SECONDS = 2.0
ABORTED = "Live migration has been aborted"


def reconcile(node: Node, vmi: Object, launcher: Launcher) -> None:
    """Begin to send when the target listens, and abort when that is asked for."""
    state = dig(vmi, "status", "migrationState") or {}
    if state.get("sourceNode") != node.name or state.get("sourcePod") != launcher.pod or state.get("completed"):
        return
    if launcher.migration == state.get("migrationUid"):
        if state.get("abortRequested") and launcher.departure:
            launcher.departure.abort(ABORTED)
    elif state.get("targetNodeAddress") and state.get("targetDirectMigrationNodePorts"):
        launcher.migration = state["migrationUid"]
        departure = Departure(node, vmi, launcher, state)
        launcher.departure = departure
        launcher.start("send", asyncio.create_task(departure.run()))


class MigrationError(Exception):
    """The migration did not come to its end; the guest goes on where it was."""


class GuestLostError(Exception):
    """The migration broke in post-copy: neither side has all of the guest."""


class Departure:
    """One outgoing migration."""

    def __init__(self, node: Node, vmi: Object, launcher: Launcher, state: Object) -> None:
        if launcher.domain is None:
            raise MigrationError(f"{launcher.key} has no guest to migrate")
        self._node = node
        self._vmi = vmi
        self._launcher = launcher
        self._state = state
        self._domain: Domain = launcher.domain
        self._uid = str(state["migrationUid"])
        self._events: asyncio.Queue[str] = asyncio.Queue()
        self._stop_ns = 0
        self._abort_reason = ""
        self._suspended = False
        self._post_copy = False
        self._peaks = Peaks()
        self.progress = Progress()

    def abort(self, reason: str) -> None:
        """Cancel the migration; the first reason counts."""
        if not self._abort_reason:
            self._abort_reason = reason
            self._events.put_nowait("abort")

    async def run(self) -> None:
        """Migrate the guest; afterwards either this QEMU is gone, or the VMI says why it is not."""
        self._domain.monitor.add_handler(self._note)
        try:
            await self._migrate()
        except (MonitorError, MigrationError, ApiError, OSError) as error:
            await self._failed(str(error))
        except GuestLostError as error:
            await self._lost(str(error))
        else:
            await self._succeeded()
        finally:
            self._domain.monitor.remove_handler(self._note)
            self._launcher.departure = None
            self._node.touch(self._launcher)

    async def _migrate(self) -> None:
        if self._state.get("startTimestamp"):
            await self._resume_watch()
            return
        if self._state.get("abortRequested"):
            self.abort(ABORTED)
        limits = await self._limits()
        await self._configure(limits)
        await self._change(lambda state: state.update(startTimestamp=stamp(), mode="PreCopy"))
        self._node.event(self._vmi, "Normal", "Migrating", "VirtualMachineInstance is migrating.")
        self._launcher.log("Initiating live migration.", "live-migration-source.go:1399")
        for copy in await copies.give_up(self._domain):
            self._launcher.log(f"Gave up copy {copy} of a disk: the guest migrates.", level="warning")
        port = next(iter(self._state["targetDirectMigrationNodePorts"]))
        started = time.monotonic()
        await self._execute("migrate", uri=f"tcp:{self._state['targetNodeAddress']}:{port}")
        await self._watch(limits, started)

    async def _resume_watch(self) -> None:
        """An earlier agent began this migration: it is over by now, or it is given up."""
        info = await self._execute("query-migrate")
        if info.get("status") != "completed":
            await self._execute("migrate_cancel")
            raise MigrationError("the node's agent was restarted during the migration")

    async def _limits(self) -> Limits:
        downtime = None
        policy = self._state.get("migrationPolicyName")
        if policy:
            try:
                found = await self._node.cluster.client.get(MIGRATION_POLICY, policy)
                downtime = dig(found, "spec", "maxDowntimeMs")
            except NotFoundError:
                log.info("migration policy %s is gone; QEMU's own downtime limit stays", policy)
        configuration = self._state.get("migrationConfiguration") or {}
        return migration_limits.read(configuration, self._domain.spec.memory_bytes, downtime)

    async def _configure(self, limits: Limits) -> None:
        states = {
            "events": True, "return-path": True, "pause-before-switchover": True,
            "auto-converge": limits.auto_converge, "postcopy-ram": limits.post_copy,
        }
        await self._execute(
            "migrate-set-capabilities", capabilities=[{"capability": key, "state": on} for key, on in states.items()]
        )
        await self._execute(
            "migrate-set-parameters", max_bandwidth=limits.bandwidth, downtime_limit=limits.downtime_ms
        )

    def _note(self, event: MonitorEvent) -> None:
        if event.name == "STOP":
            self._stop_ns = event.monotonic_ns
        elif event.name == "MIGRATION":
            self._events.put_nowait(str(event.data["status"]))

    async def _watch(self, limits: Limits, started: float) -> None:
        """Follow the migration to its end; between events look at its progress every 0.4 s."""
        watch = migration_limits.Watch(limits)
        logged = started
        while True:
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    status = await self._events.get()
            except TimeoutError:
                status = ""
            if await self._step(status):
                return
            if status:
                continue
            self.progress = migration_limits.progress(await self._execute("query-migrate"))
            self._peaks.note(self.progress)
            now = time.monotonic()
            if now - logged >= LOG_SECONDS:
                logged = now
                self._log_progress()
            action, reason = watch.decide(now - started, self.progress.remaining)
            await self._act(action, reason)

    async def _step(self, status: str) -> bool:
        """React to one event; True at the successful end. Raises MigrationError or GuestLostError at another."""
        if self._domain.ended.is_set():
            raise MigrationError("the guest ended during the migration")
        if status == "pre-switchover":
            await self._execute("migrate-continue", state="pre-switchover")
        elif status == "abort" and self._post_copy:
            self._abort_reason = ""
            await self._change(lambda state: state.update(abortStatus="Failed"))
        elif status == "postcopy-paused":
            raise GuestLostError("the connection broke in post-copy: the guest's memory is in two halves")
        elif status == "abort":
            await self._change(lambda state: state.update(abortStatus="Aborting"))
            self._node.event(self._vmi, "Normal", "Migrating", "VirtualMachineInstance is aborting migration.")
            await self._execute("migrate_cancel")
        elif status in ("failed", "cancelled"):
            info = await self._execute("query-migrate")
            raise MigrationError(self._abort_reason or info.get("error-desc") or f"QEMU: migration {status}")
        return status == "completed"

    async def _act(self, action: Action, reason: str) -> None:
        if action is Action.ABORT:
            self._launcher.log(reason, "live-migration-source.go:761", "error")
            self.abort(ABORTED)
        elif action is Action.POST_COPY:
            self._launcher.log("Starting post copy mode for migration", "live-migration-source.go:735")
            self._post_copy = True
            await self._execute("migrate-start-postcopy")
            await self._change(lambda state: state.update(mode="PostCopy"))
        elif action is Action.PAUSE:
            self._suspended = True
            await self._execute("stop")
            await self._change(lambda state: state.update(mode="Paused"))

    async def _succeeded(self) -> None:
        self._launcher.migrated = True
        self.progress = await self._final_progress()
        self._log_progress()
        if self._stop_ns:
            resume_ns = await self._resume_ns()
            self._launcher.log_plain(f"lab: migration {self._uid} stop_ns={self._stop_ns} resume_ns={resume_ns}")
        if await self._taken_over():
            await self._change(lambda state: state.update(completed=True))
            self._node.event(self._vmi, "Normal", "Deleted", "Signaled Deletion")
            self._launcher.exit = Exit(0)
            await self._domain.kill()
        else:
            await self._lost(
                f"the target did not report the guest within {TAKE_OVER_SECONDS:.0f} s after the migration"
            )

    async def _failed(self, reason: str) -> None:
        """Report the failure; the guest runs on here."""
        log.warning("%s: migration %s failed: %s", self._launcher.vmi_key, self._uid, reason)
        self._launcher.log(f"Live migration failed: {reason}", "live-migration-source.go:1421", "error")
        self._log_progress()
        if self._suspended and not self._launcher.migrated:
            with contextlib.suppress(MonitorError):
                await self._execute("cont")

        def failed(state: Object) -> None:
            state.update(endTimestamp=stamp(), completed=True, failed=True, failureReason=reason)
            if self._abort_reason:
                state["abortStatus"] = "Succeeded"

        await self._change(failed)
        message = f"VirtualMachineInstance migration uid {self._uid} failed. reason:{reason}"
        self._node.event(self._vmi, "Warning", "Migrated", message)

    async def _lost(self, reason: str) -> None:
        """The guest exists nowhere any more, not whole."""
        self._launcher.migrated = True
        await self._failed(reason)
        await self._node.change(self._vmi, lambda wished: set_phase(wished, "Failed"))
        self._launcher.exit = Exit(0)
        await self._domain.kill()

    async def _final_progress(self) -> Progress:
        """QEMU's last figures: right after the end it may still say a downtime of nothing."""
        figures = Progress()
        for _ in range(DOWNTIME_REREADS):
            figures = migration_limits.progress(await self._execute("query-migrate"))
            if figures.downtime_ms:
                break
            await asyncio.sleep(DOWNTIME_PAUSE_SECONDS)
        return figures

    async def _taken_over(self) -> bool:
        deadline = time.monotonic() + TAKE_OVER_SECONDS
        while time.monotonic() < deadline:
            vmi = self._node.cluster.get(VIRTUAL_MACHINE_INSTANCE, self._launcher.vmi_key)
            if dig(vmi, "status", "nodeName") == self._state["targetNode"]:
                return True
            await asyncio.sleep(TAKE_OVER_POLL_SECONDS)
        return False

    async def _resume_ns(self) -> int:
        """When the guest resumed at the target, from the target's agent; 0 when it does not know after 2 s."""
        url = f"http://{self._state['targetNodeAddress']}:{AGENT_PORT}/lab/v1/migrations/{self._uid}"
        try:
            async with asyncio.timeout(RESUME_SECONDS), aiohttp.ClientSession() as session:
                while True:
                    async with session.get(url) as answer:
                        if answer.status == 200:
                            return int((await answer.json())["resume_ns"])
                    await asyncio.sleep(TAKE_OVER_POLL_SECONDS)
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("resume time of migration %s unknown: %s", self._uid, error)
            return 0

    def _log_progress(self) -> None:
        self._launcher.log(migration_limits.log_line(self._uid, self.progress), "live-migration-source.go:967")
        self._launcher.log_plain(f"lab: migration {self._uid} {self._peaks}")

    async def _execute(self, command: str, **arguments: object) -> dict[str, object]:
        answer = await self._domain.monitor.execute(command, **arguments)
        return answer if isinstance(answer, dict) else {}

    async def _change(self, mutate: Callable[[Object], None]) -> None:
        def only_this(wished: Object) -> None:
            state = dig(wished, "status", "migrationState") or {}
            if state.get("migrationUid") == self._uid:
                mutate(state)

        await self._node.change(self._vmi, only_this)
