"""What happens to an object between the request and the store: defaults, then each kind's own checks."""

from __future__ import annotations

from lab.api import chaos_admission, defaults, kubevirt_admission, rbac_admission, snapshot_admission, validation
from lab.api.caller import Caller
from lab.api.errors import Cause, Object
from lab.api.store import Store
from lab.kinds import Kind


def on_create(store: Store, kind: Kind, body: Object, caller: Caller) -> Object:
    """The body with defaults. Raises StatusError with the webhook's or the server's own refusal."""
    body = defaults.apply(store, kind, body)
    body = chaos_admission.on_create(kind, body)
    body = snapshot_admission.on_create(store, kind, body)
    body = rbac_admission.with_defaults(kind, body)
    rbac_admission.check_escalation(store, kind, body, caller)
    return kubevirt_admission.on_create(store, kind, body, caller)


def on_update(store: Store, kind: Kind, old: Object, new: Object, caller: Caller, subresource: str) -> Object:
    """The body with defaults. Raises StatusError with the webhook's or the server's own refusal."""
    if not subresource:
        new = rbac_admission.with_defaults(kind, new)
        if rbac_admission.grants_otherwise(old, new):
            rbac_admission.check_escalation(store, kind, new, caller)
        kubevirt_admission.on_update(kind, old, new, caller)
        chaos_admission.on_update(kind, old, new)
        snapshot_admission.on_update(kind, old, new)
    return new


def causes(kind: Kind, body: Object) -> list[Cause]:
    """The invalid fields of a core kind."""
    return validation.causes(kind, body) + rbac_admission.causes(kind, body)


def update_causes(kind: Kind, old: Object, new: Object) -> list[Cause]:
    """The fields that may not change any more."""
    return validation.update_causes(kind, old, new) + rbac_admission.update_causes(kind, old, new)
