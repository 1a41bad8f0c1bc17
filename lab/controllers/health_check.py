"""The node health check operator: a node that is unready for too long gets a remediation, unless too many are."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from lab.client import Object
from lab.controllers import selectors
from lab.controllers.runtime import Controller, itself
from lab.kinds import (
    FENCE_AGENTS_REMEDIATION,
    FENCE_AGENTS_REMEDIATION_TEMPLATE,
    NODE,
    NODE_HEALTH_CHECK,
)
from lab.machinery.cluster import Cluster
from lab.machinery.objects import (
    age,
    condition,
    controlled_by,
    deleting,
    dig,
    key,
    labels,
    name,
    owner_reference,
    set_condition,
)

COMPONENT = "NodeHealthCheck"
PART_OF = {"app.kubernetes.io/part-of": "node-healthcheck-controller"}
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"([0-9.]+)(ms|s|m|h)")


@dataclass(frozen=True, slots=True)
class Health:
    """The nodes that a check selects, by name."""

    observed: tuple[str, ...]
    unhealthy: tuple[str, ...]
    ready: tuple[str, ...]
    due: float | None
    """Seconds until the next node counts as unhealthy."""


async def reconcile(cluster: Cluster, where: str) -> float | None:
    """Remediate what is unhealthy for long, end the remediation of what is well again, and report."""
    check = cluster.get(NODE_HEALTH_CHECK, where)
    if check is None or deleting(check):
        return None
    health = examine(check, cluster.list(NODE))
    remediations = _remediations(cluster, check)
    for node in [node for node in remediations if node in health.ready]:
        remediation = remediations.pop(node)
        if not deleting(remediation):
            await cluster.delete(FENCE_AGENTS_REMEDIATION, remediation)
            _tell(cluster, check, "RemediationRemoved", f"Deleted remediation object for node {node}")
    if not paused(check) and _enough(check, health):
        for node in [node for node in health.unhealthy if node not in remediations]:
            remediations[node] = await _remediate(cluster, check, node)
    wished = copy.deepcopy(check)
    _report(wished, health, remediations)
    await cluster.update(NODE_HEALTH_CHECK, check, wished)
    return health.due


def examine(check: Object, nodes: Iterable[Object]) -> Health:
    """Judge the nodes that the check selects."""
    observed = [node for node in nodes if selectors.matches(check["spec"].get("selector"), labels(node))]
    waits = {name(node): _wait(check, node) for node in observed}
    pending = [wait for wait in waits.values() if wait is not None and wait > 0]
    return Health(
        tuple(waits), tuple(node for node, wait in waits.items() if wait is not None and wait <= 0),
        tuple(node for node, wait in waits.items() if wait is None), min(pending, default=None),
    )


def _wait(check: Object, node: Object) -> float | None:
    """Seconds until the node counts as unhealthy; None when none of the unhealthy conditions holds."""
    waits = []
    for wanted in check["spec"].get("unhealthyConditions") or []:
        found = condition(node, wanted["type"])
        if found is not None and found["status"] == wanted["status"]:
            waits.append(seconds(wanted["duration"]) - age(found.get("lastTransitionTime")))
    return min(waits, default=None)


def seconds(duration: str) -> float:
    """A Go duration in seconds."""
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(duration))


def paused(check: Object) -> bool:
    return bool(check["spec"].get("pauseRequests"))


def _enough(check: Object, health: Health) -> bool:
    """Whether so many nodes are healthy that the others may be taken away; a percentage counts the next whole node."""
    wanted = str(check["spec"].get("minHealthy", "51%"))
    share = float(wanted.rstrip("%"))
    needed = math.ceil(len(health.observed) * share / 100) if wanted.endswith("%") else share
    return len(health.observed) - len(health.unhealthy) >= needed


def _remediations(cluster: Cluster, check: Object) -> dict[str, Object]:
    """The check's remediations by the node that each is for; one that is being deleted still counts."""
    return {name(item): item for item in cluster.list(FENCE_AGENTS_REMEDIATION) if controlled_by(item, check)}


async def _remediate(cluster: Cluster, check: Object, node: str) -> Object:
    reference = check["spec"]["remediationTemplate"]
    template = await cluster.client.get(FENCE_AGENTS_REMEDIATION_TEMPLATE, reference["name"], reference["namespace"])
    meta = {
        "name": node, "namespace": reference["namespace"], "labels": dict(PART_OF),
        "ownerReferences": [owner_reference(check, NODE_HEALTH_CHECK)],
    }
    body = {"metadata": meta, "spec": dig(template, "spec", "template", "spec", default={})}
    created = await cluster.create(FENCE_AGENTS_REMEDIATION, body)
    _tell(cluster, check, "RemediationCreated", f"Created remediation object for node {node}")
    return created


def _report(check: Object, health: Health, remediations: dict[str, Object]) -> None:
    begun = {node: item["metadata"]["creationTimestamp"] for node, item in sorted(remediations.items())}
    asked = check["spec"].get("pauseRequests") or []
    if asked:
        phase, reason = "Paused", f"NHC is paused: {', '.join(asked)}"
    elif begun:
        phase, reason = "Remediating", "NHC is remediating unhealthy nodes"
    else:
        phase, reason = "Enabled", "NHC is enabled, no ongoing remediation"
    status = check.setdefault("status", {})
    status.update(
        observedNodes=len(health.observed), healthyNodes=len(health.observed) - len(health.unhealthy), phase=phase,
        reason=reason, inFlightRemediations=begun,
        unhealthyNodes=[{"name": node, "remediations": _reference(remediations[node], begun[node])} for node in begun],
    )
    set_condition(check, "Disabled", "False", "NodeHealthCheckEnabled", "No issues found, NodeHealthCheck is enabled.")


def _reference(remediation: Object, started: str) -> list[Object]:
    resource = {
        "apiVersion": FENCE_AGENTS_REMEDIATION.api_version, "kind": FENCE_AGENTS_REMEDIATION.name,
        "name": name(remediation), "namespace": remediation["metadata"]["namespace"],
        "uid": remediation["metadata"]["uid"],
    }
    return [{"resource": resource, "started": started}]


def _tell(cluster: Cluster, check: Object, reason: str, message: str) -> None:
    cluster.event(NODE_HEALTH_CHECK, check, "Normal", reason, message, COMPONENT)


def _checks(cluster: Cluster, _: Object) -> Iterable[str]:
    return [key(check) for check in cluster.list(NODE_HEALTH_CHECK)]


CONTROLLER = Controller(
    "health-check", reconcile,
    ((NODE_HEALTH_CHECK, itself), (NODE, _checks), (FENCE_AGENTS_REMEDIATION, _checks)),
)
