"""OpenAPI documents, kept as small as clients accept.

The version 2 document defines no kind: kubectl then skips client-side validation and takes merge keys from its own
types. The version 3 documents say of each kind only that writes know the query parameter fieldValidation, which is
what newer clients look up before they leave validation to the server.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from lab.api.errors import Object
from lab.kinds import KINDS, Kind

PROTOBUF_ANSWER = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
PROTOBUF_TYPES = ("application/com.github.proto-openapi.spec.v2@v1.0+protobuf", PROTOBUF_ANSWER)
"""What clients ask for: the older name is no valid media type, so the answer always bears the other one."""
TITLE, VERSION = "Kubernetes", "v1.36.2"
_GVK = "x-kubernetes-group-version-kind"


def document_v2() -> Object:
    return {"swagger": "2.0", "info": {"title": TITLE, "version": VERSION}, "paths": {}, "definitions": {}}


def _field(number: int, data: bytes) -> bytes:
    """A protobuf field of fewer than 128 bytes."""
    return bytes((number << 3 | 2, len(data))) + data


def document_v2_protobuf() -> bytes:
    """The version 2 document as gnostic's openapi.v2.Document.

    Field numbers from gnostic's OpenAPIv2.proto: Document swagger 1, info 2, paths 8, definitions 9; Info title 1,
    version 2.
    """
    info = _field(1, TITLE.encode()) + _field(2, VERSION.encode())
    return _field(1, b"2.0") + _field(2, info) + _field(8, b"") + _field(9, b"")


def _group_versions() -> dict[str, list[Kind]]:
    found: dict[str, list[Kind]] = {}
    for kind in KINDS:
        for version in kind.versions:
            path = f"apis/{kind.group}/{version}" if kind.group else f"api/{version}"
            found.setdefault(path, []).append(replace(kind, version=version))
    return found


def document_v3(path: str) -> Object | None:
    """The version 3 document of `api/v1` or `apis/<group>/<version>`; None for one that is not served."""
    kinds = _group_versions().get(path)
    if kinds is None:
        return None
    paths: Object = {}
    for kind in kinds:
        paths |= _paths(kind)
    return {
        "openapi": "3.0.0", "info": {"title": TITLE, "version": VERSION}, "paths": paths,
        "components": {"schemas": {}},
    }


def _paths(kind: Kind) -> Object:
    namespace = "{namespace}" if kind.namespaced else None
    parameters = [
        {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
        for name in ("dryRun", "fieldManager", "fieldValidation")
    ]

    def operation(action: str) -> Object:
        gvk = {"group": kind.group, "kind": kind.name, "version": kind.version}
        return {"x-kubernetes-action": action, _GVK: gvk, "parameters": parameters, "responses": {}}

    return {
        kind.path(namespace): {"post": operation("post")},
        kind.path(namespace, "{name}"): {"patch": operation("patch"), "put": operation("put")},
    }


def index_v3() -> Object:
    paths = {}
    for path in _group_versions():
        digest = hashlib.sha512(json.dumps(document_v3(path), sort_keys=True).encode()).hexdigest().upper()
        paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
    return {"paths": paths}
