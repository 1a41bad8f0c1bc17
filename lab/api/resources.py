"""The generic operations on every kind: create, update, patch and delete, with the API's rules about metadata."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from lab.api import admission, defaults, errors, managed_fields
from lab.api.caller import Caller
from lab.api.errors import Object, StatusError
from lab.api.names import finalizer_causes, metadata_causes
from lab.api.store import Store
from lab.api.stored import Stored
from lab.kinds import NAMESPACE, Kind

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_KEPT = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
_COUNTED = ("Pod", "PodDisruptionBudget", "EndpointSlice")
"""Core kinds that have metadata.generation; custom resources all have it."""


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Place:
    """Where a request points: a kind, a namespace and, but for collections, a name."""

    kind: Kind
    namespace: str
    name: str = ""
    subresource: str = ""


class Resources:
    """Reads and writes objects in a store. No method yields to the event loop, so each is one transaction."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def get(self, kind: Kind, namespace: str, name: str) -> Stored:
        """Raises StatusError 404."""
        stored = self.store.get(kind, namespace, name)
        if stored is None:
            raise errors.not_found(kind, name)
        return stored

    def create(
        self, place: Place, body: Object, caller: Caller, *, dry_run: bool = False,
        owners: list[Object] | None = None,
    ) -> Stored:
        """`owners` are the managedFields of an object that an apply creates."""
        kind, namespace = place.kind, place.namespace
        meta = dict(body.get("metadata") or {})
        check_namespace_of_body(kind, namespace, meta)
        if meta.get("resourceVersion"):
            raise StatusError(500, None, "resourceVersion should not be set on objects to be created")
        self._check_namespace(kind, namespace, str(meta.get("name") or meta.get("generateName", "")))
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = self._generated_name(kind, namespace, meta["generateName"])
        body = self._born({**body, "metadata": meta}, kind, namespace)
        body = admission.on_create(self.store, kind, body, caller)
        causes = metadata_causes(kind, body["metadata"]) + admission.causes(kind, body)
        if causes:
            raise errors.invalid(kind, str(meta.get("name", "")), causes)
        known = self.store.get(kind, namespace, meta["name"])
        if known:
            raise errors.already_exists(kind, meta["name"], deleting="deletionTimestamp" in known.body["metadata"])
        if owners:
            body["metadata"]["managedFields"] = owners
        if dry_run:
            return Stored(kind, body)
        if not owners and not caller.component:
            self.store.creators[body["metadata"]["uid"]] = caller.manager
        return self.store.put(kind, body)

    def _check_namespace(self, kind: Kind, namespace: str, name: str) -> None:
        if not kind.namespaced:
            return
        found = self.store.get(NAMESPACE, "", namespace)
        if found is None:
            raise errors.not_found(NAMESPACE, namespace)
        if "deletionTimestamp" in found.body["metadata"]:
            details = {
                "name": name, "kind": kind.plural, "causes": [{
                    "reason": "NamespaceTerminating", "message": f"namespace {namespace} is being terminated",
                    "field": "metadata.namespace",
                }],
            }
            message = (f'{errors.resource_name(kind)} "{name}" is forbidden: unable to create new content in namespace '
                       f"{namespace} because it is being terminated")
            raise StatusError(403, "Forbidden", message, details)

    def _generated_name(self, kind: Kind, namespace: str, prefix: str) -> str:
        while True:
            name = prefix[:58] + "".join(secrets.choice(_ALPHABET) for _ in range(5))
            if not self.store.get(kind, namespace, name):
                return name

    def _born(self, body: Object, kind: Kind, namespace: str) -> Object:
        meta = body["metadata"]
        for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "managedFields"):
            meta.pop(field, None)
        if kind.namespaced:
            meta["namespace"] = namespace
        else:
            meta.pop("namespace", None)
        meta["uid"] = str(uuid.uuid4())
        meta["creationTimestamp"] = now()
        meta.pop("generation", None)
        if kind.custom or kind.name in _COUNTED:
            meta["generation"] = 1
        if kind.status:
            body.pop("status", None)
        body.update(kind=kind.name, apiVersion=kind.api_version)
        return body

    def update(
        self, place: Place, change: Callable[[Object], Object], caller: Caller, *, dry_run: bool = False,
        unconditional: bool = True, applied: bool = False,
    ) -> Stored:
        """Store what `change` makes of the current object; nothing is written when nothing differs.

        Raises StatusError: 404, 409 for a stale resourceVersion or a foreign uid, 422 for what admission refuses.
        With `unconditional` false a custom resource must carry its resourceVersion (a PUT). `applied` is a
        server-side apply: the managedFields are those that `change` returns.
        """
        kind, name = place.kind, place.name
        old = self.get(kind, place.namespace, name)
        new = change(old.body)
        given = dict(new.get("metadata") or {})
        _check_identity(place, given)
        _check_version(kind, old, given, unconditional)
        body = _settled(place, old.body, new, given)
        if not place.subresource:
            body = defaults.on_update(kind, body)
        owners = given.get("managedFields") if applied else _owners(place, old.body, body, given, caller)
        if owners:
            body["metadata"]["managedFields"] = owners
        if body == old.body:
            return old
        body = admission.on_update(self.store, kind, old.body, body, caller, place.subresource)
        causes = metadata_causes(kind, body["metadata"]) + finalizer_causes(old.body["metadata"], body["metadata"])
        causes += admission.causes(kind, body) + admission.update_causes(kind, old.body, body)
        if causes:
            raise errors.invalid(kind, name, causes)
        body["metadata"].update(_generation(kind, old.body, body))
        if dry_run:
            return Stored(kind, body)
        if _finished(kind, body):
            return self.store.remove(old, body)
        return self.store.put(kind, body)


