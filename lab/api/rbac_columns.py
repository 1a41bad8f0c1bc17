"""What `kubectl get` shows of service accounts, roles and bindings."""

from __future__ import annotations

from lab.api.columns import AGE, NAME, Column, path
from lab.api.errors import Object

_CREATED = Column("Created At", path("metadata.creationTimestamp"))


def _secrets(body: Object) -> int:
    return len(body.get("secrets") or [])


def _role(body: Object) -> str:
    reference = body.get("roleRef") or {}
    return f"{reference.get('kind', '')}/{reference.get('name', '')}"


def _subjects(kind: str) -> Column:
    def cell(body: Object) -> str:
        return ", ".join(
            "/".join(filter(None, (subject.get("namespace"), subject["name"])))
            for subject in body.get("subjects") or [] if subject.get("kind") == kind
        )

    return Column({"User": "Users", "Group": "Groups"}.get(kind, "ServiceAccounts"), cell, wide=True)


_BINDING = (NAME, Column("Role", _role), AGE, _subjects("User"), _subjects("Group"), _subjects("ServiceAccount"))
COLUMNS: dict[str, tuple[Column, ...]] = {
    "ServiceAccount": (NAME, Column("Secrets", _secrets, "integer"), AGE),
    "Role": (NAME, _CREATED), "ClusterRole": (NAME, _CREATED),
    "RoleBinding": _BINDING, "ClusterRoleBinding": _BINDING,
}
