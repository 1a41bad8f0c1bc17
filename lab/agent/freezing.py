"""Freezing a guest's file systems for a snapshot, by its guest agent, and thawing them again whatever happens."""

from __future__ import annotations

import asyncio
import logging

from lab.agent.context import Node
from lab.agent.domain import Domain
from lab.agent.guest_agent import GuestAgentError
from lab.agent.launcher import Launcher
from lab.chaos import durations
from lab.client import ApiError, Object
from lab.machinery.objects import dig

log = logging.getLogger(__name__)

ANSWER_SECONDS = 30.0
FROZEN = "frozen"
LONGEST_SECONDS = 300.0
"""Thawed after that long where the caller names no time: KubeVirt's DefaultFailureDeadline of a snapshot."""
RETRY_SECONDS = 2.0
THAW_ATTEMPTS = 30
_TASK = "thaw"


async def freeze(node: Node, launcher: Launcher, domain: Domain, vmi: Object, longest: str) -> None:
    """Freeze, and thaw by itself after `longest` (a duration such as 5m0s). Raises GuestAgentError, not frozen then.

    One that is frozen already stays so, until its first time is over.
    """
    seconds = durations.seconds(longest) if longest else LONGEST_SECONDS
    if await domain.guest_agent.call("guest-fsfreeze-status", timeout=ANSWER_SECONDS) == FROZEN:
        return
    watch_over(node, launcher, domain, vmi, seconds)
    try:
        await domain.guest_agent.call("guest-fsfreeze-freeze", timeout=ANSWER_SECONDS)
    except GuestAgentError:
        # It may have frozen some file systems, or all of them after the time for its answer.
        watch_over(node, launcher, domain, vmi, 0)
        raise
    await node.change(vmi, lambda wished: wished["status"].update(fsFreezeStatus=FROZEN))


async def thaw(node: Node, domain: Domain, vmi: Object) -> None:
    """Thaw; a guest that is not frozen stays as it is. Raises GuestAgentError."""
    await domain.guest_agent.call("guest-fsfreeze-thaw", timeout=ANSWER_SECONDS)
    await node.change(vmi, lambda wished: wished["status"].pop("fsFreezeStatus", None))


def watch_over(node: Node, launcher: Launcher, domain: Domain, vmi: Object, seconds: float) -> None:
    """Thaw the guest after that time, unless it has been by then."""
    known = launcher.tasks.get(_TASK)
    if known:
        known.cancel()
    launcher.start(_TASK, asyncio.create_task(_thaw_later(node, domain, vmi, seconds)))


def guard(node: Node, launcher: Launcher, domain: Domain, vmi: Object) -> None:
    """Keep the time of a frozen guest that came here frozen: by a migration, or past a restart of this agent."""
    if dig(vmi, "status", "fsFreezeStatus") == FROZEN and _TASK not in launcher.tasks:
        watch_over(node, launcher, domain, vmi, LONGEST_SECONDS)


async def _thaw_later(node: Node, domain: Domain, vmi: Object, seconds: float) -> None:
    await asyncio.sleep(seconds)
    for _ in range(THAW_ATTEMPTS):
        if not domain.running:
            return
        try:
            if await domain.guest_agent.call("guest-fsfreeze-status", timeout=ANSWER_SECONDS) == FROZEN:
                log.warning("%s: frozen for %.0f s; thawed now", domain.spec.key, seconds)
            await thaw(node, domain, vmi)
            return
        except (GuestAgentError, ApiError, OSError) as error:
            log.warning("%s is not thawed: %s", domain.spec.key, error)
        await asyncio.sleep(RETRY_SECONDS)
