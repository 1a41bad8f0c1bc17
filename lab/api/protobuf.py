"""Kubernetes' protobuf bodies, read for the kinds that kubectl writes that way since it prefers protobuf to JSON.

Field numbers are those of generated.proto beside the types in k8s.io/api and k8s.io/apimachinery. Answers are JSON: a
client that sends protobuf accepts it too.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from lab.api.errors import Object

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MORE, _BITS = 0x80, 0x7F

_META: dict[int, str] = {1: "metadata ObjectMeta"}
_BINDING = {**_META, 2: "subjects Subject*", 3: "roleRef RoleRef"}
_ATTRIBUTES = {1: "resourceAttributes ResourceAttributes", 2: "nonResourceAttributes NonResourceAttributes"}
_MESSAGES: dict[str, dict[int, str]] = {
    "Unknown": {1: "typeMeta TypeMeta", 2: "raw bytes"},
    "TypeMeta": {1: "apiVersion", 2: "kind"},
    "ObjectMeta": {
        1: "name", 2: "generateName", 3: "namespace", 5: "uid", 6: "resourceVersion", 8: "creationTimestamp Time",
        9: "deletionTimestamp Time", 11: "labels map", 12: "annotations map", 13: "ownerReferences OwnerReference*",
        14: "finalizers string*",
    },
    "OwnerReference": {
        1: "kind", 3: "name", 4: "uid", 5: "apiVersion", 6: "controller bool", 7: "blockOwnerDeletion bool",
    },
    "ConfigMap": {**_META, 2: "data map", 3: "binaryData bytesMap", 4: "immutable bool"},
    "Secret": {**_META, 2: "data bytesMap", 3: "type", 4: "stringData map", 5: "immutable bool"},
    "Namespace": _META,
    "ServiceAccount": {
        **_META, 3: "imagePullSecrets LocalObjectReference*", 4: "automountServiceAccountToken bool",
    },
    "LocalObjectReference": {1: "name"},
    "Role": {**_META, 2: "rules PolicyRule*"},
    "ClusterRole": {**_META, 2: "rules PolicyRule*", 3: "aggregationRule AggregationRule"},
    "AggregationRule": {1: "clusterRoleSelectors LabelSelector*"},
    "LabelSelector": {1: "matchLabels map", 2: "matchExpressions LabelSelectorRequirement*"},
    "LabelSelectorRequirement": {1: "key", 2: "operator", 3: "values string*"},
    "PolicyRule": {
        1: "verbs string*", 2: "apiGroups string*", 3: "resources string*", 4: "resourceNames string*",
        5: "nonResourceURLs string*",
    },
    "RoleBinding": _BINDING, "ClusterRoleBinding": _BINDING,
    "Subject": {1: "kind", 2: "apiGroup", 3: "name", 4: "namespace"},
    "RoleRef": {1: "apiGroup", 2: "kind", 3: "name"},
    "Eviction": {**_META, 2: "deleteOptions DeleteOptions"},
    "DeleteOptions": {
        1: "gracePeriodSeconds int", 2: "preconditions Preconditions", 4: "propagationPolicy", 5: "dryRun string*",
    },
    "Preconditions": {1: "uid", 2: "resourceVersion"},
    "TokenRequest": {**_META, 2: "spec TokenRequestSpec"},
    "TokenRequestSpec": {
        1: "audiences string*", 3: "boundObjectRef BoundObjectReference", 4: "expirationSeconds int",
    },
    "BoundObjectReference": {1: "kind", 2: "apiVersion", 3: "name", 4: "uid"},
    "TokenReview": {**_META, 2: "spec TokenReviewSpec"},
    "TokenReviewSpec": {1: "token"},
    "SelfSubjectReview": _META,
    "SelfSubjectAccessReview": {**_META, 2: "spec SelfSubjectAccessReviewSpec"},
    "SelfSubjectAccessReviewSpec": _ATTRIBUTES,
    "SubjectAccessReview": {**_META, 2: "spec SubjectAccessReviewSpec"},
    "LocalSubjectAccessReview": {**_META, 2: "spec SubjectAccessReviewSpec"},
    "SubjectAccessReviewSpec": {**_ATTRIBUTES, 3: "user", 4: "groups string*", 6: "uid"},
    "SelfSubjectRulesReview": {**_META, 2: "spec SelfSubjectRulesReviewSpec"},
    "SelfSubjectRulesReviewSpec": {1: "namespace"},
    "ResourceAttributes": {
        1: "namespace", 2: "verb", 3: "group", 4: "version", 5: "resource", 6: "subresource", 7: "name",
    },
    "NonResourceAttributes": {1: "path", 2: "verb"},
    "Time": {1: "seconds int"},
    "map": {1: "key", 2: "value"},
    "bytesMap": {1: "key", 2: "value bytes"},
}
"""By message and field number: the JSON name, then the type (a string where none is said), `*` where it repeats."""
KINDS = frozenset((
    "ConfigMap", "Secret", "Namespace", "ServiceAccount", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding",
    "Eviction", "DeleteOptions", "TokenRequest", "TokenReview", "SelfSubjectReview", "SelfSubjectAccessReview",
    "SubjectAccessReview", "LocalSubjectAccessReview", "SelfSubjectRulesReview",
))


def decode(data: bytes) -> Object | None:
    """The object as JSON has it; None for a kind that is not read. Raises ValueError for what is no such body."""
    if not data.startswith(_MAGIC):
        raise ValueError("the body does not begin as a Kubernetes protobuf body does")
    try:
        envelope = _message("Unknown", data[len(_MAGIC):])
        head = envelope.get("typeMeta") or {}
        kind = head.get("kind", "")
        if kind not in KINDS:
            return None
        return {**head, **_message(kind, envelope.get("raw", b""))}
    except IndexError:
        raise ValueError("the protobuf body is cut off") from None
    except (OverflowError, OSError):
        raise ValueError("a time in the protobuf body is out of range") from None


def _message(name: str, data: bytes) -> Object:
    found: Object = {}
    for number, value in _fields(data):
        said = _MESSAGES[name].get(number)
        if said is None:
            continue
        field, _, kind = said.partition(" ")
        if kind.endswith("*"):
            found.setdefault(field, []).append(_value(kind[:-1], value))
        elif kind in ("map", "bytesMap"):
            entry = _value(kind, value)
            item = entry.get("value", b"" if kind == "bytesMap" else "")
            shown = base64.b64encode(item).decode() if kind == "bytesMap" else item
            found.setdefault(field, {})[entry.get("key", "")] = shown
        elif value != b"":
            # Strings that are not set are written as empty ones, which JSON leaves out.
            found[field] = _value(kind, value)
    return found


def _value(kind: str, value: Any) -> Any:
    if isinstance(value, int) != (kind in ("int", "bool")):
        raise ValueError(f"a field of type {kind or 'string'} is encoded as another")
    if kind in ("", "string"):
        return value.decode()
    if kind in ("int", "bytes"):
        return value
    if kind == "bool":
        return bool(value)
    message = _message(kind, value)
    if kind != "Time":
        return message
    seconds = message.get("seconds")
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of each field: an int, or the bytes of a string or message."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
        elif wire == _BYTES:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise IndexError(at)
            yield number, data[at:at + length]
            at += length
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire} is not used by Kubernetes")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & _BITS) << shift
        shift, at = shift + 7, at + 1
        if not byte & _MORE:
            return value, at
