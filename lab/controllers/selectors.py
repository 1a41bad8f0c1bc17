"""Label selectors, node selector terms, taints and tolerations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.client import Object


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a metav1.LabelSelector selects the labels; None selects nothing, an empty one everything."""
    if selector is None:
        return False
    pairs = selector.get("matchLabels") or {}
    expressions = selector.get("matchExpressions") or []
    return all(labels.get(key) == value for key, value in pairs.items()) and all(
        expression_holds(expression, labels) for expression in expressions
    )


def equal_labels(wanted: Mapping[str, str] | None, labels: Mapping[str, str]) -> bool:
    """Whether every wanted pair is among the labels (a nodeSelector, a Service's selector)."""
    return all(labels.get(key) == value for key, value in (wanted or {}).items())


def expression_holds(expression: Object, labels: Mapping[str, str]) -> bool:
    """One requirement of a label selector or of a node selector term."""
    key, operator, values = expression["key"], expression["operator"], expression.get("values") or []
    value = labels.get(key)
    if operator == "In":
        return value in values
    if operator == "NotIn":
        return value not in values
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    if operator in ("Gt", "Lt") and value is not None and value.lstrip("-").isdigit():
        return int(value) > int(values[0]) if operator == "Gt" else int(value) < int(values[0])
    return False


def node_term_matches(term: Object, labels: Mapping[str, str], node_name: str) -> bool:
    """A node selector term: all its expressions and fields hold; an empty term matches nothing."""
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not fields:
        return False
    return all(expression_holds(entry, labels) for entry in expressions) and all(
        expression_holds(entry, {"metadata.name": node_name}) for entry in fields
    )


def node_selector_matches(selector: Object | None, labels: Mapping[str, str], node_name: str) -> bool:
    """A core/v1 NodeSelector: any of its terms matches; None matches every node."""
    if selector is None:
        return True
    return any(node_term_matches(term, labels, node_name) for term in selector.get("nodeSelectorTerms") or [])


def tolerates(toleration: Object, taint: Object) -> bool:
    """Whether one toleration covers one taint."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")


def tolerated(taint: Object, tolerations: list[Object] | None) -> bool:
    return any(tolerates(toleration, taint) for toleration in tolerations or [])
