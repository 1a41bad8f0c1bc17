"""What every part of a node's agent shares."""

from __future__ import annotations

import asyncio
import copy
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from lab.agent.argv import DomainFiles
from lab.agent.container import Container
from lab.agent.launcher import Launcher, is_target
from lab.client import ConflictError, NotFoundError, Object
from lab.config import LabConfig
from lab.kinds import POD, VIRTUAL_MACHINE_INSTANCE
from lab.machinery.cluster import Cluster
from lab.machinery.objects import key, name, namespace, uid
from lab.machinery.queue import WorkQueue

log = logging.getLogger(__name__)

COMPONENT = "virt-handler"
PATIENCE_SECONDS = 60.0
CONFLICT_PAUSE_SECONDS = 0.01
API_PAUSE_SECONDS = 0.2
LONGEST_DOMAIN_NAME = 48
"""Characters of a domain's name in its directory: a Unix socket's path has 107 bytes at most."""


@dataclass(eq=False, slots=True)
class Node:
    """This node: its settings, its view of the cluster, and the launchers that run on it, by pod uid."""

    config: LabConfig
    name: str
    cluster: Cluster
    pods: WorkQueue = field(default_factory=WorkQueue)
    vmis: WorkQueue = field(default_factory=WorkQueue)
    launchers: dict[str, Launcher] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)
    """What runs for pods other than launchers, by pod uid."""
    resumed: dict[str, int] = field(default_factory=dict)
    """When guests resumed here after a migration, by the migration's uid, in ns of CLOCK_MONOTONIC."""
    ports: int = 0
    """How many migration ports have been given out."""

    @property
    def address(self) -> str:
        return self.config.node_address(self.name)

    @property
    def directory(self) -> Path:
        """Where this node's domains have their sockets."""
        return self.config.run / self.name

    def domain_files(self, launcher: Launcher) -> DomainFiles:
        domain = f"{launcher.namespace}_{launcher.vmi}"
        if len(domain) > LONGEST_DOMAIN_NAME:
            domain = f"{domain[:LONGEST_DOMAIN_NAME - 9]}-{launcher.vmi_uid[:8]}"
        return DomainFiles(self.directory / domain, launcher.console_file)

    def launcher_of(self, vmi: Object) -> Launcher | None:
        """The launcher whose guest the VMI is on this node: the one with a domain, else the newest that may get one."""
        own = [entry for entry in self.launchers.values() if entry.vmi_uid == uid(vmi) and not entry.migrated]
        with_domain = [entry for entry in own if entry.domain is not None and not self.awaits_migration(entry)]
        if with_domain:
            return with_domain[-1]
        idle = [entry for entry in own if entry.exit is None and entry.domain is None and not self.is_target(entry)]
        return idle[-1] if idle else None

    def is_target(self, launcher: Launcher) -> bool:
        pod = self.cluster.get(POD, launcher.key)
        return pod is not None and is_target(pod)

    def awaits_migration(self, launcher: Launcher) -> bool:
        """Whether the launcher's domain is still the empty shell that a migration is to fill."""
        return launcher.busy("receive")

    def touch(self, launcher: Launcher) -> None:
        """Have the launcher's pod and VMI looked at again."""
        self.pods.add(launcher.key)
        self.vmis.add(launcher.vmi_key)

    def event(self, vmi: Object, type_: str, reason: str, message: str) -> None:
        self.cluster.event(VIRTUAL_MACHINE_INSTANCE, vmi, type_, reason, message, COMPONENT)

    async def change(self, vmi: Object, mutate: Callable[[Object], None]) -> Object | None:
        """Apply a change to the VMI's latest version, again after each conflict; None when the VMI is gone.

        The change is also not made to a namesake with another uid. An API that does not answer is tried for a minute,
        because what has happened to a guest has to be told; after that its error is raised.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        latest = self.cluster.get(VIRTUAL_MACHINE_INSTANCE, key(vmi))
        while True:
            try:
                if latest is None or uid(latest) != uid(vmi):
                    return None
                wished = copy.deepcopy(latest)
                mutate(wished)
                return await self.cluster.update(VIRTUAL_MACHINE_INSTANCE, latest, wished)
            except NotFoundError:
                return None
            except (ConflictError, aiohttp.ClientError, OSError) as error:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(CONFLICT_PAUSE_SECONDS if isinstance(error, ConflictError) else API_PAUSE_SECONDS)
            try:
                latest = await self._fresh(vmi) or latest
            except NotFoundError:
                return None

    async def _fresh(self, vmi: Object) -> Object | None:
        """The VMI as the API has it now; None when the API does not answer."""
        try:
            found = await self.cluster.client.get(VIRTUAL_MACHINE_INSTANCE, name(vmi), namespace(vmi))
        except (aiohttp.ClientError, OSError):
            return None
        return self.cluster.remember(VIRTUAL_MACHINE_INSTANCE, found)
