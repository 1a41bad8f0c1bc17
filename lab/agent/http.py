"""The agent's HTTP server on the node's address: logs, subresources of VMIs, commands in guests, metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from lab.agent import actions, copies, metrics
from lab.agent.actions import ActionError
from lab.agent.context import Node
from lab.agent.copies import CopyError
from lab.agent.guest_agent import GuestAgentError
from lab.agent.launcher import Launcher, pod_directory
from lab.agent.qmp import MonitorError
from lab.config import AGENT_PORT

FOLLOW_SECONDS = 0.1
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def serve(node: Node) -> web.AppRunner:
    """Start the server; the caller cleans the returned runner up."""
    server = _Server(node)
    application = web.Application()
    instance = "/namespaces/{namespace}/virtualmachineinstances/{name}"
    application.add_routes([
        web.get("/healthz", server.health),
        web.get("/metrics", server.metrics),
        web.get("/containerLogs/{namespace}/{pod}/{container}", server.logs),
        web.put(f"/v1{instance}/{{action}}", _errors(server.act)),
        web.get(f"/v1{instance}/{{question}}", _errors(server.ask)),
        web.put(f"/v1{instance}/copies/{{identity}}", _errors(server.start_copy)),
        web.get(f"/v1{instance}/copies/{{identity}}", _errors(server.copy)),
        web.delete(f"/v1{instance}/copies/{{identity}}", _errors(server.finish_copy)),
        web.post(f"/lab/v1{instance}/exec", _errors(server.execute)),
        web.get("/lab/v1/migrations/{uid}", server.migration),
    ])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, node.address, AGENT_PORT).start()
    return runner


class _Server:
    def __init__(self, node: Node) -> None:
        self._node = node

    async def health(self, _: web.Request) -> web.StreamResponse:
        return web.Response(text="ok")

    async def metrics(self, _: web.Request) -> web.StreamResponse:
        return web.Response(body=metrics.render(self._node), headers={"Content-Type": METRICS_TYPE})

    async def logs(self, request: web.Request) -> web.StreamResponse:
        """A container's log, its last lines only with tailLines, and what follows with follow=true."""
        where = request.match_info
        path = pod_directory(self._node.config, where["namespace"], where["pod"]) / f"{where['container']}.log"
        if not path.parent.is_dir():
            raise web.HTTPNotFound(text=f"pod {where['namespace']}/{where['pod']} has no logs on {self._node.name}")
        text = await asyncio.to_thread(_read, path)
        tail = request.query.get("tailLines")
        lines = text.splitlines(keepends=True)
        body = "".join(lines[max(len(lines) - int(tail), 0):] if tail else lines)
        if request.query.get("follow") not in ("true", "1"):
            return web.Response(text=body)
        return await self._follow(request, path, body, len(text.encode()))

    async def act(self, request: web.Request) -> web.StreamResponse:
        where = request.match_info
        launcher = self._launcher(request)
        body = await request.json() if request.can_read_body else {}
        await actions.perform(self._node, launcher, where["action"], body or {})
        return web.json_response({})

    async def ask(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(await actions.answer(self._launcher(request), request.match_info["question"]))

    async def start_copy(self, request: web.Request) -> web.StreamResponse:
        """Begin to copy a disk: {"volume", "target"}, the target as QEMU's block node."""
        body = await request.json()
        launcher = self._launcher(request)
        domain = actions.domain_of(launcher)
        if launcher.departure is not None:
            raise ActionError(409, "Conflict", f"{launcher.vmi_key} is migrating: its disks cannot be copied now")
        await copies.start(domain, request.match_info["identity"], body["volume"], body["target"])
        return web.json_response({})

    async def copy(self, request: web.Request) -> web.StreamResponse:
        """How far a copy is; 404 for one that this node's QEMU does not make."""
        domain = actions.domain_of(self._launcher(request))
        return web.json_response(await copies.state(domain, request.match_info["identity"]))

    async def finish_copy(self, request: web.Request) -> web.StreamResponse:
        """Let go of a copy, and cancel it when it still runs."""
        await copies.finish(actions.domain_of(self._launcher(request)), request.match_info["identity"])
        return web.json_response({})

    async def execute(self, request: web.Request) -> web.StreamResponse:
        """Run a program in the guest: {"argv": [...], "input": ""} gives {"exitcode", "stdout", "stderr"}."""
        body = await request.json()
        domain = actions.domain_of(self._launcher(request))
        result = await domain.guest_agent.execute(body["argv"], body.get("input", ""))
        return web.json_response({"exitcode": result.exitcode, "stdout": result.stdout, "stderr": result.stderr})

    async def migration(self, request: web.Request) -> web.StreamResponse:
        """When the guest of an incoming migration resumed here."""
        found = self._node.resumed.get(request.match_info["uid"])
        if found is None:
            return _status(404, "NotFound", f"no guest has resumed here in migration {request.match_info['uid']}")
        return web.json_response({"resume_ns": found})

    def _launcher(self, request: web.Request) -> Launcher:
        wanted = f"{request.match_info['namespace']}/{request.match_info['name']}"
        for launcher in self._node.launchers.values():
            here = launcher.running and not launcher.migrated and not self._node.awaits_migration(launcher)
            if launcher.vmi_key == wanted and here:
                return launcher
        name = request.match_info["name"]
        raise ActionError(404, "NotFound", f'virtualmachineinstance.kubevirt.io "{name}" not found')

    async def _follow(self, request: web.Request, path: Path, body: str, position: int) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
        await answer.prepare(request)
        await answer.write(body.encode())
        while not self._is_over(path):
            data = await asyncio.to_thread(_read_from, path, position)
            position += len(data)
            if data:
                await answer.write(data)
            await asyncio.sleep(FOLLOW_SECONDS)
        return answer

    def _is_over(self, path: Path) -> bool:
        node = self._node
        ends = [(one.directory, one.exit) for one in node.launchers.values()]
        ends += [(one.directory, one.exit) for one in node.containers.values()]
        return not any(directory == path.parent and not end for directory, end in ends)


def _errors(handler: Handler) -> Handler:
    async def guarded(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ActionError as error:
            return _status(error.code, error.reason, str(error))
        except CopyError as error:
            return _status(404, "NotFound", str(error))
        except (GuestAgentError, MonitorError) as error:
            return _status(500, "InternalError", f"Internal error occurred: {error}")
        except (ValueError, KeyError, TypeError) as error:
            return _status(400, "BadRequest", f"the request's body is not what this call takes: {error!r}")

    return guarded


def _status(code: int, reason: str, message: str) -> web.Response:
    body: dict[str, Any] = {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "code": code,
    }
    return web.json_response(body, status=code)


def _read(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def _read_from(path: Path, position: int) -> bytes:
    if not path.exists():
        return b""
    with path.open("rb") as file:
        file.seek(position)
        return file.read()
