"""Stopping labs, and looking at them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp

from lab import processes
from lab.client import ApiError, Client
from lab.config import LabConfig
from lab.lifecycle import daemons, leftovers, lock, power, storage_servers
from lab.lifecycle.errors import LifecycleError
from lab.lifecycle.leftovers import Found


def down(name: str, state: Path | None = None, *, keep_logs: bool = False) -> Found:
    """Stop the lab and remove what it has on this machine; returns what that was."""
    with lock.exclusive(name):
        return leftovers.remove(name, state, keep_logs=keep_logs)


def cleanup() -> dict[str, Found]:
    """Stop and remove every lab of which this machine bears a trace."""
    return {name: down(name) for name in leftovers.names()}


def config_of(name: str) -> LabConfig:
    """The settings of a lab that is up; raises LifecycleError when there is none of that name."""
    link = leftovers.run_directory(name) / leftovers.STATE_LINK
    path = link / "lab.json"
    if not path.exists():
        raise LifecycleError(f"There is no lab {name} here: start it with `up --name {name}`, or name another.")
    try:
        return LabConfig.load(path)
    except (ValueError, TypeError, KeyError) as error:
        raise LifecycleError(f"{path} is damaged ({error}): remove the lab with `cleanup`.") from error


def status(name: str) -> dict[str, object]:
    """What of the lab runs: processes, nodes ready, and whether its parts answer."""
    config = config_of(name)
    return {
        "name": name, "state_dir": config.state_dir, "kubeconfig": str(config.kubeconfig),
        "processes": len(processes.marked(name)), "missing": daemons.missing(config),
        "nodes_without_power": power.without(config),
        "storage": {name: storage_servers.status(config, name) for name in storage_servers.served(config)},
        "clients": config.clients, "accelerator": config.accelerator, "orphan": processes.is_orphan(config.owner),
        **asyncio.run(_answers(config)),
    }


def read_kubeconfig(name: str) -> str:
    return config_of(name).kubeconfig.read_text()


async def _answers(config: LabConfig) -> dict[str, object]:
    found: dict[str, object] = {"api": False, "prometheus": False, "nodes_ready": [], "nodes": list(config.nodes)}
    try:
        found["api"] = await daemons.api_healthy(config)
        token = config.token_file.read_text().strip()
        async with Client(config.server_url, config.ca_file, token, "lab-lifecycle") as client:
            found["nodes_ready"] = await daemons.ready_nodes(client)
        found["prometheus"] = await daemons.prometheus_ready(config)
    except (aiohttp.ClientError, ApiError, OSError, json.JSONDecodeError):
        return found
    return found
