"""Claims on nodes through Lease objects, so that neither two workers nor two runs on one cluster disturb each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from drainproof.allowed import Allowed
from drainproof.api import LEASES, NODES, Cluster, Object
from drainproof.clock import Clock, SystemClock
from drainproof.errors import ConflictError
from drainproof.interruption import RunStoppedError
from drainproof.journal import Journal
from drainproof.node import takes_machines

CONTROL_NAMESPACE = "default"
"""Where claims are kept unless the target says otherwise; all who share a cluster have to agree on it."""
PREFIX = "drainproof-node-"
DURATION_SECONDS = 60
"""A claim that was not renewed for so long is free to others: its holder is dead. Longer than any fault of the API."""
RENEWALS = 4
"""How often a claim is renewed within its duration."""
LOOK_SECONDS = 0.5
"""How often those who wait look for free nodes."""


class ClaimLostError(RunStoppedError):
    """A node that was claimed is so no more: what was seen on it proves nothing, and it may be somebody else's."""

    def __init__(self, node: str, reason: str, holder: str = "") -> None:
        super().__init__(reason)
        self.node, self.holder = node, holder
        """The holder is who has the node by now; empty when nobody has."""


def system_now() -> datetime:
    """The wall clock: leases are shared with other machines."""
    return datetime.now(UTC)


def nodes_in_use(
    cluster: Cluster, now: Callable[[], datetime] = system_now, namespace: str = CONTROL_NAMESPACE
) -> dict[str, str]:
    """The nodes that are claimed at the moment, each with its holder, as far as this machine's wall clock can tell.

    Good enough to tell people, and to count nodes; nothing is taken from anybody by it.
    """
    leases = [lease for lease in cluster.items(LEASES, namespace) if node_of(lease)]
    return {node_of(lease): holder_of(lease) for lease in leases if not is_stale(lease, now())}


def usable_nodes(
    cluster: Cluster, allowed: Allowed | None = None, namespace: str = CONTROL_NAMESPACE
) -> list[str]:
    """The nodes that take machines, or will again once those who disturb them just now are done.

    With `allowed` only those that a run may disturb.
    """
    held = nodes_in_use(cluster, namespace=namespace)
    nodes = [node for node in cluster.items(NODES) if allowed is None or allowed.permits(node)]
    return [node["metadata"]["name"] for node in nodes if takes_machines(node) or node["metadata"]["name"] in held]


@dataclass
class Looks:
    """What one who wants a node has seen of the leases of others: dead is whose holder has not renewed it all the time.

    Measured on this process' own steady clock, from the first look at it to the last: the times in a lease are those of
    another machine's wall clock, which may be minutes off. Time in which nobody looked does not count, because the
    holder may have met the same trouble of the API; who looks has to look more often than a lease is renewed.
    """

    clock: Clock = field(default_factory=SystemClock)
    _seen: dict[str, tuple[object, int, int]] = field(default_factory=dict)
    """By name: what its holder changes by renewing it, when that was first seen, and when last."""

    def is_dead(self, lease: Object) -> bool:
        """Take a look at a lease: whether it was seen unchanged for as long as its holder said it would last."""
        name, spec, now = lease["metadata"]["name"], lease.get("spec") or {}, self.clock.monotonic_ns()
        seconds = float(spec.get("leaseDurationSeconds") or DURATION_SECONDS)
        beat = lease["metadata"].get("resourceVersion"), spec.get("holderIdentity"), spec.get("renewTime")
        before, since, last = self._seen.get(name, (None, now, now))
        if before != beat or now - last > seconds / RENEWALS * 1e9:
            since = now
        self._seen[name] = beat, since, now
        return now - since > seconds * 1e9


