"""Discovery documents: versions, groups and resource lists, and the aggregated form that new clients prefer."""

from __future__ import annotations

from dataclasses import replace

from lab.api.errors import Object
from lab.kinds import KINDS, Kind

KUBERNETES_VERSION: Object = {
    "major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36", "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35", "gitVersion": "v1.36.2", "gitCommit": "98b35193b2ac7a23a673325f5e9b830ecd5ba406",
    "gitTreeState": "clean", "buildDate": "2026-08-21T00:00:00Z", "goVersion": "go1.26.6", "compiler": "gc",
    "platform": "linux/amd64",
}
KUBEVIRT_VERSION: Object = {
    "gitVersion": "v1.9.0", "gitCommit": "79d34c1762169e5b0370ec491cef5ca12e6b504c", "gitTreeState": "clean",
    "buildDate": "2026-07-27T15:21:17Z", "goVersion": "go1.26.6", "compiler": "gc", "platform": "linux/amd64",
}
SUBRESOURCES_GROUP = "subresources.kubevirt.io"
SUBRESOURCES_VERSIONS = ("v1", "v1alpha3")
_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_CUSTOM_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
_STATUS_VERBS = ("get", "patch", "update")

_Entry = tuple[str, str, tuple[str, ...], str, str]
"""(name, kind, verbs, group, version) of a subresource."""

_EXTRA: dict[str, tuple[_Entry, ...]] = {
    "Namespace": (("finalize", "Namespace", ("update",), "", ""),),
    "Pod": (
        ("binding", "Binding", ("create",), "", ""),
        ("eviction", "Eviction", ("create",), "policy", "v1"),
        ("log", "Pod", ("get",), "", ""),
        ("proxy", "PodProxyOptions", ("create", "delete", "get", "patch", "update"), "", ""),
    ),
    "ServiceAccount": (("token", "TokenRequest", ("create",), "authentication.k8s.io", "v1"),),
    "Service": (("proxy", "ServiceProxyOptions", ("create", "delete", "get", "patch", "update"), "", ""),),
}
REVIEWS = {
    "authorization.k8s.io": (
        ("localsubjectaccessreviews", "LocalSubjectAccessReview", True),
        ("selfsubjectaccessreviews", "SelfSubjectAccessReview", False),
        ("selfsubjectrulesreviews", "SelfSubjectRulesReview", False),
        ("subjectaccessreviews", "SubjectAccessReview", False),
    ),
    "authentication.k8s.io": (
        ("selfsubjectreviews", "SelfSubjectReview", False), ("tokenreviews", "TokenReview", False),
    ),
}
"""By group: plural, kind, and whether it is namespaced; they can only be created, and are not kept."""
INSTANCE_SUBRESOURCES = (
    "vnc", "console", "portforward", "pause", "unpause", "freeze", "unfreeze", "reset", "softreboot", "guestosinfo",
    "userlist", "filesystemlist", "evacuate/cancel",
)
MACHINE_SUBRESOURCES = ("start", "stop", "restart", "migrate", "expand-spec", "objectgraph", "evacuate/cancel")


def api_versions(address: str) -> Object:
    """The answer to /api; `address` is host and port of this server."""
    clients = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": clients}


def _groups() -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for kind in KINDS:
        if kind.group:
            known = groups.setdefault(kind.group, [])
            known += [version for version in kind.versions if version not in known]
    for group in REVIEWS:
        groups[group] = ["v1"]
    groups[SUBRESOURCES_GROUP] = list(SUBRESOURCES_VERSIONS)
    return groups


def group_list() -> Object:
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name) for name in _groups()]}


def _group(name: str) -> Object:
    versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in _groups()[name]]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def group(name: str) -> Object | None:
    if name not in _groups():
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name)}


def resource_list(group: str, version: str) -> Object | None:
    """The resources of one group version; None for one that is not served."""
    if group and version not in _groups().get(group, []):
        return None
    if not group and version != "v1":
        return None
    name = f"{group}/{version}" if group else version
    head: Object = {"kind": "APIResourceList"} | ({"apiVersion": "v1"} if group else {})
    return {**head, "groupVersion": name, "resources": _resources(group, version)}


