"""Access reviews: the administrator may do everything."""

from __future__ import annotations

from aiohttp import web

from lab.api.caller import Caller
from lab.api.errors import Object, method_not_allowed, unknown_path
from lab.api.handlers import json_answer
from lab.api.negotiate import Form, decode_body
from lab.api.resources import now

GROUPS = ("authorization.k8s.io", "authentication.k8s.io")


async def handle(request: web.Request, caller: Caller, parts: list[str]) -> web.Response:
    """Answer SelfSubjectAccessReview and SelfSubjectReview."""
    if parts not in (["selfsubjectaccessreviews"], ["selfsubjectreviews"]):
        raise unknown_path()
    if request.method != "POST":
        raise method_not_allowed()
    body: Object = decode_body(await request.read(), request.headers.get("Content-Type", ""), "Review")
    if parts == ["selfsubjectaccessreviews"]:
        answer = {
            "kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {},
            "spec": body.get("spec") or {}, "status": {"allowed": True},
        }
    else:
        groups = ["system:masters", "system:authenticated"]
        answer = {
            "kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"creationTimestamp": now()},
            "status": {"userInfo": {"username": caller.user, "groups": groups}},
        }
    return json_answer(answer, Form(), 201)