@dataclass(frozen=True)
class NodeClaims:
    """What one holder claims of a cluster's nodes. Every claim is a Lease that only its holder may renew or remove."""

    cluster: Cluster
    holder: str
    """Names the run and the case."""
    journal: Journal
    now: Callable[[], datetime] = field(default=system_now, repr=False)
    allowed: Allowed = field(kw_only=True)
    """No other node is ever claimed."""
    namespace: str = field(default=CONTROL_NAMESPACE, kw_only=True)
    seconds: float = field(default=DURATION_SECONDS, kw_only=True)
    """How long a claim that is not renewed lasts; all of one cluster may differ in it: each lease says its own."""
    alone: bool = field(default=False, kw_only=True)
    """Whether nobody else may hold any node, allowed or not: what is disturbed is everybody's."""
    busy: Callable[[], Collection[str]] = field(default=tuple, kw_only=True)
    """The nodes that somebody else's machines are on: they are not claimed."""
    looks: Looks = field(default_factory=Looks, kw_only=True, repr=False)
    """By which the claims of the dead are known."""

    def others(self) -> dict[str, str]:
        """The nodes that others hold at the moment, each with its holder."""
        leases = [lease for lease in self.cluster.items(LEASES, self.namespace) if node_of(lease)]
        live = [lease for lease in leases if holder_of(lease) != self.holder and not self.looks.is_dead(lease)]
        return {node_of(lease): holder_of(lease) for lease in live}

    def take(self, count: int) -> tuple[str, ...]:
        """Claim that many schedulable nodes, or none: then the result is empty.

        Whoever finds that somebody was faster gives back what he has. As everybody goes by name, the other one holds a
        later node than any of these and is not waiting for them: two claimants never starve each other.
        """
        taken_by_others = self.others()
        if self.alone and taken_by_others:
            return ()
        found = [node for node in self.cluster.items(NODES) if takes_machines(node) and self.allowed.permits(node)]
        free = sorted({node["metadata"]["name"] for node in found} - set(taken_by_others))
        # Where there are too few anyway, nobody need look at all machines of the cluster.
        free = sorted(set(free) - set(self.busy()))[:count] if len(free) >= count else []
        if len(free) < count:
            return ()
        taken: list[str] = []
        try:
            for name in free:
                self._take(name)
                taken.append(name)
        except ConflictError:
            self.release(taken)
            return ()
        except BaseException:
            self.release(taken)
            raise
        return tuple(taken)

    def renew(self, node: str) -> None:
        """Say that the holder lives; raises ClaimLostError when the lease is somebody else's, or was removed.

        Who removes it has taken the run for dead, as a cleanup may, or wants it off the node.
        """
        lease = self.cluster.find(LEASES, PREFIX + node, self.namespace)
        if lease is None or holder_of(lease) != self.holder:
            raise self._lost(node, lease)
        lease["spec"]["renewTime"] = stamp(self.now())
        try:
            self.cluster.update(LEASES, lease, self.namespace)
        except ConflictError as error:
            found = self.cluster.find(LEASES, PREFIX + node, self.namespace)
            if found is None or holder_of(found) != self.holder:
                raise self._lost(node, found) from error
            raise  # labelled or annotated by somebody meanwhile: it is renewed the next time

    def _lost(self, node: str, lease: Object | None) -> ClaimLostError:
        other = holder_of(lease) if lease is not None else ""
        seen = f"is held by {other} now: the node is left to it" if other else "was removed by somebody"
        return ClaimLostError(
            node, f"Lease {PREFIX}{node} in namespace {self.namespace}, by which {self.holder} claimed node {node} for "
            f"{self.seconds:g} s at a time, {seen}; the run is stopped. Repeat it; where this host loses the API for "
            "longer, raise budgets.lease of the profile.", other,
        )

    def release(self, nodes: Sequence[str]) -> None:
        """Give nodes back; those that are held by others by now are left alone."""
        for node in nodes:
            lease = self.cluster.find(LEASES, PREFIX + node, self.namespace)
            if lease is not None and holder_of(lease) == self.holder:
                self.cluster.delete(LEASES, PREFIX + node, self.namespace)
            self.journal.removed(self._path(node))

    def _take(self, node: str) -> None:
        """Raises ConflictError when somebody else was faster."""
        stale = self.cluster.find(LEASES, PREFIX + node, self.namespace)
        self.journal.creating(self._path(node))
        try:
            if stale is None:
                self.cluster.create(LEASES, self._lease(node), self.namespace)
            elif holder_of(stale) == self.holder or self.looks.is_dead(stale):
                stale["spec"] = self._lease(node)["spec"]
                self.cluster.update(LEASES, stale, self.namespace)
            else:
                raise ConflictError(f"claim of node {node}", 409, "AlreadyExists", f"held by {holder_of(stale)}")
        except ConflictError:
            self.journal.removed(self._path(node))
            raise

    def _path(self, node: str) -> str:
        return LEASES.path(self.namespace, PREFIX + node)

    def _lease(self, node: str) -> Object:
        now = stamp(self.now())
        spec = {
            "holderIdentity": self.holder, "leaseDurationSeconds": math.ceil(self.seconds),
            "acquireTime": now, "renewTime": now,
        }
        return {"metadata": {"name": PREFIX + node, "labels": {"app": "drainproof"}}, "spec": spec}


def is_stale(lease: Object, now: datetime) -> bool:
    """Whether its holder has not renewed it for longer than he said he would, if his clock and this one agree."""
    spec = lease.get("spec") or {}
    renewed, seconds = spec.get("renewTime"), spec.get("leaseDurationSeconds", DURATION_SECONDS)
    return not renewed or datetime.fromisoformat(renewed) + timedelta(seconds=seconds) < now


def node_of(lease: Object) -> str:
    name = str(lease["metadata"]["name"])
    return name.removeprefix(PREFIX) if name.startswith(PREFIX) else ""


def holder_of(lease: Object) -> str:
    return str((lease.get("spec") or {}).get("holderIdentity") or "")


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
