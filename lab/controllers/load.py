"""What the pods on one node take of it, and whom they keep away: summed up once, asked for every pod to place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal

from lab.client import Object
from lab.machinery.objects import dig, labels
from lab.machinery.quantity import parse

RESOURCES = ("cpu", "memory")
_Pair = tuple[str, str]


def requests(pod: Object) -> dict[str, Decimal]:
    """The sum of the containers' requests, per resource."""
    total = dict.fromkeys(RESOURCES, Decimal(0))
    for container in dig(pod, "spec", "containers", default=[]):
        asked = dig(container, "resources", "requests", default={})
        for resource in RESOURCES:
            total[resource] += parse(asked.get(resource, 0))
    return total


def required_terms(pod: Object, kind: str) -> list[Object]:
    """The required terms of podAffinity or podAntiAffinity."""
    path = ("spec", "affinity", kind, "requiredDuringSchedulingIgnoredDuringExecution")
    terms: list[Object] = dig(pod, *path, default=[])
    return terms


class Load:
    """The pods that hold room on one node; nobody may change them."""

    def __init__(self, pods: Sequence[Object]) -> None:
        self.pods = pods
        self.used = dict.fromkeys(RESOURCES, Decimal(0))
        self.owner_kinds: Counter[str | None] = Counter()
        self._labelled: dict[_Pair, list[Object]] = {}
        self._refusing: dict[_Pair | None, list[tuple[Object, Object]]] = {}
        for pod in pods:
            self._add(pod)

    def _add(self, pod: Object) -> None:
        for resource, amount in requests(pod).items():
            self.used[resource] += amount
        self.owner_kinds[dig(pod, "metadata", "ownerReferences", 0, "kind")] += 1
        for pair in labels(pod).items():
            self._labelled.setdefault(pair, []).append(pod)
        for term in required_terms(pod, "podAntiAffinity"):
            self._refusing.setdefault(_some_pair(term), []).append((pod, term))

    def candidates(self, term: Object) -> Sequence[Object]:
        """The pods that an affinity term may select: those with one of the labels it wants, else all."""
        pair = _some_pair(term)
        return self.pods if pair is None else self._labelled.get(pair, ())

    def refusals(self, pod: Object) -> Iterable[tuple[Object, Object]]:
        """The (owner, term) of required anti-affinity on this node that may be meant for the pod."""
        yield from self._refusing.get(None, ())
        if len(self._refusing) > (None in self._refusing):
            for pair in labels(pod).items():
                yield from self._refusing.get(pair, ())


def _some_pair(term: Object) -> _Pair | None:
    """One label that a pod must have for the term to select it; None when it asks for none by equality."""
    return next(iter(dig(term, "labelSelector", "matchLabels", default={}).items()), None)
