"""A picture of a cluster: all that can be listed and that a run could have changed, for a comparison with another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from drainproof.api import (
    CLAIMS,
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    HTTP_CHAOS,
    INSTANCES,
    LEASES,
    MACHINE_CLONES,
    MACHINE_RESTORES,
    MACHINE_SNAPSHOTS,
    MACHINES,
    MIGRATION_POLICIES,
    MIGRATIONS,
    NAMESPACES,
    NETWORK_CHAOS,
    NODE_HEALTH_CHECKS,
    NODES,
    PODS,
    SECRETS,
    SERVICES,
    VOLUME_SNAPSHOT_CLASSES,
    VOLUME_SNAPSHOT_CONTENTS,
    VOLUMES,
    Cluster,
    Object,
)
from drainproof.errors import NotFoundError

KINDS: Final = (
    NODES, NAMESPACES, PODS, SECRETS, CONFIG_MAPS, SERVICES, ENDPOINT_SLICES, CLAIMS, VOLUMES, MACHINES, INSTANCES,
    MIGRATIONS, LEASES, MIGRATION_POLICIES, NODE_HEALTH_CHECKS, NETWORK_CHAOS, HTTP_CHAOS, VOLUME_SNAPSHOT_CLASSES,
    VOLUME_SNAPSHOT_CONTENTS, MACHINE_SNAPSHOTS, MACHINE_RESTORES, MACHINE_CLONES,
)
COMPARED: Final = (NODES, NODE_HEALTH_CHECKS, NAMESPACES, CONFIG_MAPS, SECRETS)
"""Kinds whose content is compared; of the others, which there are."""
RESTLESS: Final = ("heartbeat", "last-", "lastHeartbeat")
"""In the name of an annotation: it changes by itself."""


def picture(cluster: Cluster) -> dict[str, Any]:
    """Every object by `Kind namespace/name`; a kind that is not served has none."""
    found: dict[str, Any] = {}
    for resource in KINDS:
        try:
            items = cluster.items(resource)
        except NotFoundError:
            continue
        for item in items:
            meta = item["metadata"]
            name = f"{resource.kind} {'/'.join(filter(None, (meta.get('namespace'), meta['name'])))}"
            found[name] = _content(item) if resource in COMPARED else {}
    return found


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What is new, gone or different, in words."""
    said = [f"{name} left" for name in sorted({*after} - {*before})]
    said += [f"{name} lost" for name in sorted({*before} - {*after})]
    same = sorted({*before} & {*after})
    return said + [f"{name} was {before[name]}, is {after[name]}" for name in same if before[name] != after[name]]


def _content(item: Object) -> dict[str, Any]:
    meta = item["metadata"]
    annotations = meta.get("annotations") or {}
    return {
        "spec": item.get("spec") or {}, "data": item.get("data") or {}, "labels": meta.get("labels") or {},
        "annotations": {
            key: text for key, text in sorted(annotations.items()) if not any(word in key for word in RESTLESS)
        },
    }
