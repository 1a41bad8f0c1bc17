"""The roles and bindings that a cluster with KubeVirt has from its beginning, as far as the lab serves what they allow.

From Kubernetes' bootstrap policy and from what KubeVirt's operator installs.
"""

from __future__ import annotations

from collections.abc import Sequence

from lab.api.caller import AUTHENTICATED, MASTERS, UNAUTHENTICATED
from lab.api.errors import Object
from lab.kinds import CLUSTER_ROLE

_READ = ("get", "list", "watch")
_WRITE = ("create", "delete", "deletecollection", "patch", "update")
_EVERY = (*_READ, *_WRITE)
_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"
_DOCUMENTS = ("/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz",
              "/version", "/version/")
_PUBLIC = ("/healthz", "/livez", "/readyz", "/version", "/version/")

_SUB = "subresources.kubevirt.io"
_VM_KINDS = ("virtualmachines", "virtualmachineinstances", "virtualmachineinstancepresets",
             "virtualmachineinstancereplicasets")
_MIGRATIONS = ("virtualmachineinstancemigrations",)
_SNAPSHOTS = ("virtualmachinesnapshots", "virtualmachinesnapshotcontents", "virtualmachinerestores")
_GUEST_FACTS = tuple(f"virtualmachineinstances/{name}" for name in ("guestosinfo", "filesystemlist", "userlist"))
_GUEST_OPEN = tuple(f"virtualmachineinstances/{name}" for name in ("console", "vnc", "portforward"))
_GUEST_CALLS = tuple(f"virtualmachineinstances/{name}" for name in (
    "pause", "unpause", "addvolume", "removevolume", "freeze", "unfreeze", "softreboot", "reset", "evacuate",
))
_VM_CALLS = tuple(f"virtualmachines/{name}" for name in (
    "start", "stop", "restart", "addvolume", "removevolume", "evacuate",
))


def _rule(groups: str | Sequence[str], resources: Sequence[str], verbs: Sequence[str]) -> Object:
    listed = [groups] if isinstance(groups, str) else list(groups)
    return {"apiGroups": listed, "resources": list(resources), "verbs": list(verbs)}


def _paths(paths: Sequence[str], verbs: Sequence[str] = ("get",)) -> Object:
    return {"nonResourceURLs": list(paths), "verbs": list(verbs)}


