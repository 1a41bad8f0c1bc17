"""By what controllers look objects up: with thousands of machines nobody can search through all of them for each."""

from __future__ import annotations

from collections.abc import Iterable

from lab.client import Object
from lab.grouping import Index
from lab.kinds import MIGRATION, POD, VIRTUAL_MACHINE_INSTANCE, Kind
from lab.machinery.objects import dig, final, labels, namespace, node_name, phase


def _controllers(item: Object) -> Iterable[str]:
    owners = item["metadata"].get("ownerReferences") or []
    return [str(owner["uid"]) for owner in owners if owner.get("controller")]


def _owners(item: Object) -> Iterable[str]:
    return {str(owner["uid"]) for owner in item["metadata"].get("ownerReferences") or []}


def _node(pod: Object) -> Iterable[str]:
    return (node_name(pod),)


def _node_while_living(pod: Object) -> Iterable[str]:
    return () if final(pod) else (node_name(pod),)


def _node_of_instance(vmi: Object) -> Iterable[str]:
    node = dig(vmi, "status", "nodeName")
    return (str(node),) if node else ()


def _migration_of_target(pod: Object) -> Iterable[str]:
    migration = labels(pod).get(MIGRATION_UID_LABEL)
    return (migration,) if migration else ()


def _instance_of_migration(migration: Object) -> Iterable[str]:
    return (f"{namespace(migration)}/{migration['spec']['vmiName']}",)


def _phase_while_unfinished(migration: Object) -> Iterable[str]:
    return () if final(migration) else (phase(migration) or UNSET,)


MIGRATION_UID_LABEL = "kubevirt.io/migrationJobUID"
UNSET = "unset"
"""The phase of a migration that no controller has seen yet."""
UNFINISHED_PHASES = (UNSET, "Pending", "Scheduling", "Scheduled", "PreparingTarget", "TargetReady", "Running")
HAVE_A_TARGET = UNFINISHED_PHASES[2:]
"""The phases of migrations that count against the limits."""

POD_BY_CONTROLLER = Index(POD, _controllers)
POD_BY_NODE = Index(POD, _node)
LIVING_POD_BY_NODE = Index(POD, _node_while_living)
"""Pods that hold room on their node; those that wait for one are under the empty name."""
POD_BY_MIGRATION = Index(POD, _migration_of_target)
"""By the uid of the migration that a pod was made to receive."""
INSTANCE_BY_NODE = Index(VIRTUAL_MACHINE_INSTANCE, _node_of_instance)
MIGRATION_BY_INSTANCE = Index(MIGRATION, _instance_of_migration)
"""By `namespace/name` of the instance."""
MIGRATION_BY_PHASE = Index(MIGRATION, _phase_while_unfinished)

_BY_OWNER: dict[Kind, Index] = {}


def by_owner(kind: Kind) -> Index:
    """The kind's objects by the uids of all their owners."""
    return _BY_OWNER.setdefault(kind, Index(kind, _owners))
