"""PodDisruptionBudgets: how many of the selected pods may be disrupted now."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from typing import Any

from lab.client import Object
from lab.controllers import selectors
from lab.controllers.runtime import Controller, itself
from lab.kinds import POD, POD_DISRUPTION_BUDGET
from lab.machinery.cluster import Cluster
from lab.machinery.objects import condition_true, deleting, dig, final, key, labels, namespace, set_condition

SCALABLE_OWNERS: tuple[str, ...] = ()
"""Owner kinds with a /scale: a virtual machine instance has none, and the lab serves no other owner of pods."""


async def reconcile(cluster: Cluster, where: str) -> float | None:
    """Report one budget's counts."""
    budget = cluster.get(POD_DISRUPTION_BUDGET, where)
    if budget is None or deleting(budget):
        return None
    selector = dig(budget, "spec", "selector")
    pods = [
        pod for pod in cluster.list(POD, namespace(budget))
        if selectors.matches(selector, labels(pod)) and not final(pod)
    ]
    wished = copy.deepcopy(budget)
    counts = status(budget, pods)
    wished.setdefault("status", {}).update(counts)
    allowed = counts["disruptionsAllowed"] > 0
    reason = "SufficientPods" if allowed else "InsufficientPods"
    if counts.pop("failed", False):
        reason = "SyncFailed"
        wished["status"].pop("failed", None)
    set_condition(wished, "DisruptionAllowed", "True" if allowed else "False", reason)
    wished["status"]["observedGeneration"] = budget["metadata"].get("generation", 1)
    await cluster.update(POD_DISRUPTION_BUDGET, budget, wished)
    return None


def status(budget: Object, pods: Sequence[Object]) -> Object:
    """The counts; maxUnavailable and percentages need the owner's scale and allow nothing where there is none."""
    healthy = sum(condition_true(pod, "Ready") and not deleting(pod) for pod in pods)
    at_least = dig(budget, "spec", "minAvailable")
    at_most = dig(budget, "spec", "maxUnavailable")
    expected = len(pods)
    if at_most is not None or isinstance(at_least, str):
        owned = any(pod["metadata"].get("ownerReferences") for pod in pods)
        if owned and not _scalable(pods):
            return {"currentHealthy": healthy, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0,
                    "failed": True}
    if at_most is not None:
        desired = max(expected - _count(at_most, expected), 0)
    else:
        desired = _count(at_least if at_least is not None else 1, expected)
    allowed = max(healthy - desired, 0) if expected else 0
    return {
        "currentHealthy": healthy, "desiredHealthy": desired, "disruptionsAllowed": allowed, "expectedPods": expected,
    }


def _scalable(pods: Sequence[Object]) -> bool:
    kinds = {reference["kind"] for pod in pods for reference in pod["metadata"].get("ownerReferences") or []}
    return kinds <= set(SCALABLE_OWNERS)


def _count(value: Any, total: int) -> int:
    if isinstance(value, str) and value.endswith("%"):
        return math.ceil(total * int(value[:-1]) / 100)
    return int(value)


def _budgets_of_pod(cluster: Cluster, pod: Object) -> Iterable[str]:
    return [
        key(budget) for budget in cluster.list(POD_DISRUPTION_BUDGET, namespace(pod))
        if selectors.matches(dig(budget, "spec", "selector"), labels(pod))
    ]


CONTROLLER = Controller("disruption", reconcile, ((POD_DISRUPTION_BUDGET, itself), (POD, _budgets_of_pod)))
