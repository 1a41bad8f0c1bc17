"""Events expire an hour after they were last told."""

from __future__ import annotations

from lab.controllers.runtime import Controller
from lab.kinds import EVENT
from lab.machinery.cluster import Cluster
from lab.machinery.objects import age

LIFETIME_SECONDS = 3600.0
PERIOD_SECONDS = 300.0


async def reconcile(cluster: Cluster, _: str) -> float | None:
    """Delete the events that are too old; seconds until the next look."""
    events, _version = await cluster.client.list(EVENT)
    for event in events:
        told = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"]
        if age(told) > LIFETIME_SECONDS:
            await cluster.delete(EVENT, event)
    return PERIOD_SECONDS


CONTROLLER = Controller("expiry", reconcile, (), initial_keys=("events",))
