"""Role-based access control: who may do what, by the roles and bindings in the store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lab.api.caller import Attributes, Caller, account_user, forbidden
from lab.api.errors import Object
from lab.api.rbac_rules import allows
from lab.api.store import Store
from lab.api.stored import Stored
from lab.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING

_GROUP = CLUSTER_ROLE.group


@dataclass(frozen=True)
class Decision:
    """`reason` names the binding that allows it, or the roles that are missing; "" when there is nothing to say."""

    allowed: bool
    reason: str = ""


class Authorizer:
    """Decides by what the store holds now; nothing is kept between two questions."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def decide(self, caller: Caller, wanted: Attributes) -> Decision:
        if caller.allowed:
            return Decision(True)
        missing = []
        for binding, subject, rules in self._bound(caller, wanted.namespace):
            if rules is None:
                missing.append(_absent(binding.body["roleRef"]))
            elif any(allows(rule, wanted) for rule in rules):
                return Decision(True, _because(binding, subject))
        if not missing:
            return Decision(False)
        return Decision(False, f"RBAC: {missing[0] if len(missing) == 1 else '[' + ', '.join(missing) + ']'}")

    def require(self, caller: Caller, wanted: Attributes) -> None:
        """Raises StatusError 403."""
        if caller.allowed:
            return
        decision = self.decide(caller, wanted)
        if not decision.allowed:
            raise forbidden(caller, wanted, decision.reason)

    def rules(self, caller: Caller, namespace: str) -> list[Object]:
        """All that the caller is granted in a namespace, and cluster-wide."""
        return [rule for _, _, rules in self._bound(caller, namespace) for rule in rules or []]

    def role_rules(self, reference: Object, namespace: str) -> list[Object] | None:
        """The rules of the role that a binding refers to; None when there is no such role."""
        kind = ROLE if reference.get("kind") == ROLE.name else CLUSTER_ROLE
        found = self._store.get(kind, namespace if kind is ROLE else "", str(reference.get("name", "")))
        return None if found is None else found.body.get("rules") or []

    def _bound(self, caller: Caller, namespace: str) -> Iterator[tuple[Stored, Object, list[Object] | None]]:
        """Every binding of the caller with the subject that he is, and its rules."""
        bindings = self._store.list(CLUSTER_ROLE_BINDING)
        if namespace:
            bindings += self._store.list(ROLE_BINDING, namespace)
        for binding in bindings:
            for subject in binding.body.get("subjects") or []:
                if _is(subject, caller, binding.namespace):
                    yield binding, subject, self.role_rules(binding.body["roleRef"], binding.namespace)
                    break


def _is(subject: Object, caller: Caller, namespace: str) -> bool:
    kind, name = subject.get("kind"), str(subject.get("name", ""))
    if kind == "User":
        return name == caller.user
    if kind == "Group":
        return name in caller.groups
    return kind == "ServiceAccount" and caller.user == account_user(subject.get("namespace") or namespace, name)


def _absent(reference: Object) -> str:
    return f'{str(reference.get("kind", "")).lower()}.{_GROUP} "{reference.get("name", "")}" not found'


def _because(binding: Stored, subject: Object) -> str:
    role = binding.body["roleRef"]
    where = f"{binding.name}/{binding.namespace}" if binding.namespace else binding.name
    name = subject["name"]
    if subject["kind"] == "ServiceAccount":
        name = f"{name}/{subject.get('namespace') or binding.namespace}"
    return (f'RBAC: allowed by {binding.kind.name} "{where}" of {role["kind"]} "{role["name"]}" to {subject["kind"]} '
            f'"{name}"')
