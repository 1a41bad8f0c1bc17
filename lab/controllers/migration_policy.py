"""Which MigrationPolicy holds for a VMI, and what it makes of the cluster's migration settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lab.client import Object
from lab.controllers.selectors import equal_labels
from lab.machinery.objects import dig, name

OVERRIDABLE = (
    "allowAutoConverge", "bandwidthPerMigration", "completionTimeoutPerGiB", "allowPostCopy",
    "allowWorkloadDisruption", "maxDowntimeMs",
)


def select(
    policies: Iterable[Object], vmi_labels: Mapping[str, str], namespace_labels: Mapping[str, str]
) -> Object | None:
    """The policy with the most matching labels; among equals the first by name; None when none matches."""
    best: tuple[int, str] | None = None
    chosen = None
    for policy in policies:
        of_vmi = dig(policy, "spec", "selectors", "virtualMachineInstanceSelector", default={})
        of_namespace = dig(policy, "spec", "selectors", "namespaceSelector", default={})
        if not (of_vmi or of_namespace):
            continue
        if equal_labels(of_vmi, vmi_labels) and equal_labels(of_namespace, namespace_labels):
            rank = (-(len(of_vmi) + len(of_namespace)), name(policy))
            if best is None or rank < best:
                best, chosen = rank, policy
    return chosen


def effective(settings: Mapping[str, Any], policy: Object | None) -> Object:
    """The settings with the policy's over them; unset allowWorkloadDisruption follows allowPostCopy."""
    overrides = {field: policy["spec"][field] for field in OVERRIDABLE if field in policy["spec"]} if policy else {}
    merged = {**settings, **overrides}
    merged["bandwidthPerMigration"] = str(merged["bandwidthPerMigration"])
    if "allowPostCopy" in overrides and "allowWorkloadDisruption" not in overrides:
        merged["allowWorkloadDisruption"] = merged["allowPostCopy"]
    return merged
