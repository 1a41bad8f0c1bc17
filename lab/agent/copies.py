"""Point-in-time copies of a disk that a running guest uses, made by its QEMU (QMP blockdev-backup, sync=full).

The state is QEMU's own: a job that has ended stays (auto-dismiss off) until `finish`, so an agent that was restarted
finds its copies again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Any

from lab.agent.domain import Domain
from lab.agent.qmp import MonitorError
from lab.client import Object

log = logging.getLogger(__name__)

PREFIX = "copy-"
NODE_NAME_BYTES = 31
"""QEMU's longest node name."""
CANCEL_SECONDS = 20.0
CANCEL_POLL_SECONDS = 0.05


class CopyError(Exception):
    """There is no such copy, or no such disk; the message names it."""


async def start(domain: Domain, identity: str, volume: str, target: Mapping[str, Any]) -> None:
    """Begin to copy a volume of the guest, as it is now, into an empty volume of the same size; once per identity.

    `target` is QEMU's protocol-level block node of that volume. Raises CopyError or MonitorError; nothing stays then.
    """
    if await _job(domain, identity) is not None:
        return
    number = next((index for index, disk in enumerate(domain.spec.disks) if disk.name == volume), None)
    if number is None:
        raise CopyError(f"{domain.spec.key} has no volume {volume}")
    node = _node(identity)
    await _remove_node(domain, node)
    await domain.monitor.execute("blockdev-add", **{
        "driver": "raw", "node-name": node, "discard": "unmap", "detect-zeroes": "unmap",
        "file": {**target, "discard": "unmap"},
    })
    try:
        await domain.monitor.execute("blockdev-backup", **{
            "job-id": _job_id(identity), "device": f"disk{number}", "target": node, "sync": "full",
            "auto-dismiss": False,
        })
    except MonitorError:
        await _remove_node(domain, node)
        raise


async def state(domain: Domain, identity: str) -> Object:
    """{"status": running, completed or failed, "error", "done", "total"} of a copy; raises CopyError for none."""
    job = await _job(domain, identity)
    if job is None:
        raise CopyError(f"{domain.spec.key} makes no copy {identity}: its QEMU was restarted, or gave it up")
    status = "running"
    if job["status"] in ("concluded", "null"):
        status = "failed" if job.get("error") else "completed"
    return {
        "status": status, "error": job.get("error", ""), "done": job["current-progress"],
        "total": job["total-progress"],
    }


async def finish(domain: Domain, identity: str) -> None:
    """Let go of a copy, and of its target; one that still runs is cancelled. None at all is no error."""
    job = await _job(domain, identity)
    if job is not None:
        await _end(domain, job)
    await _remove_node(domain, _node(identity))


async def give_up(domain: Domain) -> list[str]:
    """Cancel every copy of the guest, because it is to leave; the identities of those that were not complete."""
    given_up = []
    for job in await domain.monitor.execute("query-jobs"):
        identity = str(job["id"]).removeprefix(PREFIX)
        if identity == job["id"]:
            continue
        if job["status"] != "concluded" or job.get("error"):
            given_up.append(identity)
            await finish(domain, identity)
    return given_up


async def _end(domain: Domain, job: Object) -> None:
    name = job["id"]
    if job["status"] != "concluded":
        with contextlib.suppress(MonitorError):  # it may end by itself meanwhile
            await domain.monitor.execute("job-cancel", id=name)
    async with asyncio.timeout(CANCEL_SECONDS):
        while job["status"] != "concluded":
            await asyncio.sleep(CANCEL_POLL_SECONDS)
            found = await _found(domain, name)
            if found is None:
                return
            job = found
    await domain.monitor.execute("job-dismiss", id=name)


async def _job(domain: Domain, identity: str) -> Object | None:
    return await _found(domain, _job_id(identity))


async def _found(domain: Domain, name: str) -> Object | None:
    jobs: list[Object] = await domain.monitor.execute("query-jobs")
    return next((job for job in jobs if job["id"] == name), None)


async def _remove_node(domain: Domain, node: str) -> None:
    nodes: list[Object] = await domain.monitor.execute("query-named-block-nodes", flat=True)
    if any(entry.get("node-name") == node for entry in nodes):
        await domain.monitor.execute("blockdev-del", **{"node-name": node})


def _job_id(identity: str) -> str:
    return f"{PREFIX}{identity}"


def _node(identity: str) -> str:
    return f"{PREFIX}{identity.replace('-', '')}"[:NODE_NAME_BYTES]
