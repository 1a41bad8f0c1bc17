"""HTTPChaos on the API server itself: requests that are cut off, held up or answered with an error.

A fault is in force while the records of its object say that it is injected and its duration lasts, by this process's
own clock: nobody has to reach the API for its end. Streams under way are cut when an abort or a replacement begins to
hit their requests, as they are when Chaos Mesh puts its proxy before a server.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from lab.api import options
from lab.api.errors import Object
from lab.api.store import Change, Store
from lab.chaos import durations, experiment
from lab.config import FABRIC_API_PORT
from lab.kinds import HTTP_CHAOS, POD

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

NAMESPACE = "kube-system"
POD_NAME = "kube-apiserver-control-plane"
MIRROR = "kubernetes.io/config.mirror"


class Faults:
    """Stands before the handler of every request."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._streams: dict[int, web.Request] = {}
        store.listen(HTTP_CHAOS, self._changed)

    def guard(self, handler: Handler) -> Handler:
        """The handler, behind whatever faults are in force when a request comes."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            for fault in self._hitting(request):
                answer = await _act(fault, request, handler)
                if answer is not None:
                    return answer
            if not _streams(request):
                return await handler(request)
            self._streams[id(request)] = request
            try:
                return await handler(request)
            finally:
                del self._streams[id(request)]

        return guarded

    def _hitting(self, request: web.Request) -> Iterator[Object]:
        """The specs of the faults that hit the request now, by namespace and name."""
        for stored in self._store.list(HTTP_CHAOS):
            if self._in_force(stored.body) and matches(stored.body["spec"], request):
                yield stored.body["spec"]

    def _in_force(self, item: Object) -> bool:
        known = {f"{pod.namespace}/{pod.name}" for pod in self._store.list(POD, NAMESPACE) if pod.name == POD_NAME}
        running = experiment.desired_phase(item, datetime.now(UTC)) == experiment.RUN
        return running and any(
            record["id"] in known and record["phase"] == experiment.INJECTED for record in experiment.records(item)
        )

    def _changed(self, change: Change) -> None:
        item = change.new.body
        if change.type == "DELETED" or not (item["spec"].get("abort") or item["spec"].get("replace")):
            return
        if not self._in_force(item):
            return
        for request in list(self._streams.values()):
            if matches(item["spec"], request):
                _cut(request)


def matches(spec: Object, request: web.Request) -> bool:
    """Whether an HTTPChaos means this request, by port, method, path and headers."""
    return (
        spec.get("port", FABRIC_API_PORT) == FABRIC_API_PORT
        and spec.get("method", request.method) == request.method
        and _like(spec.get("path", "*"), request.path)
        and all(request.headers.get(key) == value for key, value in (spec.get("request_headers") or {}).items())
    )


def _like(pattern: str, path: str) -> bool:
    """Chaos Mesh's wildcards: `*` for any text, `?` for one character."""
    expression = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern)
    return re.fullmatch(expression, path, re.DOTALL) is not None


def _streams(request: web.Request) -> bool:
    query = request.query
    return options.is_true(query.get("watch")) or "/watch/" in request.path or options.is_true(query.get("follow"))


async def _act(fault: Object, request: web.Request, handler: Handler) -> web.StreamResponse | None:
    """Let the fault act; the answer if it gives one, else None: the request goes on."""
    if fault.get("delay"):
        await asyncio.sleep(durations.seconds(fault["delay"]))
    if fault.get("abort"):
        if fault["target"] == "Response" and not _streams(request):
            await handler(request)
        _cut(request)
        raise asyncio.CancelledError
    if fault.get("replace"):
        return _replaced(fault["replace"])
    return None


def _replaced(replace: dict[str, Any]) -> web.Response:
    body = base64.b64decode(replace.get("body") or "")
    headers = {"Content-Type": "application/json", **(replace.get("headers") or {})}
    return web.Response(status=int(replace["code"]), body=body, headers=headers)


def _cut(request: web.Request) -> None:
    """Close the connection under the request without an answer."""
    if request.transport is not None:
        request.transport.abort()


def mirror_pod() -> Object:
    """The pod that stands for this server, as the kubelet of its machine would show a static pod."""
    labels = {"component": "kube-apiserver", "tier": "control-plane"}
    return {
        "metadata": {
            "name": POD_NAME, "labels": labels,
            "annotations": {MIRROR: "lab", "kubernetes.io/config.source": "file"},
        },
        "spec": {
            "nodeName": "control-plane", "hostNetwork": True, "priorityClassName": "system-node-critical",
            "tolerations": [{"operator": "Exists", "effect": "NoExecute"}],
            "containers": [{
                "name": "kube-apiserver", "image": "kube-apiserver:v1.36.2",
                "ports": [{"name": "probe-port", "containerPort": FABRIC_API_PORT, "hostPort": FABRIC_API_PORT}],
            }],
        },
    }


def mirror_status(body: Object, address: str, moment: str) -> Object:
    """The pod's body with the status of a server that runs."""
    container = body["spec"]["containers"][0]
    kinds = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    state = {
        "name": container["name"], "image": container["image"], "imageID": "", "ready": True, "started": True,
        "restartCount": 0, "state": {"running": {"startedAt": moment}},
    }
    return {**body, "status": {
        "phase": "Running", "qosClass": "BestEffort", "startTime": moment, "hostIP": address, "podIP": address,
        "podIPs": [{"ip": address}], "containerStatuses": [state],
        "conditions": [
            {"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": moment} for kind in kinds
        ],
    }}
