"""Deleting: preconditions, grace periods of pods, finalizers, namespaces that drain first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from lab.api import errors
from lab.api.errors import Object, StatusError, invalid_options, unsupported
from lab.api.resources import Place, Resources
from lab.api.stored import Stored
from lab.kinds import NAMESPACE, POD, Kind

_ANSWERS_WITH_OBJECT = ("Pod", "Service", "PersistentVolumeClaim", "PersistentVolume", "Namespace")
_POLICIES = ("Foreground", "Background", "Orphan")


@dataclass(frozen=True)
class DeleteOptions:
    """What a DELETE asks for, from its body and its query."""

    grace_seconds: int | None = None
    uid: str = ""
    version: str = ""
    dry_run: bool = False
    policy: str = ""


def parse_options(query: Mapping[str, str], body: Any, dry_run: bool) -> DeleteOptions:
    """Raises StatusError 422 for an unknown propagation policy."""
    given: Object = body if isinstance(body, dict) else {}
    conditions = given.get("preconditions") or {}
    policy = given.get("propagationPolicy") or query.get("propagationPolicy") or ""
    if policy and policy not in _POLICIES:
        raise invalid_options("DeleteOptions", [unsupported("propagationPolicy", f'"{policy}"', [*_POLICIES, "nil"])])
    grace = given.get("gracePeriodSeconds")
    if grace is None and query.get("gracePeriodSeconds", "").isdigit():
        grace = int(query["gracePeriodSeconds"])
    return DeleteOptions(
        grace_seconds=grace, uid=conditions.get("uid") or "", version=conditions.get("resourceVersion") or "",
        dry_run=dry_run or given.get("dryRun") == ["All"], policy=policy,
    )


def delete(resources: Resources, place: Place, options: DeleteOptions) -> tuple[bool, Stored]:
    """(gone, last state). Raises StatusError 404, or 409 when a precondition fails."""
    old = resources.get(place.kind, place.namespace, place.name)
    _check_preconditions(old, options)
    meta = dict(old.body["metadata"])
    grace = _grace(old, options)
    finalizers = [*meta.get("finalizers", []), *_policy_finalizers(options, meta)]
    if finalizers:
        meta["finalizers"] = finalizers
    if place.kind == NAMESPACE:
        return _delete_namespace(resources, old, meta, options)
    gone = not finalizers and not grace
    if options.dry_run:
        return gone, old
    if gone:
        return True, resources.store.remove(old, {**old.body, "metadata": meta})
    if "deletionTimestamp" in meta and grace >= meta.get("deletionGracePeriodSeconds", 0):
        return False, old
    if "generation" in meta and "deletionTimestamp" not in meta:
        meta["generation"] += 1
    due = datetime.now(UTC) + timedelta(seconds=grace)
    meta |= {"deletionTimestamp": due.strftime("%Y-%m-%dT%H:%M:%SZ"), "deletionGracePeriodSeconds": grace}
    return False, resources.store.put(place.kind, {**old.body, "metadata": meta})


def _check_preconditions(old: Stored, options: DeleteOptions) -> None:
    uid = old.body["metadata"]["uid"]
    if options.uid and options.uid != uid:
        raise _precondition(old, (
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({uid}). "
            "The object might have been deleted and then recreated"
        ))
    if options.version and options.version != str(old.version):
        raise _precondition(old, (
            f"the ResourceVersion in the precondition ({options.version}) does not match the ResourceVersion in record "
            f"({old.version}). The object might have been modified"
        ))


def _precondition(old: Stored, text: str) -> StatusError:
    noun = errors.kind_name(old.kind)
    details: Object = {"name": old.name} | ({"group": old.kind.group} if old.kind.group else {})
    message = f'Operation cannot be fulfilled on {noun} "{old.name}": {text}'
    return StatusError(409, "Conflict", message, {**details, "kind": old.kind.name})


def _grace(old: Stored, options: DeleteOptions) -> int:
    """Seconds a pod is given; an unbound or ended pod, and every other kind, goes at once."""
    if old.kind != POD:
        return 0
    spec, phase = old.body.get("spec") or {}, (old.body.get("status") or {}).get("phase")
    if not spec.get("nodeName") or phase in ("Succeeded", "Failed"):
        return 0
    if options.grace_seconds is not None:
        return max(0, options.grace_seconds)
    return int(spec.get("terminationGracePeriodSeconds", 30))


def _policy_finalizers(options: DeleteOptions, meta: Object) -> list[str]:
    """Foreground and Orphan leave work to the garbage collector, which removes these when it is done."""
    wanted = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(options.policy)
    return [wanted] if wanted and wanted not in meta.get("finalizers", []) else []


def _delete_namespace(resources: Resources, old: Stored, meta: Object, options: DeleteOptions) -> tuple[bool, Stored]:
    if options.dry_run or "deletionTimestamp" in meta:
        return False, old
    meta["deletionTimestamp"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    status = {**(old.body.get("status") or {}), "phase": "Terminating"}
    return False, resources.store.put(NAMESPACE, {**old.body, "metadata": meta, "status": status})


def answers_with_object(kind: Kind) -> bool:
    """Whether a DELETE that removed the object at once answers with the object rather than with a Status."""
    return kind.name in _ANSWERS_WITH_OBJECT


def success(stored: Stored) -> Object:
    details: Object = {"name": stored.name} | ({"group": stored.kind.group} if stored.kind.group else {})
    details |= {"kind": stored.kind.plural, "uid": stored.body["metadata"]["uid"]}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
