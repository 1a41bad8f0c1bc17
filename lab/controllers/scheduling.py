"""Where a pod may run: the scheduler's filters, as pure functions over a snapshot of nodes, pods and volumes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lab.client import Object
from lab.controllers import selectors
from lab.controllers.load import RESOURCES, Load, requests, required_terms
from lab.machinery.objects import deleting, dig, final, labels, name, namespace, node_name
from lab.machinery.quantity import parse

UNSCHEDULABLE_TAINT = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
DEFAULT_MAX_PODS = 110

NOT_CORDONED = "node(s) were unschedulable"
TAINTED = "node(s) had untolerated taint(s)"
UNSELECTED = "node(s) didn't match Pod's node affinity/selector"
VOLUME_ELSEWHERE = "node(s) had volume node affinity conflict"
AFFINITY = "node(s) didn't match pod affinity rules"
ANTI_AFFINITY = "node(s) didn't match pod anti-affinity rules"
EXISTING_ANTI_AFFINITY = "node(s) didn't satisfy existing pods anti-affinity rules"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one node cannot take the pod; `curable` when fewer pods on it could help."""

    reasons: tuple[str, ...]
    curable: bool = False


@dataclass(frozen=True)
class Snapshot:
    """What placement depends on: nodes, what is bound to each of them by name, and the volumes of the pod to place."""

    nodes: Sequence[Object]
    loads: Mapping[str, Load]
    volumes: Sequence[Object] = ()
    """The PersistentVolumes that the pod's claims are bound to."""
    _domains: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    @classmethod
    def of(cls, nodes: Sequence[Object], pods: Iterable[Object], volumes: Sequence[Object] = ()) -> Snapshot:
        """A snapshot of these pods, on whichever nodes they are."""
        grouped: dict[str, list[Object]] = {name(node): [] for node in nodes}
        for pod in pods:
            if node_name(pod) in grouped and not final(pod):
                grouped[node_name(pod)].append(pod)
        return cls(nodes, {node: Load(present) for node, present in grouped.items()}, volumes)

    def domain(self, topology: str, node: Object) -> Sequence[str]:
        """The names of the nodes that share the node's value of a topology label; none without that label."""
        if topology not in self._domains:
            found = self._domains[topology] = {}
            for other in self.nodes:
                if topology in labels(other):
                    found.setdefault(labels(other)[topology], []).append(name(other))
        return self._domains[topology].get(labels(node).get(topology, ""), ())


def fits(pod: Object, node: Object, snapshot: Snapshot) -> Refusal | None:
    """The first filter that refuses the node, in the order of the real scheduler; None when all agree."""
    tolerations = dig(pod, "spec", "tolerations", default=[])
    if dig(node, "spec", "unschedulable") and not selectors.tolerated(UNSCHEDULABLE_TAINT, tolerations):
        return Refusal((NOT_CORDONED,))
    if _untolerated(node, tolerations):
        return Refusal((TAINTED,))
    if not _selected(pod, node):
        return Refusal((UNSELECTED,))
    short = _shortage(pod, node, snapshot.loads[name(node)])
    if short:
        return short
    if not all(_volume_reachable(volume, node) for volume in snapshot.volumes):
        return Refusal((VOLUME_ELSEWHERE,))
    return _affinity_refusal(pod, node, snapshot)


def _untolerated(node: Object, tolerations: list[Object]) -> bool:
    taints = dig(node, "spec", "taints", default=[])
    hard = [taint for taint in taints if taint["effect"] in ("NoSchedule", "NoExecute")]
    return any(not selectors.tolerated(taint, tolerations) for taint in hard)