_VIEW = [
    _rule("", ("configmaps", "persistentvolumeclaims", "persistentvolumeclaims/status", "pods", "serviceaccounts",
               "services", "services/status"), _READ),
    _rule("", ("events", "namespaces", "namespaces/status", "pods/log", "pods/status"), _READ),
    _rule("discovery.k8s.io", ("endpointslices",), _READ),
    _rule("batch", ("jobs", "jobs/status"), _READ),
    _rule("policy", ("poddisruptionbudgets", "poddisruptionbudgets/status"), _READ),
]
_EDIT = [
    _rule("", ("pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"), _READ),
    _rule("", ("serviceaccounts",), ("impersonate",)),
    _rule("", ("pods", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy"), _WRITE),
    _rule("", ("pods/eviction",), ("create",)),
    _rule("", ("configmaps", "events", "persistentvolumeclaims", "secrets", "serviceaccounts", "services",
               "services/proxy"), _WRITE),
    _rule("", ("serviceaccounts/token",), ("create",)),
    _rule("batch", ("jobs",), _WRITE),
    _rule("policy", ("poddisruptionbudgets",), _WRITE),
    _rule("coordination.k8s.io", ("leases",), _EVERY),
]
_ADMIN = [
    _rule("authorization.k8s.io", ("localsubjectaccessreviews",), ("create",)),
    _rule(CLUSTER_ROLE.group, ("rolebindings", "roles"), _EVERY),
]
_KUBEVIRT_VIEW = [
    _rule(_SUB, (*_GUEST_FACTS, "virtualmachines/expand-spec"), ("get",)),
    _rule(_SUB, ("expand-vm-spec",), ("update",)),
    _rule("kubevirt.io", (*_VM_KINDS, *_MIGRATIONS), _READ),
    _rule("snapshot.kubevirt.io", _SNAPSHOTS, _READ),
    _rule("clone.kubevirt.io", ("virtualmachineclones",), _READ),
    _rule("migrations.kubevirt.io", ("migrationpolicies",), _READ),
]
_KUBEVIRT_CALLS = [
    _rule(_SUB, (*_GUEST_FACTS, *_GUEST_OPEN, "virtualmachines/expand-spec", "virtualmachines/portforward"), ("get",)),
    _rule(_SUB, (*_GUEST_CALLS, *_VM_CALLS, "expand-vm-spec"), ("update",)),
    _rule("kubevirt.io", _MIGRATIONS, _READ),
    _rule("migrations.kubevirt.io", ("migrationpolicies",), _READ),
]


def _kubevirt_writes(verbs: Sequence[str]) -> list[Object]:
    return [
        _rule("kubevirt.io", _VM_KINDS, verbs), _rule("snapshot.kubevirt.io", _SNAPSHOTS, verbs),
        _rule("clone.kubevirt.io", ("virtualmachineclones",), verbs),
    ]


_KUBEVIRT_EDIT = [
    *_KUBEVIRT_CALLS, *_kubevirt_writes((*_READ, "create", "delete", "patch", "update")),
    _rule("kubevirt.io", ("kubevirts",), ("get", "list")),
]
_KUBEVIRT_ADMIN = [*_KUBEVIRT_CALLS, *_kubevirt_writes(_EVERY)]
_KUBEVIRT_MIGRATE = [
    _rule(_SUB, ("virtualmachines/migrate",), ("update",)), _rule("kubevirt.io", _MIGRATIONS, _EVERY),
]


def _role(name: str, rules: list[Object], part_of: str = "", gathers: str = "") -> Object:
    labels = {"kubernetes.io/bootstrapping": "rbac-defaults"} if not name.startswith("kubevirt.io:") else {
        "kubevirt.io": "",
    }
    if part_of:
        labels[_AGGREGATE + part_of] = "true"
    role: Object = {"metadata": {"name": name, "labels": labels}, "rules": rules}
    if gathers:
        role["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {_AGGREGATE + gathers: "true"}}]}
    return role


def roles() -> list[Object]:
    """The ClusterRoles, those that gather others last."""
    return [
        _role("cluster-admin", [_rule("*", ("*",), ("*",)), _paths(("*",), ("*",))]),
        _role("system:discovery", [_paths(_DOCUMENTS)]),
        _role("system:public-info-viewer", [_paths(_PUBLIC)]),
        _role("system:basic-user", [
            _rule("authorization.k8s.io", ("selfsubjectaccessreviews", "selfsubjectrulesreviews"), ("create",)),
            _rule("authentication.k8s.io", ("selfsubjectreviews",), ("create",)),
        ]),
        _role("system:auth-delegator", [
            _rule("authentication.k8s.io", ("tokenreviews",), ("create",)),
            _rule("authorization.k8s.io", ("subjectaccessreviews",), ("create",)),
        ]),
        _role("system:aggregate-to-view", _VIEW, "view"),
        _role("system:aggregate-to-edit", _EDIT, "edit"),
        _role("system:aggregate-to-admin", _ADMIN, "admin"),
        _role("kubevirt.io:default", [
            _rule(_SUB, ("version", "guestfs"), ("get", "list")), _rule("kubevirt.io", ("kubevirts",), ("get", "list")),
        ]),
        _role("kubevirt.io:view", _KUBEVIRT_VIEW, "view"),
        _role("kubevirt.io:edit", _KUBEVIRT_EDIT, "edit"),
        _role("kubevirt.io:admin", _KUBEVIRT_ADMIN, "admin"),
        _role("kubevirt.io:migrate", _KUBEVIRT_MIGRATE),
        _role("view", [], "edit", gathers="view"),
        _role("edit", [], "admin", gathers="edit"),
        _role("admin", [], gathers="admin"),
    ]


def bindings() -> list[Object]:
    """The ClusterRoleBindings: each gives the role of its own name to groups."""
    everybody = (AUTHENTICATED, UNAUTHENTICATED)
    return [
        _binding(name, groups) for name, groups in (
            ("cluster-admin", (MASTERS,)), ("system:discovery", (AUTHENTICATED,)),
            ("system:basic-user", (AUTHENTICATED,)), ("system:public-info-viewer", everybody),
            ("kubevirt.io:default", (AUTHENTICATED,)),
        )
    ]


def _binding(name: str, groups: Sequence[str]) -> Object:
    api_group = CLUSTER_ROLE.group
    return {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": api_group, "kind": CLUSTER_ROLE.name, "name": name},
        "subjects": [{"apiGroup": api_group, "kind": "Group", "name": group} for group in groups],
    }
