"""serviceaccounts/token: a token for a while, bound to its account and, if asked for, to a pod, Secret or node."""

from __future__ import annotations

from datetime import UTC, datetime

from lab.api import errors
from lab.api.context import Context
from lab.api.errors import Object, StatusError, invalid_noun, invalid_value
from lab.api.resources import Place, now
from lab.api.tokens import AUDIENCE
from lab.kinds import NODE, POD, SECRET

DEFAULT_SECONDS = 3600
LEAST_SECONDS = 600
MOST_SECONDS = 1 << 32
_BOUND = {kind.name: kind for kind in (POD, SECRET, NODE)}


def answer(context: Context, place: Place, body: Object) -> Object:
    """The TokenRequest with its token. Raises StatusError 404, 409 for another uid, 422 for a bad duration."""
    account = context.resources.get(place.kind, place.namespace, place.name).body
    spec = body.get("spec") or {}
    seconds = spec.get("expirationSeconds")
    seconds = DEFAULT_SECONDS if seconds is None else seconds
    _check(seconds)
    bound = _bound(context, place, spec.get("boundObjectRef"))
    audiences = [str(item) for item in spec.get("audiences") or [AUDIENCE]]
    token, end = context.tokens.issue(account, seconds, audiences, bound)
    spec = {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": bound}
    return {
        "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": place.name, "namespace": place.namespace, "creationTimestamp": now()},
        "spec": spec,
        "status": {
            "token": token, "expirationTimestamp": datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    }


def _check(seconds: object) -> None:
    text = ""
    if not isinstance(seconds, int) or seconds < LEAST_SECONDS:
        text = "may not specify a duration less than 10 minutes"
    elif seconds > MOST_SECONDS:
        text = "may not specify a duration larger than 2^32 seconds"
    if text:
        details = {"group": "authentication.k8s.io", "kind": "TokenRequest"}
        cause = invalid_value("spec.expirationSeconds", str(seconds), text)
        raise invalid_noun("TokenRequest.authentication.k8s.io", "", details, [cause])


def _bound(context: Context, place: Place, reference: Object | None) -> Object | None:
    if not reference:
        return None
    kind = _BOUND.get(str(reference.get("kind")))
    if kind is None:
        raise errors.bad_request(f"cannot bind token for serviceaccount \"{place.name}\" to object {reference}")
    name = str(reference.get("name", ""))
    uid = context.resources.get(kind, place.namespace if kind.namespaced else "", name).body["metadata"]["uid"]
    if reference.get("uid") not in (None, "", uid):
        details = {"name": name, "kind": kind.plural}
        message = (
            f'Operation cannot be fulfilled on {kind.plural} "{name}": the UID in the bound object reference '
            f"({reference['uid']}) does not match the UID in record. The object might have been deleted and then "
            "recreated"
        )
        raise StatusError(409, "Conflict", message, details)
    return {"kind": kind.name, "apiVersion": kind.api_version, "name": name, "uid": uid}
