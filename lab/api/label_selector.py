"""metav1.LabelSelector, as disruption budgets carry it."""

from __future__ import annotations

from typing import Any

from lab.api.errors import Object


def matches(selector: Object | None, labels: dict[str, str]) -> bool:
    """A missing selector matches nothing, an empty one everything."""
    if selector is None:
        return False
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_expression(item, labels) for item in selector.get("matchExpressions") or [])


def _expression(item: dict[str, Any], labels: dict[str, str]) -> bool:
    key, operator, values = item["key"], item["operator"], item.get("values") or []
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    return (key in labels) is (operator == "Exists")
