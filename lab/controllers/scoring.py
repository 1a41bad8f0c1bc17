"""Which of the possible nodes is best for a pod: preferences, room, spread."""

from __future__ import annotations

from lab.client import Object
from lab.controllers import selectors
from lab.controllers.load import RESOURCES, requests
from lab.controllers.scheduling import Snapshot, neighbours, term_selects
from lab.machinery.objects import dig, labels, name
from lab.machinery.quantity import parse

_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_MAX_SCORE = 100.0


def best(pod: Object, candidates: list[Object], snapshot: Snapshot) -> Object:
    """The node with the highest score; equal scores go to the first name, so that a placement can be repeated."""
    return min(candidates, key=lambda node: (-score(pod, node, snapshot), name(node)))


def score(pod: Object, node: Object, snapshot: Snapshot) -> float:
    """Preferences count their weights, soft taints cost, free room adds up to 100, likeness to present pods costs."""
    return (
        _node_preference(pod, node) + _pod_preference(pod, node, snapshot) - _soft_taints(pod, node)
        + _free_share(pod, node, snapshot) - _siblings(pod, node, snapshot)
    )


def _node_preference(pod: Object, node: Object) -> float:
    terms = dig(pod, "spec", "affinity", "nodeAffinity", _PREFERRED, default=[])
    return sum(
        float(term["weight"]) for term in terms
        if selectors.node_term_matches(term["preference"], labels(node), name(node))
    )


def _pod_preference(pod: Object, node: Object, snapshot: Snapshot) -> float:
    total = 0.0
    for kind, sign in (("podAffinity", 1), ("podAntiAffinity", -1)):
        for weighted in dig(pod, "spec", "affinity", kind, _PREFERRED, default=[]):
            term = weighted["podAffinityTerm"]
            hits = sum(term_selects(term, pod, other) for other in neighbours(term, node, snapshot))
            total += sign * float(weighted["weight"]) * hits
    return total


def _soft_taints(pod: Object, node: Object) -> float:
    soft = [taint for taint in dig(node, "spec", "taints", default=[]) if taint["effect"] == "PreferNoSchedule"]
    tolerations = dig(pod, "spec", "tolerations", default=[])
    return _MAX_SCORE * sum(not selectors.tolerated(taint, tolerations) for taint in soft)


def _free_share(pod: Object, node: Object, snapshot: Snapshot) -> float:
    """Percent of the node's cpu and memory that stays free, averaged."""
    allocatable = dig(node, "status", "allocatable", default={})
    load, wanted = snapshot.loads[name(node)], requests(pod)
    shares = []
    for resource in RESOURCES:
        room = float(parse(allocatable.get(resource, 0)))
        used = float(load.used[resource] + wanted[resource])
        shares.append(_MAX_SCORE * (room - used) / room if room else 0.0)
    return sum(shares) / len(shares)


def _siblings(pod: Object, node: Object, snapshot: Snapshot) -> float:
    """One point for each pod of the same owner kind already there: spreads what looks alike."""
    kind = dig(pod, "metadata", "ownerReferences", 0, "kind")
    return float(snapshot.loads[name(node)].owner_kinds[kind])
