"""The heartbeat of a run: a Lease that is renewed while the run lives, so that nobody undoes a run that goes on."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from drainproof.api import LEASES, Cluster
from drainproof.clock import Clock, SystemClock
from drainproof.errors import ApiError, ConflictError
from drainproof.journal.copy import PREFIX
from drainproof.leases import DURATION_SECONDS, RENEWALS, holder_of, is_stale, stamp, system_now
from drainproof.leases import PREFIX as NODE_PREFIX
from drainproof.resources import Object
from drainproof.wait import Deadline, pause

log = logging.getLogger(__name__)

LOOK_AGAIN = 1.0
"""After so many of its durations a lease of one who lives has been renewed, whatever trouble he met."""
LONGEST_LOOK_SECONDS = 600.0
"""A lease that lasts longer than anybody waits for is not taken for dead."""


@dataclass(frozen=True)
class Heartbeat:
    """The heartbeat of one run."""

    cluster: Cluster
    namespace: str
    run_id: str
    seconds: float
    """After so long without a renewal the run is dead."""
    now: Callable[[], datetime] = field(default=system_now, repr=False)

    @property
    def name(self) -> str:
        return f"{PREFIX}{self.run_id}"

    def begin(self) -> None:
        """Create it; raises ApiError when the account may not."""
        try:
            self.cluster.create(LEASES, self._lease(), self.namespace)
        except ConflictError:
            self.renew()

    def renew(self) -> None:
        """Say that the run lives; one that was removed is made again."""
        found = self.cluster.find(LEASES, self.name, self.namespace)
        if found is None:
            self.cluster.create(LEASES, self._lease(), self.namespace)
            return
        found["spec"]["renewTime"] = stamp(self.now())
        self.cluster.update(LEASES, found, self.namespace)

    def remove(self) -> None:
        """The run is over."""
        self.cluster.delete(LEASES, self.name, self.namespace)

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Renewed for the length of a block, whatever the API does meanwhile; afterwards it is left as it is."""
        stop = threading.Event()
        thread = threading.Thread(target=self._beat, args=(stop,), name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _beat(self, stop: threading.Event) -> None:
        while not stop.wait(self.seconds / RENEWALS):
            try:
                self.renew()
            except ApiError as error:
                log.info("the heartbeat of run %s could not be renewed yet: %s", self.run_id, error)

    def _lease(self) -> Object:
        now = stamp(self.now())
        spec = {
            "holderIdentity": self.run_id, "leaseDurationSeconds": math.ceil(self.seconds), "acquireTime": now,
            "renewTime": now,
        }
        return {"metadata": {"name": self.name, "labels": {"app": "drainproof"}}, "spec": spec}


@dataclass(frozen=True)
class Pulses:
    """The leases of all runs, and which of them nobody renews any more."""

    leases: Mapping[str, Object]
    """By name: heartbeats and claims of nodes."""
    dead: frozenset[str]

    def is_alive(self, run_id: str) -> bool:
        """Whether a lease of the run is renewed."""
        return any(run_of_lease(lease) == run_id and name not in self.dead for name, lease in self.leases.items())

    @property
    def runs(self) -> list[str]:
        """The runs that have leases."""
        return sorted({run_of_lease(lease) for lease in self.leases.values()})

    def holder(self, node: str) -> str:
        """Who claims a node and lives; empty when nobody does."""
        name = f"{NODE_PREFIX}{node}"
        return holder_of(self.leases[name]) if name in self.leases and name not in self.dead else ""


def run_of_lease(lease: Object) -> str:
    """The run that a heartbeat or a claim belongs to; a claim's holder is `run/case`."""
    return holder_of(lease).partition("/")[0]


def pulses(
    cluster: Cluster, namespace: str, now: Callable[[], datetime] = system_now, clock: Clock | None = None
) -> Pulses:
    """Look at the leases of all runs, and at those that seem dead again after a while.

    The clocks of those who renew may differ from this one: dead is only who has not renewed between two looks either,
    which are as far apart as his lease lasts.
    """
    first = _leases(cluster, namespace)
    stale = {name: lease for name, lease in first.items() if is_stale(lease, now())}
    if not stale:
        return Pulses(first, frozenset())
    stale = {name: lease for name, lease in stale.items() if _lasts(lease) <= LONGEST_LOOK_SECONDS}
    seconds = LOOK_AGAIN * max(map(_lasts, stale.values()), default=0.0)
    pause(seconds, Deadline(seconds, clock or SystemClock()))
    second = _leases(cluster, namespace)
    dead = {name for name, lease in stale.items() if name in second and _renewed(second[name]) == _renewed(lease)}
    return Pulses(second, frozenset(dead))


def other_holder(
    cluster: Cluster, namespace: str, run_id: str, node: str, look: Callable[[Cluster, str], Pulses] = pulses
) -> str:
    """Who else than a run claims a node and lives, at the moment; empty when nobody does."""
    lease = cluster.find(LEASES, f"{NODE_PREFIX}{node}", namespace)
    if lease is None or run_of_lease(lease) == run_id:
        return ""
    return look(cluster, namespace).holder(node)


def _lasts(lease: Object) -> float:
    return float((lease.get("spec") or {}).get("leaseDurationSeconds") or DURATION_SECONDS)


def _leases(cluster: Cluster, namespace: str) -> dict[str, Object]:
    found = {str(item["metadata"]["name"]): item for item in cluster.items(LEASES, namespace)}
    return {name: item for name, item in found.items() if name.startswith((PREFIX, NODE_PREFIX))}


def _renewed(lease: Object) -> object:
    spec = lease.get("spec") or {}
    return spec.get("holderIdentity"), spec.get("renewTime")
