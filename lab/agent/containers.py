"""Pods of clients on this node: their process is started, watched, and ended with everything it has started."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import shutil
import signal
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from lab import processes
from lab.agent import container as containers
from lab.agent import domain, network, pod_status
from lab.agent.container import Container
from lab.agent.context import Node
from lab.agent.launcher import Exit, pod_directory
from lab.client import NotFoundError, Object
from lab.kinds import CONFIG_MAP, POD, SECRET, Kind
from lab.machinery.objects import deleting, dig, final, key, name, namespace, stamp, uid

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
DEFAULT_GRACE_SECONDS = 30
COMPONENT = "kubelet"


def runs(node: Node, pod: Object) -> bool:
    """Whether the lab runs a process for the pod."""
    return bool(node.config.clients) and containers.image_of(pod).partition(":")[0] == containers.IMAGE


async def reconcile(node: Node, pod: Object) -> float | None:
    """Bring the pod's status to what runs for it, and finish its deletion."""
    if final(pod):
        if deleting(pod):
            await node.cluster.delete(POD, pod, grace_seconds=0)
        return None
    running = node.containers.get(uid(pod))
    if running is None and deleting(pod) and not pod_status.was_running(pod):
        await node.cluster.delete(POD, pod, grace_seconds=0)
        return None
    if running is None:
        running = await _begun(node, pod)
        if running is None:
            return RETRY_SECONDS
    if running.exit is None and deleting(pod):
        _stop(running, pod)
    changed = pod_status.running(pod, pod_status.Running(running.started_at, True, running.address, node.address))
    if running.exit is not None:
        changed = pod_status.terminated(pod, running.exit, running.started_at, node.address)
        node.pods.add(running.key)
    if changed != pod:
        await node.cluster.update(POD, pod, changed)
    return None


async def forget(node: Node, pod_key: str) -> None:
    """The pod object is gone: so is what still runs for it, and what it had on this machine."""
    for running in [entry for entry in node.containers.values() if entry.key == pod_key]:
        await _kill(running)
        for task in running.tasks.values():
            task.cancel()
        await asyncio.to_thread(network.remove_address, running.address)
        await asyncio.to_thread(shutil.rmtree, running.files, ignore_errors=True)
        del node.containers[running.pod_uid]


async def _begun(node: Node, pod: Object) -> Container | None:
    """The pod's container, started; one that an earlier agent had started is over. None: what it mounts is missing."""
    running = Container(
        key=key(pod), pod_uid=uid(pod), directory=pod_directory(node.config, namespace(pod), name(pod)),
        files=node.config.state / "containers" / uid(pod), address=str(dig(pod, "status", "podIP", default="")),
        started_at=stamp(),
    )
    if pod_status.was_running(pod):
        await _kill(running)
        running.exit = Exit(pod_status.LOST_CODE, "the container's process was lost with its node's agent")
    else:
        try:
            await _mount(node, pod, running.files)
        except NotFoundError as error:
            node.cluster.event(POD, pod, "Warning", "FailedMount", f"MountVolume.SetUp failed: {error}", COMPONENT)
            return None
        running.address = await asyncio.to_thread(network.add_address, _free_addresses(node))
        await _start(node, pod, running)
    node.containers[running.pod_uid] = running
    return running


async def _start(node: Node, pod: Object, running: Container) -> None:
    running.directory.mkdir(parents=True, exist_ok=True)
    try:
        spec = containers.single(pod)
        where = containers.mounts(spec, running.files)
        own = containers.environment(pod, spec, where, running.address, node.name)
        # The agent is more urgent than others; what runs in its pods is not.
        argv = ["nice", "-n", str(domain.NICE), *containers.command(spec, where, own)]
        marks = {containers.POD_MARK: running.pod_uid, "PYTHONPATH": node.config.clients}
        with (running.directory / f"{spec['name']}.log").open("ab") as out:
            running.process = await asyncio.create_subprocess_exec(
                *argv, cwd=node.config.clients, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out,
                env=processes.marked_environment(node.config.name, {**own, **marks}), start_new_session=True,
            )
    except (OSError, ValueError) as error:
        running.exit = Exit(128, f"failed to start container: {error}")
        return
    running.tasks["watch"] = asyncio.create_task(_watch(node, running, running.process))


async def _watch(node: Node, running: Container, process: asyncio.subprocess.Process) -> None:
    """The first process is the container: with it all others of the pod end."""
    code = await process.wait()
    await _kill(running)
    running.exit = Exit(code if code >= 0 else 128 - code)
    node.pods.add(running.key)


def _stop(running: Container, pod: Object) -> None:
    if "stop" not in running.tasks:
        grace = float(pod["metadata"].get("deletionGracePeriodSeconds", DEFAULT_GRACE_SECONDS))
        running.tasks["stop"] = asyncio.create_task(_stopping(running, grace))


async def _stopping(running: Container, grace_seconds: float) -> None:
    if running.process is not None:
        with contextlib.suppress(ProcessLookupError):
            running.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(grace_seconds)
        if running.exit is None:
            await _kill(running)


async def _kill(running: Container) -> None:
    find = partial(processes.marked, running.pod_uid, containers.POD_MARK)
    await asyncio.to_thread(processes.kill_all, find)


async def _mount(node: Node, pod: Object, files: Path) -> None:
    """Make the volumes; raises NotFoundError when a Secret or ConfigMap is missing that is not optional."""
    for volume in dig(pod, "spec", "volumes", default=[]):
        directory = files / volume["name"]
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)
        for kind, source, named in ((SECRET, "secret", "secretName"), (CONFIG_MAP, "configMap", "name")):
            if wanted := dig(volume, source, named):
                for file, content in (await _content(node, kind, wanted, namespace(pod))).items():
                    (directory / file).write_bytes(content)
                    (directory / file).chmod(0o400)


async def _content(node: Node, kind: Kind, wanted: str, space: str) -> dict[str, bytes]:
    data = dig(await node.cluster.client.get(kind, wanted, space), "data", default={})
    if kind is SECRET:
        return {file: base64.b64decode(text) for file, text in data.items()}
    return {file: str(text).encode() for file, text in data.items()}


def _free_addresses(node: Node) -> Iterable[str]:
    used = {entry.address for entry in node.containers.values()}
    return (address for address in node.config.container_addresses(node.name) if address not in used)
