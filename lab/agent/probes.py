"""Readiness of a guest's container, by the readinessProbe of its VMI."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import aiohttp

from lab.agent.guest_agent import GuestAgentError
from lab.agent.launcher import Launcher
from lab.client import Object

log = logging.getLogger(__name__)


async def watch(launcher: Launcher, probe: Object, changed: Callable[[], None]) -> None:
    """Try the probe every periodSeconds, for ever, and keep `launcher.ready` current; `changed` is called on a change.

    Thresholds as in Kubernetes: successThreshold (1) successes make it ready, failureThreshold (3) failures not ready.
    """
    period = float(probe.get("periodSeconds", 10))
    wanted = {True: int(probe.get("successThreshold", 1)), False: int(probe.get("failureThreshold", 3))}
    await asyncio.sleep(float(probe.get("initialDelaySeconds", 0)))
    count, last = 0, False
    while True:
        outcome = await check(launcher, probe)
        count = count + 1 if outcome == last else 1
        last = outcome
        if count >= wanted[outcome] and launcher.ready != outcome:
            log.info("%s is %s", launcher.key, "ready" if outcome else "not ready")
            launcher.ready = outcome
            changed()
        await asyncio.sleep(period)


async def check(launcher: Launcher, probe: Object) -> bool:
    """One try of a probe: httpGet, tcpSocket, guestAgentPing or exec."""
    timeout = float(probe.get("timeoutSeconds", 1))
    try:
        async with asyncio.timeout(timeout):
            if "httpGet" in probe:
                return await _http(launcher.ip, probe["httpGet"])
            if "tcpSocket" in probe:
                return await _tcp(launcher.ip, int(probe["tcpSocket"]["port"]))
            return await _inside(launcher, probe, timeout)
    except (OSError, TimeoutError, aiohttp.ClientError, GuestAgentError) as error:
        log.debug("probe of %s: %s", launcher.key, error)
        return False


async def _http(address: str, get: Object) -> bool:
    scheme = str(get.get("scheme", "HTTP")).lower()
    url = f"{scheme}://{get.get('host') or address}:{int(get['port'])}{get.get('path', '/')}"
    headers = {header["name"]: header["value"] for header in get.get("httpHeaders", [])}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers, ssl=False) as answer:
        return 200 <= answer.status < 400


async def _tcp(address: str, port: int) -> bool:
    _, writer = await asyncio.open_connection(address, port)
    writer.close()
    return True


async def _inside(launcher: Launcher, probe: Object, timeout: float) -> bool:
    if launcher.domain is None:
        return False
    if "guestAgentPing" in probe:
        await launcher.domain.guest_agent.call("guest-ping", timeout=timeout)
        return True
    command = probe.get("exec", {}).get("command", [])
    result = await launcher.domain.guest_agent.execute(command, timeout=timeout)
    return result.exitcode == 0