def _owners(place: Place, old: Object, new: Object, given: Object, caller: Caller) -> list[Object]:
    """The managedFields after a write; what the lab's own components say in a status is nobody's (see quirks.md)."""
    known: list[Object] = old["metadata"].get("managedFields") or []
    if not known or (caller.component and place.subresource == "status"):
        return known
    manager = managed_fields.updater(caller.manager, place.kind.api_version, place.subresource)
    return managed_fields.after_write(place.kind, old, new, given.get("managedFields"), manager, now())


def check_namespace_of_body(kind: Kind, namespace: str, meta: Object) -> None:
    if kind.namespaced and meta.get("namespace") and meta["namespace"] != namespace:
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def _check_identity(place: Place, meta: Object) -> None:
    if meta.get("name", place.name) != place.name:
        raise errors.bad_request(
            f"the name of the object ({meta['name']}) does not match the name on the URL ({place.name})"
        )
    check_namespace_of_body(place.kind, place.namespace, meta)


def _check_version(kind: Kind, old: Stored, meta: Object, unconditional: bool) -> None:
    version = meta.get("resourceVersion")
    if version and not str(version).isdigit():
        raise StatusError(500, None, f'strconv.ParseUint: parsing "{version}": invalid syntax')
    if not version and kind.custom and not unconditional:
        cause = errors.invalid_value("metadata.resourceVersion", "0", "must be specified for an update")
        details = {"name": old.name, "group": kind.group, "kind": kind.plural}
        raise errors.invalid_noun(errors.resource_name(kind), old.name, details, [cause])
    uid = old.body["metadata"]["uid"]
    if meta.get("uid", uid) != uid:
        where = "/".join(filter(None, ("/registry", kind.group, kind.plural, old.namespace, old.name)))
        raise errors.conflict(kind, old.name, (
            f"StorageError: invalid object, Code: 4, Key: {where}, ResourceVersion: 0, AdditionalErrorMsg: "
            f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: {uid}"
        ))
    if version and int(version) != old.version:
        raise errors.stale(kind, old.name)


def _settled(place: Place, old: Object, new: Object, given: Object) -> Object:
    """The new body with what only the server decides taken from the old one."""
    kind = place.kind
    meta = {key: value for key, value in given.items() if key not in (*_KEPT, "managedFields", "selfLink")}
    meta |= {key: old["metadata"][key] for key in _KEPT if key in old["metadata"]}
    meta |= {"name": place.name, "resourceVersion": old["metadata"]["resourceVersion"]}
    if kind.namespaced:
        meta["namespace"] = place.namespace
    meta = {key: value for key, value in meta.items() if value not in (None, {}, [])}
    body = {**new, "kind": kind.name, "apiVersion": kind.api_version, "metadata": meta}
    if place.subresource == "status":
        kept = old["metadata"] if kind.custom else meta
        body = {**old, "metadata": dict(kept)} | ({"status": new["status"]} if "status" in new else {})
    elif kind.status and place.subresource == "":
        body.pop("status", None)
        if "status" in old:
            body["status"] = old["status"]
    return body


def _generation(kind: Kind, old: Object, new: Object) -> Object:
    if not (kind.custom or kind.name in _COUNTED):
        return {}
    generation = old["metadata"].get("generation", 1)
    ignored = ("metadata", "status", "kind", "apiVersion")
    before = {key: value for key, value in old.items() if key not in ignored}
    after = {key: value for key, value in new.items() if key not in ignored}
    if not kind.status:
        # Without a status subresource the whole object counts, as for a VirtualMachineInstance.
        before, after = before | {"status": old.get("status")}, after | {"status": new.get("status")}
    return {"generation": generation if before == after else generation + 1}


def _finished(kind: Kind, body: Object) -> bool:
    """A deleting object goes when its last finalizer does; a pod waits for its kubelet besides."""
    meta = body["metadata"]
    if "deletionTimestamp" not in meta or meta.get("finalizers"):
        return False
    if kind == NAMESPACE:
        return not (body.get("spec") or {}).get("finalizers")
    return not meta.get("deletionGracePeriodSeconds")