def _selected(pod: Object, node: Object) -> bool:
    if not selectors.equal_labels(dig(pod, "spec", "nodeSelector"), labels(node)):
        return False
    required = dig(pod, "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    return selectors.node_selector_matches(required, labels(node), name(node))


def _shortage(pod: Object, node: Object, load: Load) -> Refusal | None:
    allocatable = dig(node, "status", "allocatable", default={})
    wanted = requests(pod)
    reasons, curable = [], True
    if len(load.pods) >= int(parse(allocatable.get("pods", DEFAULT_MAX_PODS))):
        reasons.append("Too many pods")
    for resource in RESOURCES:
        room = parse(allocatable.get(resource, 0))
        if wanted[resource] and wanted[resource] + load.used[resource] > room:
            reasons.append(f"Insufficient {resource}")
            curable = curable and wanted[resource] <= room
    return Refusal(tuple(reasons), curable) if reasons else None


def _volume_reachable(volume: Object, node: Object) -> bool:
    required = dig(volume, "spec", "nodeAffinity", "required")
    return selectors.node_selector_matches(required, labels(node), name(node))


def term_selects(term: Object, owner: Object, other: Object) -> bool:
    """Whether an affinity term of one pod selects another pod, by namespace and labels."""
    spaces = term.get("namespaces") or ([] if term.get("namespaceSelector") is not None else [namespace(owner)])
    if spaces and namespace(other) not in spaces:
        return False
    return selectors.matches(term.get("labelSelector"), labels(other))


def neighbours(term: Object, node: Object, snapshot: Snapshot) -> list[Object]:
    """The pods that run in the node's topology domain of a term and that it may select."""
    return [
        pod for other in snapshot.domain(term["topologyKey"], node) for pod in snapshot.loads[other].candidates(term)
    ]


def _affinity_refusal(pod: Object, node: Object, snapshot: Snapshot) -> Refusal | None:
    for term in required_terms(pod, "podAffinity"):
        if not _affinity_met(term, pod, node, snapshot):
            return Refusal((AFFINITY,))
    for term in required_terms(pod, "podAntiAffinity"):
        if any(term_selects(term, pod, other) for other in neighbours(term, node, snapshot)):
            return Refusal((ANTI_AFFINITY,), curable=True)
    for other, load in snapshot.loads.items():
        for owner, term in load.refusals(pod):
            if term_selects(term, owner, pod) and other in snapshot.domain(term["topologyKey"], node):
                return Refusal((EXISTING_ANTI_AFFINITY,), curable=True)
    return None


def _affinity_met(term: Object, pod: Object, node: Object, snapshot: Snapshot) -> bool:
    if any(term_selects(term, pod, other) for other in neighbours(term, node, snapshot)):
        return True
    anywhere = any(term_selects(term, pod, other) for load in snapshot.loads.values() for other in load.pods)
    first_of_its_kind = not anywhere and term_selects(term, pod, pod)
    return first_of_its_kind and term["topologyKey"] in labels(node)


def refusal_message(refusals: dict[str, Refusal]) -> str:
    """The sentence of the real scheduler's FailedScheduling event and PodScheduled condition."""
    if not refusals:
        return "no nodes available to schedule pods"
    counts: dict[str, int] = {}
    for refusal in refusals.values():
        for reason in refusal.reasons:
            counts[reason] = counts.get(reason, 0) + 1
    head = f"0/{len(refusals)} nodes are available: "
    why = ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
    curable = sum(refusal.curable for refusal in refusals.values())
    parts = [f"{curable} No preemption victims found for incoming pod"] if curable else []
    if curable < len(refusals):
        parts.append(f"{len(refusals) - curable} Preemption is not helpful for scheduling")
    return f"{head}{why}. no new claims to deallocate, preemption: {head}{', '.join(parts)}."


def schedulable_pods(pods: Sequence[Object]) -> list[Object]:
    """The pods that wait for a node from the default scheduler, oldest first."""
    waiting = [
        pod for pod in pods
        if not node_name(pod) and not final(pod) and not deleting(pod)
        and dig(pod, "spec", "schedulerName", default="default-scheduler") == "default-scheduler"
    ]
    return sorted(waiting, key=lambda pod: (pod["metadata"].get("creationTimestamp", ""), name(pod)))
