"""The group subresources.kubevirt.io: calls on the VM object, and calls on the guest passed on to its node."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from lab.api import subresource_vm as vm
from lab.api.caller import Caller
from lab.api.context import Context
from lab.api.discovery import KUBERNETES_VERSION, KUBEVIRT_VERSION
from lab.api.errors import Object, PlainError, StatusError, bad_request
from lab.api.nodes import agent_url
from lab.kinds import KUBEVIRT, VIRTUAL_MACHINE, VIRTUAL_MACHINE_INSTANCE

_MACHINE_CALLS = {"start": vm.start, "stop": vm.stop, "restart": vm.restart, "migrate": vm.migrate}
_GUEST_PUTS = ("pause", "unpause", "softreboot", "reset", "freeze", "unfreeze")
_GUEST_GETS = ("guestosinfo", "userlist", "filesystemlist")
_LAB_COPIES = "copies/"
"""The lab's own, for its snapshot controller: a copy of a disk that the guest's QEMU makes. Discovery has it not."""
_UPGRADES = ("console", "vnc", "portforward", "usbredir", "vsock")


async def handle(request: web.Request, context: Context, caller: Caller, parts: list[str]) -> web.StreamResponse:
    """Answer a path below the group's version, split into `parts`."""
    if parts == ["version"]:
        return _json(KUBEVIRT_VERSION)
    if parts == ["healthz"]:
        return _json(_health(context))
    if len(parts) < 5 or parts[0] != "namespaces":
        raise PlainError(404, "404: Page Not Found")
    namespace, plural, name, call = parts[1], parts[2], parts[3], "/".join(parts[4:])
    if plural == "virtualmachines":
        return await _machine(request, context, caller, namespace, name, call)
    if plural == "virtualmachineinstances":
        return await _instance(request, context, caller, namespace, name, call)
    raise PlainError(404, "404: Page Not Found")


def _json(body: Object) -> web.Response:
    """A JSON answer whose type names no character set, as virt-api's does not."""
    return web.Response(body=json.dumps(body).encode(), content_type="application/json")


def _health(context: Context) -> Object:
    kubevirt = context.store.get(KUBEVIRT, "kubevirt", "kubevirt")
    version = str(kubevirt.version) if kubevirt else ""
    return {
        "apiserver": {"connectivity": "ok", "version": KUBERNETES_VERSION}, "config-resource-version": version,
    }


def _require(request: web.Request, method: str) -> None:
    if request.method != method:
        raise PlainError(405, "405: Method Not Allowed", {"Allow": method})
    accepted = {part.strip() for part in request.headers.get("Accept", "*/*").split(",")} - {""}
    if method == "PUT" and accepted == {"application/json"}:
        raise PlainError(406, "406: Not Acceptable\n\nAvailable representations: ")


async def _body(request: web.Request) -> Object:
    data = await request.read()
    if not data.strip():
        return {}
    try:
        body: Any = json.loads(data)
    except ValueError:
        raise bad_request("Can not unmarshal Request body to struct, error: unexpected EOF") from None
    return body if isinstance(body, dict) else {}


async def _machine(
    request: web.Request, context: Context, caller: Caller, namespace: str, name: str, verb: str
) -> web.StreamResponse:
    if verb == "expand-spec":
        _require(request, "GET")
        return _json(vm.find(context.resources, VIRTUAL_MACHINE, namespace, name))
    if verb == "objectgraph":
        raise bad_request("ObjectGraph feature gate not enabled: Unable to return object graph.")
    if verb not in (*_MACHINE_CALLS, "evacuate/cancel"):
        raise PlainError(404, "404: Page Not Found")
    _require(request, "PUT")
    call = vm.Call(context.resources, namespace, name, await _body(request), caller)
    if verb == "evacuate/cancel":
        vm.cancel_evacuation(call)
        return web.Response(status=200)
    _MACHINE_CALLS[verb](call)
    return web.Response(status=202)


async def _instance(
    request: web.Request, context: Context, caller: Caller, namespace: str, name: str, verb: str
) -> web.StreamResponse:
    if verb in _GUEST_PUTS:
        _require(request, "PUT")
        return await _guest_put(request, context, namespace, name, verb)
    if verb in _GUEST_GETS:
        _require(request, "GET")
        return await _guest_get(context, namespace, name, verb)
    if verb == "evacuate/cancel":
        _require(request, "PUT")
        vm.cancel_evacuation(vm.Call(context.resources, namespace, name, await _body(request), caller))
        return web.Response(status=200)
    if verb.startswith(_LAB_COPIES):
        return await _copy(request, context, caller, namespace, name, verb)
    if verb.split("/")[0] in _UPGRADES:
        vm.find(context.resources, VIRTUAL_MACHINE_INSTANCE, namespace, name)
        raise StatusError(501, "NotImplemented", f"the lab does not serve {verb}: there is no console or tunnel")
    raise PlainError(404, "404: Page Not Found")


def _condition(instance: Object, kind: str) -> bool:
    conditions = (instance.get("status") or {}).get("conditions") or []
    return any(item.get("type") == kind and item.get("status") == "True" for item in conditions)


async def _guest_put(
    request: web.Request, context: Context, namespace: str, name: str, verb: str
) -> web.StreamResponse:
    instance = vm.find(context.resources, VIRTUAL_MACHINE_INSTANCE, namespace, name)
    body = await _body(request)
    if (instance.get("status") or {}).get("phase") != "Running":
        raise vm.conflict(VIRTUAL_MACHINE_INSTANCE, name, "VMI is not running")
    paused = _condition(instance, "Paused")
    if verb == "pause" and paused:
        raise vm.conflict(VIRTUAL_MACHINE_INSTANCE, name, "VMI is already paused")
    if verb == "unpause" and not paused:
        raise vm.conflict(VIRTUAL_MACHINE_INSTANCE, name, "VMI is not paused")
    if body.get("dryRun") == ["All"]:
        return web.Response(status=200)
    url = f"{agent_url(context.store, instance)}/v1/namespaces/{namespace}/virtualmachineinstances/{name}/{verb}"
    status, content_type, data = await context.dialer.call("PUT", url, json.dumps(body).encode())
    return web.Response(status=status, body=data, content_type=content_type)


async def _copy(
    request: web.Request, context: Context, caller: Caller, namespace: str, name: str, call: str
) -> web.StreamResponse:
    instance = vm.find(context.resources, VIRTUAL_MACHINE_INSTANCE, namespace, name)
    if not caller.component:
        raise PlainError(404, "404: Page Not Found")
    url = f"{agent_url(context.store, instance)}/v1/namespaces/{namespace}/virtualmachineinstances/{name}/{call}"
    status, content_type, data = await context.dialer.call(request.method, url, await request.read() or None)
    return web.Response(status=status, body=data, content_type=content_type)


async def _guest_get(context: Context, namespace: str, name: str, verb: str) -> web.StreamResponse:
    """Failures are 500 as plain text, as virt-api answers them."""
    noun = f'virtualmachineinstance.kubevirt.io "{name}"'
    stored = context.store.get(VIRTUAL_MACHINE_INSTANCE, namespace, name)
    if stored is None:
        return web.Response(text=f"{noun} not found", status=500)
    if not _condition(stored.body, "AgentConnected"):
        text = f"Operation cannot be fulfilled on {noun}: VMI does not have guest agent connected"
        return web.Response(text=text, status=500)
    url = f"{agent_url(context.store, stored.body)}/v1/namespaces/{namespace}/virtualmachineinstances/{name}/{verb}"
    status, content_type, data = await context.dialer.call("GET", url)
    return web.Response(status=status, body=data, content_type=content_type)
