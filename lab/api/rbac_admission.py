"""Roles and bindings before they are stored: defaults, the checks that users meet, and nobody grants what he lacks."""

from __future__ import annotations

import json
from typing import Any

from lab.api.authorization import Authorizer
from lab.api.caller import Attributes, Caller
from lab.api.errors import Cause, Object, StatusError, invalid_value, required, resource_name, unsupported
from lab.api.rbac_rules import shown, uncovered
from lab.api.store import Store
from lab.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING, Kind

_GROUP = ROLE.group
_ROLES, _BINDINGS = (ROLE, CLUSTER_ROLE), (ROLE_BINDING, CLUSTER_ROLE_BINDING)
_SUBJECTS = ("ServiceAccount", "User", "Group")


def with_defaults(kind: Kind, body: Object) -> Object:
    """The body with the API groups that a binding may leave out."""
    if kind not in _BINDINGS:
        return body
    reference = body.get("roleRef")
    if isinstance(reference, dict):
        body = {**body, "roleRef": {**reference, "apiGroup": reference.get("apiGroup") or _GROUP}}
    subjects = [
        {"apiGroup": _GROUP, **subject} if subject.get("kind") in ("User", "Group") else subject
        for subject in body.get("subjects") or []
    ]
    return {**body, "subjects": subjects} if subjects else body


def causes(kind: Kind, body: Object) -> list[Cause]:
    if kind in _ROLES:
        rules = enumerate(body.get("rules") or [])
        return [cause for index, rule in rules for cause in _rule_causes(kind, f"rules[{index}]", rule)]
    if kind not in _BINDINGS:
        return []
    subjects = enumerate(body.get("subjects") or [])
    found = [cause for index, subject in subjects for cause in _subject_causes(f"subjects[{index}]", subject)]
    return _reference_causes(kind, body.get("roleRef") or {}) + found


def _rule_causes(kind: Kind, where: str, rule: Object) -> list[Cause]:
    found = [] if rule.get("verbs") else [required(f"{where}.verbs", "verbs must contain at least one value")]
    paths = rule.get("nonResourceURLs")
    if paths:
        field, value = f"{where}.nonResourceURLs", json.dumps(paths, separators=(",", ":"))
        if kind is ROLE:
            found.append(invalid_value(field, value, "namespaced rules cannot apply to non-resource URLs"))
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            text = "rules cannot apply to both regular resources and non-resource URLs"
            found.append(invalid_value(field, value, text))
        return found
    if not rule.get("apiGroups"):
        found.append(required(f"{where}.apiGroups", "resource rules must supply at least one api group"))
    if not rule.get("resources"):
        found.append(required(f"{where}.resources", "resource rules must supply at least one resource"))
    return found


def _reference_causes(kind: Kind, reference: Object) -> list[Cause]:
    found = []
    if reference.get("apiGroup", _GROUP) != _GROUP:
        found.append(unsupported("roleRef.apiGroup", f'"{reference["apiGroup"]}"', (_GROUP,)))
    kinds = (ROLE.name, CLUSTER_ROLE.name) if kind is ROLE_BINDING else (CLUSTER_ROLE.name,)
    if reference.get("kind") not in kinds:
        found.append(unsupported("roleRef.kind", f'"{reference.get("kind", "")}"', kinds))
    if not reference.get("name"):
        found.append(required("roleRef.name"))
    return found


def _subject_causes(where: str, subject: Object) -> list[Cause]:
    found = [] if subject.get("name") else [required(f"{where}.name")]
    kind, group = subject.get("kind"), subject.get("apiGroup") or ""
    if kind not in _SUBJECTS:
        return [*found, unsupported(f"{where}.kind", f'"{kind or ""}"', _SUBJECTS)]
    wanted = "" if kind == "ServiceAccount" else _GROUP
    if group != wanted:
        found.append(unsupported(f"{where}.apiGroup", f'"{group}"', (wanted,)))
    if kind == "ServiceAccount" and not subject.get("namespace"):
        found.append(required(f"{where}.namespace"))
    return found


def update_causes(kind: Kind, old: Object, new: Object) -> list[Cause]:
    reference = new.get("roleRef")
    if kind not in _BINDINGS or reference == old.get("roleRef"):
        return []
    return [invalid_value("roleRef", json.dumps(reference, separators=(",", ":")), "cannot change roleRef")]


def grants_otherwise(old: Object, new: Object) -> bool:
    """Whether an update of a role or binding changes what is granted, or to whom."""
    return any(old.get(field) != new.get(field) for field in ("rules", "aggregationRule", "roleRef", "subjects"))


def check_escalation(store: Store, kind: Kind, body: Object, caller: Caller) -> None:
    """Raises StatusError 403 for who would grant what he does not hold, unless he may `escalate` or `bind`."""
    if caller.allowed or kind not in (*_ROLES, *_BINDINGS):
        return
    authorizer, meta = Authorizer(store), body["metadata"]
    namespace = str(meta.get("namespace", ""))
    if kind in _ROLES:
        rules, verb, resource, name = body.get("rules") or [], "escalate", kind.plural, meta.get("name", "")
    else:
        reference: Any = body.get("roleRef") or {}
        rules = authorizer.role_rules(reference, namespace) or []
        role = ROLE if reference.get("kind") == ROLE.name else CLUSTER_ROLE
        verb, resource, name = "bind", role.plural, str(reference.get("name", ""))
    if authorizer.decide(caller, Attributes(verb, _GROUP, resource, "", namespace, name)).allowed:
        return
    lacking = uncovered(rules, authorizer.rules(caller, namespace))
    if lacking:
        raise _escalating(kind, meta.get("name", ""), caller, lacking)


def _escalating(kind: Kind, name: str, caller: Caller, lacking: list[Object]) -> StatusError:
    groups = " ".join(f'"{group}"' for group in caller.groups)
    rules = "\n".join(shown(rule) for rule in lacking)
    message = (
        f'{resource_name(kind)} "{name}" is forbidden: user "{caller.user}" (groups=[{groups}]) is attempting to grant '
        f"RBAC permissions not currently held:\n{rules}"
    )
    return StatusError(403, "Forbidden", message, {"name": name, "group": kind.group, "kind": kind.plural})
