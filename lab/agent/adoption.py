"""Guests that outlived an earlier agent of this node: taken over, or ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
from pathlib import Path

from lab.agent import domain_spec, migration_target, network, pods
from lab.agent.argv import DomainFiles
from lab.agent.context import Node
from lab.agent.domain import Domain
from lab.agent.launcher import from_pod
from lab.agent.qmp import MonitorError
from lab.kinds import POD, VIRTUAL_MACHINE_INSTANCE
from lab.machinery.objects import condition, dig, final, uid

log = logging.getLogger(__name__)


async def adopt(node: Node) -> None:
    """Take over each running QEMU whose pod and VMI are still this node's; end the others.

    A guest that was still on its way in is ended too: it lives at its source. One that had arrived is reported.
    """
    for record in sorted(node.directory.glob("*/domain.json")):
        try:
            facts = json.loads(record.read_text())
        except ValueError:
            facts = {}
        if not await _take_over(node, record.parent, facts):
            _end(record.parent, int(facts.get("pid", 0)))
    # A node that has lost its power could not remove the links of its guests.
    await asyncio.to_thread(
        network.remove_taps, {network.tap_name(launcher.vmi_key) for launcher in node.launchers.values()}
    )


async def _take_over(node: Node, directory: Path, facts: dict[str, object]) -> bool:
    pod = next((entry for entry in node.cluster.list(POD) if uid(entry) == facts.get("pod")), None)
    if pod is None or final(pod):
        return False
    launcher = from_pod(node.config, pod)
    vmi = node.cluster.get(VIRTUAL_MACHINE_INSTANCE, launcher.vmi_key)
    if vmi is None or uid(vmi) != facts.get("vmi"):
        return False
    spec = domain_spec.read(vmi, launcher.mac, launcher.ip)
    domain = Domain(spec, DomainFiles(directory, launcher.console_file), network.tap_name(launcher.vmi_key))
    try:
        await domain.adopt(int(str(facts["pid"])))
    except MonitorError as error:
        log.warning("%s cannot be taken over: %s", launcher.vmi_key, error)
        return False
    domain.agent_connected = condition(vmi, "AgentConnected") is not None
    domain.on_change(lambda: node.touch(launcher))
    launcher.domain = domain
    if dig(vmi, "status", "nodeName") != node.name and not await migration_target.take_over(node, vmi, launcher):
        await domain.kill()
        return False
    node.launchers[launcher.pod_uid] = launcher
    pods.watch_readiness(node, launcher)
    log.info("%s taken over, pid %d", launcher.vmi_key, domain.pid)
    return True


def _end(directory: Path, pid: int) -> None:
    """Kill the QEMU whose command line names this directory; a pid that was given to another process is left alone."""
    with contextlib.suppress(OSError):
        if pid and str(directory).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(directory, ignore_errors=True)