def _resources(group: str, version: str) -> list[Object]:
    if group == SUBRESOURCES_GROUP:
        names = [f"virtualmachineinstances/{name}" for name in INSTANCE_SUBRESOURCES]
        names += [f"virtualmachines/{name}" for name in MACHINE_SUBRESOURCES]
        return [{"name": name, "singularName": "", "namespaced": True, "kind": "", "verbs": None} for name in names]
    if group in REVIEWS:
        return [
            {"name": plural, "singularName": kind.lower(), "namespaced": namespaced, "kind": kind, "verbs": ["create"]}
            for plural, kind, namespaced in REVIEWS[group]
        ]
    resources = []
    for kind_ in KINDS:
        if kind_.group == group and version in kind_.versions:
            resources += [_resource(kind_), *_subresources(kind_)]
    return resources


def _resource(kind: Kind) -> Object:
    entry: Object = {
        "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced, "kind": kind.name,
        "verbs": _verbs(kind),
    }
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    return entry


def _verbs(kind: Kind) -> list[str]:
    """What can be done with a kind; namespaces are deleted one by one only."""
    if kind.name == "Namespace":
        return [verb for verb in _VERBS if verb != "deletecollection"]
    return list(_CUSTOM_VERBS if kind.custom else _VERBS)


def _subresource_entries(kind: Kind) -> tuple[_Entry, ...]:
    status: tuple[_Entry, ...] = (("status", kind.name, _STATUS_VERBS, "", ""),) if kind.status else ()
    return _EXTRA.get(kind.name, ()) + status


def _subresources(kind: Kind) -> list[Object]:
    found = []
    for name, answer, verbs, group, version in _subresource_entries(kind):
        entry: Object = {"name": f"{kind.plural}/{name}", "singularName": "", "namespaced": kind.namespaced}
        if group:
            entry |= {"group": group, "version": version}
        found.append({**entry, "kind": answer, "verbs": list(verbs)})
    return found


def aggregated(core: bool) -> Object:
    """APIGroupDiscoveryList v2 of /api (core) or /apis."""
    groups = {"": ["v1"]} if core else _groups()
    items = [
        {
            "metadata": {"name": name} if name else {},
            "versions": [
                {"version": version, "resources": _aggregated_resources(name, version), "freshness": "Current"}
                for version in versions
            ],
        }
        for name, versions in groups.items()
    ]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _aggregated_resources(group: str, version: str) -> list[Object]:
    if group in REVIEWS:
        return [{
            "resource": plural, "responseKind": {"group": "", "version": "", "kind": kind},
            "scope": "Namespaced" if namespaced else "Cluster", "singularResource": kind.lower(), "verbs": ["create"],
        } for plural, kind, namespaced in REVIEWS[group]]
    return [
        _aggregated_resource(replace(kind, version=version)) for kind in KINDS
        if kind.group == group and version in kind.versions
    ]


def _aggregated_resource(kind: Kind) -> Object:
    # A built-in kind is named without its own group and version; a subresource's answer of another group is not.
    own = {"group": kind.group, "version": kind.version} if kind.custom else {"group": "", "version": ""}
    entry: Object = {
        "resource": kind.plural, "responseKind": {**own, "kind": kind.name},
        "scope": "Namespaced" if kind.namespaced else "Cluster", "singularResource": kind.singular,
        "verbs": _verbs(kind),
    }
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    subresources = [
        {
            "subresource": name, "verbs": list(verbs),
            "responseKind": {"group": group or own["group"], "version": version or own["version"], "kind": answer},
        }
        for name, answer, verbs, group, version in _subresource_entries(kind)
    ]
    return entry | ({"subresources": subresources} if subresources else {})


def root_paths() -> Object:
    paths = ["/api", "/api/v1", "/apis"]
    for name, versions in _groups().items():
        paths += [f"/apis/{name}", *(f"/apis/{name}/{version}" for version in versions)]
    return {"paths": [*sorted(paths), "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"]}
