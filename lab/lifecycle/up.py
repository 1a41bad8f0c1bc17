"""Starting a lab: checks first, then everything, and on any failure nothing stays."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import aiohttp

from lab import image, pki, processes, storage
from lab.agent import container, volumes
from lab.client import ApiError, Client
from lab.config import CLIENT_ADDRESS, PROMETHEUS_PORT, REDFISH_USER, LabConfig
from lab.image import GuestImage, ImageError
from lab.kinds import STORAGE_CLASS
from lab.lifecycle import (
    acceleration,
    checks,
    daemons,
    health_check,
    leftovers,
    lock,
    snapshot_classes,
    storage_profiles,
    storage_servers,
)
from lab.lifecycle.errors import LifecycleError, RequirementsError
from lab.lifecycle.interruption import Interruptions
from lab.monitoring import prometheus
from lab.net import namespaces, topology

log = logging.getLogger(__name__)

Progress = Callable[[str], None]
VM_MEMORY = "512Mi"
POOL = tuple(f"10.77.1.{host}" for host in range(10, 100))


def up(config: LabConfig, progress: Progress) -> dict[str, object]:
    """Start the lab, or find it running with the same settings; returns the facts about it.

    Raises RequirementsError with all that this machine lacks, LifecycleError when something did not start; whatever
    had been started is gone then. An interruption (KeyboardInterrupt) comes only where the start waits; once the lab is
    up, or is being removed, it comes too late.
    """
    found = checks.problems(config)
    if found:
        raise RequirementsError(found)
    with lock.exclusive(config.name):
        begun = time.monotonic()
        guest = _guest_image(config, progress)
        storage_servers.unpack(config, progress)
        config = replace(config, accelerator=acceleration.choose(config, guest))
        interruptions = Interruptions()
        interruptions.postpone()
        there = running(config, interruptions)
        if there:
            progress(f"lab {config.name} is up already")
            return facts(there, guest)
        if others := settings_in_the_way(config):
            progress(f"lab {config.name} is up with other settings, and is replaced: {others}")
        left = leftovers.find(config.name, config.state)
        if left:
            progress(f"removing what an earlier lab {config.name} left: {left.sentence()}")
            leftovers.remove(config.name, config.state, keep_lock=True)
        try:
            _start(config, guest, interruptions, progress)
        except BaseException:  # whatever ended the start, Ctrl-C included, nothing of it may stay; re-raised below
            progress("the lab did not start; removing what there is of it")
            logs = _save_logs(config)
            if logs:
                progress(f"its logs are in {logs}")
            leftovers.remove(config.name, config.state)
            raise
        interruptions.end()
        progress(f"lab {config.name} is up, after {time.monotonic() - begun:.1f} s")
        return facts(config, guest)


def running(config: LabConfig, interruptions: Interruptions) -> LabConfig | None:
    """The lab with these settings that runs and is healthy in every part; it may have more storage servers."""
    try:
        there = LabConfig.load(config.config_file)
        same = replace(there, owner=config.owner, storage=config.storage) == config
        if processes.is_orphan(there.owner) or not same or not set(config.storage) <= set(there.storage):
            return None
        if daemons.missing(there) or not interruptions.run(lambda: _healthy(there)):
            return None
    except (OSError, ValueError, TypeError, KeyError, ApiError, aiohttp.ClientError):
        return None
    return there


def settings_in_the_way(config: LabConfig) -> str:
    """How a whole lab of that name, up for somebody, differs from what is asked for; empty: there is none that does."""
    try:
        there = LabConfig.load(config.config_file)
        if processes.is_orphan(there.owner) or daemons.missing(there):
            return ""
    except (OSError, ValueError, TypeError, KeyError):
        return ""
    has, wanted = asdict(there), asdict(config)
    has["storage"] = tuple(there.storage)
    if set(config.storage) <= set(there.storage):
        has["storage"] = wanted["storage"]  # more servers than were asked for are in nobody's way
    return ", ".join(
        f"{key} {_plain(has[key])} instead of {_plain(wanted[key])}" for key in wanted
        if key != "owner" and has[key] != wanted[key]
    )


def _plain(value: object) -> str:
    return (",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)) or "none"


def facts(config: LabConfig, guest: GuestImage) -> dict[str, object]:
    """What a user of the lab has to know about it."""
    return {
        "name": config.name,
        "kubeconfig": str(config.kubeconfig),
        "state_dir": config.state_dir,
        "client_exec": _inside(config, "client"),
        "client_address": CLIENT_ADDRESS,
        "client_image": f"{container.IMAGE}:here" if config.clients else "",
        "vantages": [{"name": node, "exec": _inside(config, node)} for node in config.nodes],
        "prometheus": {"namespace": "monitoring", "service": f"prometheus:{PROMETHEUS_PORT}"},
        "address_pool": list(POOL),
        "guest_image": f"drainproof/guest:{guest.tag}",
        "guest_kernel": True,
        "storage_classes": {"shared": storage.SHARED_CLASS, "local": storage.LOCAL_CLASS},
        "storage_servers": storage_servers.facts(config),
        "emulated": config.accelerator != "kvm",
        "vm_memory": VM_MEMORY,
        "power": {
            "driver": "redfish", "url": config.redfish_url, "user": REDFISH_USER,
            "password_file": str(config.redfish_password_file), "ca_file": str(config.ca_file),
        },
        "api_chaos": {},
        "timers": {
            "node_grace_seconds": config.node_grace_seconds, "toleration_seconds": config.toleration_seconds,
            "unhealthy_seconds": config.unhealthy_seconds,
        },
    }


def facts_of(config: LabConfig) -> dict[str, object]:
    """The facts about a lab that is up, whatever its settings; it is only looked at."""
    return facts(config, _guest_image(config, lambda _: None))


def _inside(config: LabConfig, role: str) -> list[str]:
    """What a command begins with to run in a namespace of the lab, from wherever on this machine."""
    return ["nsenter", f"--net={namespaces.DIRECTORY / config.namespace(role)}"]


def _guest_image(config: LabConfig, progress: Progress) -> GuestImage:
    try:
        return image.ensure(config.cache, progress)
    except ImageError as error:
        raise LifecycleError(str(error)) from error


async def _healthy(config: LabConfig) -> bool:
    """Nodes are not asked: one may be without power, cut off, or just booting, because somebody tests exactly that."""
    return await daemons.api_healthy(config) and await daemons.prometheus_ready(config)


def _client(config: LabConfig) -> Client:
    return Client(config.server_url, config.ca_file, config.token_file.read_text().strip(), "lab-lifecycle")


def _start(config: LabConfig, guest: GuestImage, interruptions: Interruptions, progress: Progress) -> None:
    config.run.mkdir(parents=True, exist_ok=True)
    # Before anything is in the state directory, a cleanup has to know where that is.
    (config.run / leftovers.STATE_LINK).symlink_to(config.state)
    config.save()
    volumes.image_link(config).symlink_to(guest.directory)
    pki.ensure(config)
    progress("network")
    topology.create(config)
    interruptions.run(lambda: _start_processes(config, progress))


async def _start_processes(config: LabConfig, progress: Progress) -> None:
    """Everything starts at once, for each part waits by itself for what it needs; then readiness, in order."""
    progress("processes")
    servers = asyncio.create_task(storage_servers.start(config, progress))
    try:
        await _start_cluster(config, progress)
        await servers
    finally:
        servers.cancel()
        with contextlib.suppress(asyncio.CancelledError, LifecycleError):
            await servers


async def _start_cluster(config: LabConfig, progress: Progress) -> None:
    pids = [daemons.start_dhcp(config), daemons.start_api(config), daemons.start_controllers(config)]
    pids += [daemons.start_agent(config, node) for node in config.every_node]
    pids += [daemons.start_prometheus(config), daemons.start_redfish(config)]
    await daemons.wait_for("API server", lambda: daemons.api_healthy(config), pids[1:2], config.logs("api"))
    async with _client(config) as client:
        await _create_objects(config, client)
        progress("nodes")

        async def nodes_ready() -> bool:
            return await daemons.ready_nodes(client) == sorted(config.every_node)

        await daemons.wait_for("nodes", nodes_ready, pids, config.state / "logs")
        await daemons.wait_for("Redfish", lambda: daemons.redfish_ready(config), pids, config.logs("redfish"))
        progress("Prometheus")
        await daemons.wait_for(
            "Prometheus", lambda: daemons.prometheus_ready(config), pids, config.logs("prometheus")
        )


async def _create_objects(config: LabConfig, client: Client) -> None:
    classes = [(STORAGE_CLASS, body) for body in storage.storage_classes(config)]
    classes += [*snapshot_classes.objects(config), *storage_profiles.objects(config)]
    for kind, body in [*classes, *health_check.objects(config), *prometheus.monitoring_objects(config)]:
        await client.create(kind, body)


def _save_logs(config: LabConfig) -> Path | None:
    """Keep the logs of a start that failed, where the next start of the same lab does not remove them."""
    source = config.state / "logs"
    if not source.is_dir():
        return None
    target = config.cache / "failed-start" / config.name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, dirs_exist_ok=True)
    return target
