"""Namespaces that are being deleted: their content goes first, then they do."""

from __future__ import annotations

import copy

from lab.client import ApiError, Object
from lab.controllers.runtime import Controller, itself
from lab.kinds import KINDS, NAMESPACE
from lab.machinery.cluster import Cluster
from lab.machinery.objects import deleting, dig

FINALIZER = "kubernetes"
RETRY_SECONDS = 1.0


async def reconcile(cluster: Cluster, where: str) -> float | None:
    """Delete everything in a terminating namespace; once it is empty, remove its finalizer. Seconds to look again."""
    space = cluster.get(NAMESPACE, where)
    if space is None or not deleting(space):
        return None
    if await _empty(cluster, where):
        await _finalize(cluster, space)
        return None
    return RETRY_SECONDS


async def _empty(cluster: Cluster, where: str) -> bool:
    """Delete what is there, as the server lists it now; returns whether there was nothing."""
    left = 0
    for kind in KINDS:
        if not kind.namespaced:
            continue
        items, _ = await cluster.client.list(kind, where)
        left += len(items)
        for item in items:
            if not deleting(item):
                await cluster.delete(kind, item)
    return left == 0


async def _finalize(cluster: Cluster, space: Object) -> None:
    if FINALIZER not in dig(space, "spec", "finalizers", default=[]):
        return
    wished = copy.deepcopy(space)
    wished["spec"]["finalizers"] = [entry for entry in wished["spec"]["finalizers"] if entry != FINALIZER]
    try:
        await cluster.client.replace(NAMESPACE, wished, subresource="finalize")
    except ApiError as error:
        if error.code != 404:
            raise


CONTROLLER = Controller("namespaces", reconcile, ((NAMESPACE, itself),))
