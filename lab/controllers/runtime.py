"""Runs controllers: informers feed their queues, one worker each calls their reconcile function."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from lab.client import ApiError, Client, ConflictError, Informer, NotFoundError, Object
from lab.config import LabConfig
from lab.kinds import EVENT, KINDS, Kind
from lab.machinery.cluster import Cluster
from lab.machinery.events import Recorder
from lab.machinery.objects import key
from lab.machinery.queue import WorkQueue

log = logging.getLogger(__name__)

Reconcile = Callable[[Cluster, str], Awaitable[float | None]]
"""Bring the object of a key to its desired state; returns seconds after which to look again, or None."""

Keys = Callable[[Cluster, Object], Iterable[str]]
"""The keys that a changed object concerns."""

WATCHED_KINDS = tuple(kind for kind in KINDS if kind is not EVENT)


def itself(_: Cluster, item: Object) -> Iterable[str]:
    return (key(item),)


@dataclass(frozen=True, slots=True)
class Controller:
    """A reconcile function, and which changes of which kinds concern which of its keys."""

    name: str
    reconcile: Reconcile
    watches: tuple[tuple[Kind, Keys], ...]
    deletions_only: bool = False
    initial_keys: tuple[str, ...] = ()


async def run(config: LabConfig, client: Client, controllers: Sequence[Controller],
              ready: Callable[[Cluster], Coroutine[Any, Any, None]] | None = None,
              kinds: Sequence[Kind] = WATCHED_KINDS) -> None:
    """Run the controllers until cancelled, with a view of these kinds; an error of the runtime itself ends all."""
    informers = {kind: Informer(client, kind) for kind in kinds}
    recorder = Recorder(client)
    cluster = Cluster(client, config, informers, recorder)
    for kind, informer in informers.items():
        informer.add_handler(_forgetter(cluster, kind))
    queues = [_feed(cluster, informers, controller) for controller in controllers]
    async with asyncio.TaskGroup() as tasks:
        for informer in informers.values():
            tasks.create_task(informer.run())
        tasks.create_task(recorder.run())
        for informer in informers.values():
            await informer.synced.wait()
        log.info("%d kinds listed, %d controllers start", len(informers), len(controllers))
        for controller, queue in zip(controllers, queues, strict=True):
            tasks.create_task(_work(cluster, controller, queue), name=controller.name)
        if ready:
            tasks.create_task(ready(cluster))


def _forgetter(cluster: Cluster, kind: Kind) -> Callable[[str, Object], None]:
    def forget(event: str, item: Object) -> None:
        if event == "DELETED":
            cluster.seen_deleted(kind, item)
    return forget


def _feed(cluster: Cluster, informers: dict[Kind, Informer], controller: Controller) -> WorkQueue:
    queue = WorkQueue()
    for kind, keys in controller.watches:
        informers[kind].add_handler(_feeder(cluster, controller, queue, keys))
    for entry in controller.initial_keys:
        queue.add(entry)
    return queue


def _feeder(cluster: Cluster, controller: Controller, queue: WorkQueue, keys: Keys) -> Callable[[str, Object], None]:
    def feed(event: str, item: Object) -> None:
        if controller.deletions_only and event != "DELETED":
            return
        for entry in keys(cluster, item):
            queue.add(entry)
    return feed


async def _work(cluster: Cluster, controller: Controller, queue: WorkQueue) -> None:
    while True:
        entry = await queue.next()
        try:
            again = await controller.reconcile(cluster, entry)
        except (ConflictError, NotFoundError) as error:
            log.debug("%s %s: %s", controller.name, entry, error)
            queue.retry(entry)
        except (aiohttp.ClientError, ApiError, TimeoutError, OSError) as error:
            delay = queue.retry(entry)
            log.info("%s %s: %s; again in %.2f s", controller.name, entry, error, delay)
        except Exception:  # one object that breaks its reconcile must not stop the others; logged and retried
            delay = queue.retry(entry)
            log.exception("%s %s failed; again in %.2f s", controller.name, entry, delay)
        else:
            queue.forget(entry)
            if again is not None:
                queue.add_after(entry, again)
