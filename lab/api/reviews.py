"""Access reviews: what the caller, or somebody else, may do, and who the caller is."""

from __future__ import annotations

from aiohttp import web

from lab.api.caller import MASTERS, Attributes, Caller
from lab.api.context import Context
from lab.api.discovery import REVIEWS
from lab.api.errors import (
    Cause,
    Object,
    bad_request,
    invalid_noun,
    invalid_value,
    method_not_allowed,
    unknown_path,
)
from lab.api.handlers import json_answer
from lab.api.negotiate import Form, decode_body
from lab.api.resources import now
from lab.api.tokens import AUDIENCE

GROUPS = tuple(REVIEWS)
_AUTHORIZATION, _AUTHENTICATION = GROUPS


async def handle(request: web.Request, context: Context, caller: Caller, parts: list[str]) -> web.Response:
    """Answer a POST; `parts` are the path after /apis: group, version and what follows."""
    group, version, rest = parts[0], parts[1], parts[2:]
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) == 3:
        namespace, rest = rest[1], rest[2:]
    kinds = {plural: (kind, namespaced) for plural, kind, namespaced in REVIEWS[group]}
    if version != "v1" or len(rest) != 1 or rest[0] not in kinds or kinds[rest[0]][1] != bool(namespace):
        raise unknown_path()
    if request.method != "POST":
        raise method_not_allowed()
    kind = kinds[rest[0]][0]
    body = decode_body(await request.read(), request.headers.get("Content-Type", ""), kind)
    if not isinstance(body, dict):
        raise bad_request(f"the object provided is unrecognized (must be of type {kind})")
    spec = body.get("spec") or {}
    head: Object = {"kind": kind, "apiVersion": f"{group}/v1", "metadata": {"creationTimestamp": None}}
    return json_answer({**head, **_answer(context, caller, kind, namespace, spec)}, Form(), 201)


def _answer(context: Context, caller: Caller, kind: str, namespace: str, spec: Object) -> Object:
    if kind == "SelfSubjectReview":
        return {"metadata": {"creationTimestamp": now()}, "status": {"userInfo": _user_info(caller)}}
    if kind == "TokenReview":
        return {"spec": spec, "status": _token(context, spec)}
    if kind == "SelfSubjectRulesReview":
        if not spec.get("namespace"):
            raise bad_request("no namespace on request")
        return {"spec": {}, "status": _rules(context, caller, str(spec["namespace"]))}
    if kind == "SelfSubjectAccessReview":
        _check(kind, spec, [])
        return {"spec": spec, "status": _decision(context, caller, spec)}
    causes = [] if spec.get("user") or spec.get("groups") else [
        invalid_value("spec.user", '""', "at least one of user or group must be specified"),
    ]
    attributes = spec.get("resourceAttributes") or {}
    if kind == "LocalSubjectAccessReview" and attributes.get("namespace") != namespace:
        shown = f'"{attributes.get("namespace", "")}"'
        causes.append(invalid_value("spec.resourceAttributes.namespace", shown, "must match metadata.namespace"))
    _check(kind, spec, causes)
    groups = tuple(str(group) for group in spec.get("groups") or ())
    subject = Caller(str(spec.get("user") or ""), MASTERS in groups, groups=groups)
    metadata = {"metadata": {"namespace": namespace, "creationTimestamp": None}} if namespace else {}
    return {**metadata, "spec": spec, "status": _decision(context, subject, spec)}


def _check(kind: str, spec: Object, causes: list[Cause]) -> None:
    if bool(spec.get("resourceAttributes")) == bool(spec.get("nonResourceAttributes")):
        text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        causes = [*causes, invalid_value("spec.resourceAttributes", "null", text)]
    if causes:
        details = {"group": _AUTHORIZATION, "kind": kind}
        raise invalid_noun(f"{kind}.{_AUTHORIZATION}", "", details, causes)


def _decision(context: Context, subject: Caller, spec: Object) -> Object:
    asked = spec.get("resourceAttributes") or spec.get("nonResourceAttributes") or {}
    wanted = Attributes(**{
        key: str(asked.get(key) or "")
        for key in ("verb", "group", "resource", "subresource", "namespace", "name", "path")
    })
    decision = context.authorizer.decide(subject, wanted)
    return {"allowed": decision.allowed} | ({"reason": decision.reason} if decision.reason else {})


def _rules(context: Context, caller: Caller, namespace: str) -> Object:
    rules = context.authorizer.rules(caller, namespace)
    resources = [
        {key: rule[key] for key in ("verbs", "apiGroups", "resources", "resourceNames") if rule.get(key)}
        for rule in rules if rule.get("resources")
    ]
    paths = [
        {"verbs": rule["verbs"], "nonResourceURLs": rule["nonResourceURLs"]}
        for rule in rules if rule.get("nonResourceURLs")
    ]
    return {"resourceRules": resources, "nonResourceRules": paths, "incomplete": False}


def _user_info(caller: Caller) -> Object:
    info: Object = {"username": caller.user}
    return info | {
        key: value for key, value in (("uid", caller.uid), ("groups", list(caller.groups)), ("extra", caller.extra))
        if value
    }


def _token(context: Context, spec: Object) -> Object:
    caller = context.authenticator.by_token(str(spec.get("token") or ""))
    if caller is None:
        return {"user": {}, "error": "invalid bearer token"}
    return {"authenticated": True, "user": _user_info(caller), "audiences": [AUDIENCE]}
