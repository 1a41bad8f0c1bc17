"""Validation of metadata: names, labels, annotations, finalizers and owner references, with the real texts."""

from __future__ import annotations

import json
import re

from lab.api.errors import Cause, Object, forbidden_value, invalid_value, required
from lab.kinds import Kind

_LABEL_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")

_LABEL_NAME_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_QUALIFIED_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_LABEL_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_STANDARD_FINALIZERS = ("orphan", "foregroundDeletion", "kubernetes")


def metadata_causes(kind: Kind, meta: Object) -> list[Cause]:
    """Every invalid field of the metadata."""
    causes = _name_causes(kind, str(meta.get("name", "")))
    for key, value in (meta.get("labels") or {}).items():
        causes += _key_causes("metadata.labels", key)
        if not isinstance(value, str) or not _LABEL_VALUE.fullmatch(value):
            causes.append(invalid_value("metadata.labels", f'"{value}"', _LABEL_VALUE_TEXT))
        elif len(value) > 63:
            causes.append(invalid_value("metadata.labels", f'"{value}"', "must be no more than 63 bytes"))
    for key in meta.get("annotations") or {}:
        causes += _key_causes("metadata.annotations", key.lower())
    for index, finalizer in enumerate(meta.get("finalizers") or []):
        if "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
            text = "name is neither a standard finalizer name nor is it fully qualified"
            causes.append(invalid_value(f"metadata.finalizers[{index}]", f'"{finalizer}"', text))
    return causes + _owner_causes(meta.get("ownerReferences") or [])


def _name_causes(kind: Kind, name: str) -> list[Cause]:
    if not name:
        return [required("metadata.name", "name or generateName is required")]
    if kind.group == "rbac.authorization.k8s.io":
        return _segment_causes(name)
    if kind.name == "Namespace":
        pattern, text, limit = _LABEL_NAME, _LABEL_NAME_TEXT, 63
    else:
        pattern, text, limit = _SUBDOMAIN, _SUBDOMAIN_TEXT, 253
    causes = []
    if len(name) > limit:
        unit = "characters" if pattern is _SUBDOMAIN else "bytes"
        causes.append(invalid_value("metadata.name", f'"{name}"', f"must be no more than {limit} {unit}"))
    if not pattern.fullmatch(name):
        causes.append(invalid_value("metadata.name", f'"{name}"', text))
    return causes


def _segment_causes(name: str) -> list[Cause]:
    """Names of roles and bindings only have to fit into a path."""
    if name in (".", ".."):
        return [invalid_value("metadata.name", f'"{name}"', f"may not be '{name}'")]
    return [
        invalid_value("metadata.name", f'"{name}"', f"may not contain '{sign}'") for sign in "/%" if sign in name
    ]


def _key_causes(field: str, key: str) -> list[Cause]:
    prefix, slash, name = key.rpartition("/")
    if slash and not _SUBDOMAIN.fullmatch(prefix):
        return [invalid_value(field, f'"{key}"', f"prefix part {_SUBDOMAIN_TEXT}")]
    if not _QUALIFIED.fullmatch(name):
        return [invalid_value(field, f'"{key}"', _QUALIFIED_TEXT)]
    return []


def _owner_causes(owners: list[Object]) -> list[Cause]:
    field = "metadata.ownerReferences"
    causes = [
        invalid_value(f"{field}.{key}", '""', "must not be empty")
        for owner in owners for key in ("apiVersion", "kind", "name", "uid") if not owner.get(key)
    ]
    controllers = [owner for owner in owners if owner.get("controller")]
    if len(controllers) > 1:
        listed = json.dumps(owners, separators=(",", ":"))
        first, second = (f"{owner['kind']}/{owner['name']}" for owner in controllers[:2])
        text = (f"Only one reference can have Controller set to true. Found \"true\" in references for {first} and "
                f"{second}")
        causes.append(invalid_value(field, listed, text))
    return causes


def host_causes(spec: Object, field: str) -> list[Cause]:
    """Host name and subdomain of a VMI's spec that stands at `field`, in KubeVirt's words."""
    rules = (
        ("hostname", "DNS_LABEL", _LABEL_NAME, _LABEL_NAME_TEXT, 63),
        ("subdomain", "DNS_SUBDOMAIN", _SUBDOMAIN, _SUBDOMAIN_TEXT, 253),
    )
    causes: list[Cause] = []
    for key, rule, pattern, text, limit in rules:
        name = spec.get(key) or ""
        wrong = [f"must be no more than {limit} bytes"] if len(name) > limit else []
        wrong += [text] if name and not pattern.fullmatch(name) else []
        if wrong:
            where = f"{field}.{key}"
            told = f"{where} does not conform to the kubernetes {rule} rules : {', '.join(wrong)}"
            causes.append(("FieldValueInvalid", where, told))
    return causes


def finalizer_causes(old: Object, new: Object) -> list[Cause]:
    """A deleting object takes no new finalizers."""
    added = [item for item in new.get("finalizers") or [] if item not in (old.get("finalizers") or [])]
    if not old.get("deletionTimestamp") or not added:
        return []
    listed = ", ".join(f'"{item}"' for item in added)
    text = ("no new finalizers can be added if the object is being deleted, found new finalizers "
            f"[]string{{{listed}}}")
    return [forbidden_value("metadata.finalizers", text)]
