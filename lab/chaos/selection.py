"""Which pods an experiment selects."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from lab.chaos.experiment import Object
from lab.machinery.objects import annotations_of, dig, final, labels, name, namespace, node_name, phase

_FIELDS = ("metadata.name", "metadata.namespace", "spec.nodeName", "status.phase")


def select(chooser: Object, home: str, pods: Sequence[Object], nodes: Sequence[Object]) -> list[Object]:
    """The living pods that a PodSelector means, as many of them as its mode says; `home` is its own namespace."""
    selector = chooser.get("selector") or {}
    by_node = {name(node): labels(node) for node in nodes}
    fitting = [pod for pod in pods if not final(pod) and _matches(selector, home, pod, by_node)]
    return _some(chooser, sorted(fitting, key=lambda pod: (namespace(pod), name(pod))))


def _matches(selector: Object, home: str, pod: Object, nodes: Mapping[str, dict[str, str]]) -> bool:
    listed = selector.get("pods")
    if listed:
        return name(pod) in listed.get(namespace(pod), [])
    node = node_name(pod)
    phases = selector.get("podPhaseSelectors") or []
    return (
        namespace(pod) in (selector.get("namespaces") or [home])
        and _equal(selector.get("labelSelectors"), labels(pod))
        and _equal(selector.get("annotationSelectors"), annotations_of(pod))
        and _equal(selector.get("nodeSelectors"), nodes.get(node, {}))
        and _equal(selector.get("fieldSelectors"), _fields(pod))
        and all(_expression(entry, labels(pod)) for entry in selector.get("expressionSelectors") or [])
        and (not selector.get("nodes") or node in selector["nodes"])
        and (not phases or phase(pod) in phases)
    )


def _equal(wanted: Mapping[str, str] | None, have: Mapping[str, str]) -> bool:
    return all(have.get(key) == value for key, value in (wanted or {}).items())


def _fields(pod: Object) -> dict[str, str]:
    return {path: str(dig(pod, *path.split("."), default="")) for path in _FIELDS}


def _expression(entry: Object, have: Mapping[str, str]) -> bool:
    key, operator, values = entry["key"], entry["operator"], entry.get("values") or []
    if operator == "In":
        return have.get(key) in values
    if operator == "NotIn":
        return have.get(key) not in values
    return (key in have) is (operator == "Exists")


def _some(chooser: Object, pods: list[Object]) -> list[Object]:
    mode, value = chooser["mode"], chooser.get("value", "")
    if mode == "all" or not pods:
        return pods
    if mode == "one":
        count = 1
    elif mode == "fixed":
        count = min(int(value), len(pods))
    else:
        percent = int(value) if mode == "fixed-percent" else random.randint(0, int(value))
        count = len(pods) * percent // 100
    return random.sample(pods, count)
