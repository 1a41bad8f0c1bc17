"""Server-side apply: a PATCH with application/apply-patch+yaml."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from lab.api import managed_fields as managed
from lab.api import options
from lab.api.caller import Caller
from lab.api.errors import Object, StatusError, bad_request, invalid_options, required
from lab.api.field_paths import Fields, Path, text
from lab.api.field_schema import BadListError
from lab.api.field_values import compare, field_set
from lab.api.negotiate import load_yaml
from lab.api.resources import Place, Resources, now
from lab.api.stored import Stored
from lab.kinds import Kind

APPLY_PATCH = "application/apply-patch+yaml"
_KUBECTL = "kubectl"
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_MANAGER_BYTES = 128


@dataclass(frozen=True)
class Application:
    """One request: what is applied where, by which manager, under which version."""

    place: Place
    config: Object
    manager: str
    version: str
    force: bool
    dry_run: bool


def parse(place: Place, version: str, query: Mapping[str, str], data: bytes) -> Application:
    """`version` is that of the URL. Raises StatusError 400 or 422."""
    dry_run = options.dry_run(query, "PatchOptions")
    options.check_field_validation(query, "PatchOptions")
    manager = query.get("fieldManager", "")
    if not manager:
        raise invalid_options("PatchOptions", [required("fieldManager", "is required for apply patch")])
    if len(manager.encode()) > _MANAGER_BYTES:
        text = f"Too long: may not be more than {_MANAGER_BYTES} bytes"
        raise invalid_options("PatchOptions", [("FieldValueTooLong", "fieldManager", text)])
    config = _configuration(place.kind, version, _decode(data))
    force = options.is_true(query.get("force"))
    return Application(place, _reset(place, config), manager, _api_version(place.kind, version), force, dry_run)


def _decode(data: bytes) -> Object:
    try:
        # A client's JSON is YAML too, but the parser for it is a hundred times as fast.
        config = json.loads(data) if data.lstrip().startswith(b"{") else load_yaml(data)
    except (ValueError, yaml.YAMLError) as error:
        raise bad_request(f"error decoding YAML: {error}") from None
    if not isinstance(config, dict):
        raise bad_request("error decoding YAML: the configuration is no object")
    return config


def _api_version(kind: Kind, version: str) -> str:
    version = version or kind.version
    return f"{kind.group}/{version}" if kind.group else version


def _configuration(kind: Kind, version: str, config: Object) -> Object:
    given_kind, given_version = str(config.get("kind") or ""), str(config.get("apiVersion") or "")
    if not given_kind or not given_version or given_kind != kind.name:
        group, _, short = given_version.rpartition("/")
        raise bad_request(f"invalid object type: {group}/{short}, Kind={given_kind}")
    wanted = _api_version(kind, version)
    if given_version != wanted:
        raise bad_request(
            f"Incorrect version specified in apply patch. Specified patch version: {given_version}, expected: {wanted}"
        )
    meta = config.get("metadata") or {}
    if not isinstance(meta, dict):
        raise bad_request("error decoding YAML: metadata is no object")
    if meta.get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    meta = {key: value for key, value in meta.items() if value is not None and key != "creationTimestamp"}
    return {**config, "apiVersion": kind.api_version, "metadata": meta}


def _reset(place: Place, config: Object) -> Object:
    """Without the fields that the endpoint leaves alone: the status, or everything else."""
    if place.subresource == "status":
        meta = {key: value for key, value in config["metadata"].items() if key in ("name", "uid", "resourceVersion")}
        return {key: value for key, value in {**config, "metadata": meta}.items() if key != "spec"}
    if place.kind.status:
        return {key: value for key, value in config.items() if key != "status"}
    return config


def apply(resources: Resources, application: Application, caller: Caller) -> tuple[bool, Stored]:
    """(created, object). Raises StatusError: 409 with a cause for each conflict, besides what any write may raise."""
    place = application.place
    live = resources.store.get(place.kind, place.namespace, place.name)
    if live is None and not place.subresource:
        return True, _create(resources, application, caller)
    stored = resources.update(
        place, lambda body: _merged(resources, application, body), caller, dry_run=application.dry_run, applied=True
    )
    return False, stored


def _create(resources: Resources, application: Application, caller: Caller) -> Stored:
    place, meta = application.place, application.config["metadata"]
    name = meta.get("name", "")
    if not name:
        raise bad_request(f"the name of the object ({place.name} based on URL) was undeterminable: name must be "
                          "provided")
    if name != place.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({place.name})")
    if meta.get("uid"):
        message = (f'Operation cannot be fulfilled on {place.kind.plural} "{name}": uid mismatch: the provided object '
                   f'specified uid {meta["uid"]}, and no existing object was found')
        raise StatusError(409, "Conflict", message, {"name": name, "kind": place.kind.plural})
    manager = managed.applier(application.manager)
    try:
        owners = managed.created(place.kind, application.config, manager, application.version, now())
    except BadListError as error:
        raise _untyped(application, error) from None
    collection = Place(place.kind, place.namespace)
    return resources.create(
        collection, application.config, caller, dry_run=application.dry_run, owners=managed.entries(owners)
    )


def _merged(resources: Resources, application: Application, body: Object) -> Object:
    """The object after the apply, with its new managedFields. Raises StatusError 409, 500."""
    kind = application.place.kind
    live = managed.without(body)
    owners = _owners(resources, kind, body)
    manager = managed.applier(application.manager, application.place.subresource)
    who = (manager, application.version, now())
    own = _client_side(kind, live) if application.manager == _KUBECTL else frozenset()

    def allowed(path: Path) -> bool:
        return application.force or path in own

    try:
        new, owners = managed.apply(kind, live, owners, application.config, who, allowed=allowed)
    except managed.ConflictsError as error:
        raise _conflict(error) from None
    except BadListError as error:
        raise _untyped(application, error) from None
    return {**new, "metadata": {**new["metadata"], "managedFields": managed.entries(owners)}}


def _owners(resources: Resources, kind: Kind, body: Object) -> managed.Owners:
    meta = body["metadata"]
    if meta.get("managedFields"):
        return managed.parse(meta["managedFields"])
    name = resources.store.creators.get(meta["uid"], managed.BEFORE_FIRST_APPLY)
    first = managed.updater(name, kind.api_version)
    return managed.first_owner(kind, managed.without(body), first, meta["creationTimestamp"])


def _client_side(kind: Kind, live: Object) -> Fields:
    """What `kubectl apply` without --server-side has left as it wrote it: kubectl may take that over unforced."""
    annotation: Any = (live["metadata"].get("annotations") or {}).get(_LAST_APPLIED)
    try:
        last = json.loads(annotation or "null")
        if not isinstance(last, dict):
            return frozenset()
        changes = compare(kind, last, live)
        return field_set(kind, last) - changes.modified - changes.added - changes.removed
    except (ValueError, BadListError):
        return frozenset()


def _conflict(error: managed.ConflictsError) -> StatusError:
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {manager}", "field": text(path)}
        for manager, path in error.conflicts
    ]
    return StatusError(409, "Conflict", _conflict_message(error), {"causes": causes})


def _conflict_message(error: managed.ConflictsError) -> str:
    if len(error.conflicts) == 1:
        manager, path = error.conflicts[0]
        return f"Apply failed with 1 conflict: conflict with {manager}: {text(path)}"
    lines: list[str] = []
    for manager in dict.fromkeys(manager for manager, _ in error.conflicts):
        lines.append(f"conflicts with {manager}:")
        lines += [f"- {text(path)}" for other, path in error.conflicts if other == manager]
    return f"Apply failed with {len(error.conflicts)} conflicts: " + "\n".join(lines)


def _untyped(application: Application, error: BadListError) -> StatusError:
    place, meta = application.place, application.config["metadata"]
    where = f"{meta.get('namespace', '') or place.namespace}/{meta.get('name', '')}"
    noun = f"{application.version}, Kind={place.kind.name}"
    return StatusError(500, None, f"failed to create typed patch object ({where}; {noun}): {error}")
