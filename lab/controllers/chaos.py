"""Chaos Mesh's controllers: select, inject, keep time, recover; for NetworkChaos and for HTTPChaos on the API server.

Unlike Chaos Mesh, the lab remembers the addresses of what was selected: a guest that is migrated stays hit. What an
HTTPChaos does is done by the API server itself, which believes the records written here.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable

from lab.chaos import experiment
from lab.chaos.experiment import FINALIZER, NOT_INJECTED, RUN, SOURCE, TARGET
from lab.chaos.plane import Plane
from lab.chaos.rules import Injection, Peer
from lab.chaos.selection import select
from lab.client import Object
from lab.config import LabConfig
from lab.controllers.addresses import IP_ANNOTATION, MAC_ANNOTATION
from lab.controllers.runtime import Controller, itself
from lab.kinds import HTTP_CHAOS, NETWORK_CHAOS, NODE, POD, Kind
from lab.machinery.cluster import Cluster
from lab.machinery.objects import (
    add_finalizer,
    annotations_of,
    deleting,
    dig,
    drop_finalizer,
    finalizers,
    key,
    labels,
    namespace,
    now,
)

COMPONENT = "chaos-controller-manager"
PEERS_ANNOTATION = "lab.drainproof.dev/peers"
"""What was selected: for each selector a list of [address, MAC]."""
API_SERVER = {"component": "kube-apiserver"}
RESELECT_SECONDS = 2.0
_QUEUE = "experiments"


class NetworkExperiments:
    """Reconciles NetworkChaos; the plane has the rules of all experiments at once."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    async def reconcile(self, cluster: Cluster, where: str) -> float | None:
        """Bring one experiment, and with it the rules, up to date; seconds until its end."""
        item = cluster.get(NETWORK_CHAOS, where)
        if item is None:
            await self._plane.apply(_injections(cluster.list(NETWORK_CHAOS)))
            return None
        wished = copy.deepcopy(item)
        chosen = _choose(cluster, wished)
        running = _prepare(cluster, NETWORK_CHAOS, item, wished, chosen)
        others = [other for other in cluster.list(NETWORK_CHAOS) if key(other) != where]
        await self._plane.apply(_injections([*others, wished]))
        return await _conclude(cluster, NETWORK_CHAOS, item, wished, running)


async def reconcile_http(cluster: Cluster, where: str) -> float | None:
    """Bring one HTTPChaos up to date; the API server begins and ends with what is written here, or with the time."""
    item = cluster.get(HTTP_CHAOS, where)
    if item is None:
        return None
    wished = copy.deepcopy(item)
    chosen = {SOURCE: [pod for pod in _pods(cluster, item["spec"], item) if labels(pod).items() >= API_SERVER.items()]}
    running = _prepare(cluster, HTTP_CHAOS, item, wished, chosen)
    return await _conclude(cluster, HTTP_CHAOS, item, wished, running)


def _pods(cluster: Cluster, chooser: Object, item: Object) -> list[Object]:
    return select(chooser, namespace(item), cluster.list(POD), cluster.list(NODE))


def _choose(cluster: Cluster, item: Object) -> dict[str, list[Object]]:
    """The pods that the selectors find, and their addresses noted on the object; the first choice stays."""
    if experiment.records(item):
        return {}
    spec = item["spec"]
    choosers = {SOURCE: spec} | ({TARGET: spec["target"]} if spec.get("target") else {})
    chosen = {
        selector: [pod for pod in _pods(cluster, chooser, item) if _peer(pod).address]
        for selector, chooser in choosers.items()
    }
    peers = {
        selector: sorted({(_peer(pod).address, _peer(pod).mac) for pod in pods}) for selector, pods in chosen.items()
    }
    if all(chosen.values()):
        item["metadata"].setdefault("annotations", {})[PEERS_ANNOTATION] = json.dumps(peers)
    return chosen


def _peer(pod: Object) -> Peer:
    marks = annotations_of(pod)
    return Peer(marks.get(IP_ANNOTATION) or str(dig(pod, "status", "podIP", default="")), marks.get(MAC_ANNOTATION, ""))


def _injections(items: Iterable[Object]) -> list[Injection]:
    """What should be in force now."""
    found = []
    for item in items:
        text = annotations_of(item).get(PEERS_ANNOTATION)
        if text and experiment.desired_phase(item, now()) == RUN:
            peers = json.loads(text)
            sources, targets = (tuple(Peer(*entry) for entry in peers.get(of, [])) for of in (SOURCE, TARGET))
            found.append(Injection(item["spec"], sources, targets))
    return found


def _prepare(cluster: Cluster, kind: Kind, item: Object, wished: Object, chosen: dict[str, list[Object]]) -> bool:
    """Finalizer, and records of what was chosen; returns whether the experiment should run now."""
    running = experiment.desired_phase(wished, now()) == RUN
    if not deleting(wished):
        add_finalizer(wished, FINALIZER)
    if running and not experiment.records(wished):
        if chosen and all(chosen.values()):
            entries = [(selector, key(pod)) for selector, pods in chosen.items() for pod in pods]
            state = wished.setdefault("status", {}).setdefault("experiment", {})
            state["containerRecords"] = experiment.new_records(entries)
        elif not dig(item, "status", "conditions"):
            text = "Failed to select targets: no target has been selected"
            cluster.event(kind, item, "Warning", "Failed", text, COMPONENT)
    return running


async def _conclude(cluster: Cluster, kind: Kind, item: Object, wished: Object, running: bool) -> float | None:
    """Write down what is in force now; seconds after which to look again."""
    experiment.set_phases(wished, experiment.INJECTED if running else NOT_INJECTED)
    experiment.set_status(wished, RUN if running else experiment.STOP)
    if deleting(wished) and FINALIZER in finalizers(wished):
        drop_finalizer(wished, FINALIZER)
    await cluster.update(kind, item, wished)
    if not running:
        return None
    if not experiment.records(wished):
        return RESELECT_SECONDS
    left = experiment.seconds_left(wished, now())
    return max(left, 0.0) if left is not None else None


def controllers(config: LabConfig) -> list[Controller]:
    """The controllers of both kinds; rules that an earlier process has left are replaced at the start."""
    plane = Plane([config.namespace(node) for node in config.nodes])
    return [
        Controller(
            "network-chaos", NetworkExperiments(plane).reconcile, ((NETWORK_CHAOS, itself),), initial_keys=(_QUEUE,)
        ),
        Controller("http-chaos", reconcile_http, ((HTTP_CHAOS, itself),)),
    ]
