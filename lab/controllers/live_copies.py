"""Copies of a volume in use, made by the QEMU that uses it: asked for, looked at and ended through the guest's node."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import aiohttp

from lab.client import ApiError, NotFoundError, Object
from lab.machinery.cluster import Cluster
from lab.machinery.objects import key, name, namespace


class CopyState(StrEnum):
    """How a copy stands."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class LiveCopyError(Exception):
    """A copy was not begun, or has come to nothing; the message says why."""


async def start(
    cluster: Cluster, instance: Object, volume: str, identity: str, target: Mapping[str, object]
) -> None:
    """Begin the copy; its content is that of this moment. Raises LiveCopyError, and nothing is copied then."""
    body = {"volume": volume, "target": dict(target)}
    try:
        await cluster.client.guest("PUT", namespace(instance), name(instance), f"copies/{identity}", body)
    except (ApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise LiveCopyError(f"QEMU of {key(instance)} does not copy volume {volume}: {error}") from error


async def state(cluster: Cluster, where: str, guest: str, identity: str) -> tuple[CopyState, str]:
    """The state and QEMU's error of a copy; one that nobody makes any more has failed.

    Raises OSError or aiohttp.ClientError when the node does not answer.
    """
    try:
        found = await cluster.client.guest("GET", where, guest, f"copies/{identity}")
    except NotFoundError as error:
        return CopyState.FAILED, error.message
    return CopyState(found["status"]), str(found.get("error") or "")


async def finish(cluster: Cluster, where: str, guest: str, identity: str) -> None:
    """Let go of a copy, which is cancelled when it still runs; one that is not there is no error."""
    try:
        await cluster.client.guest("DELETE", where, guest, f"copies/{identity}")
    except NotFoundError:
        return
