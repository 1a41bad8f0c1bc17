"""The power switch behind the service: kills what runs on a node, and starts its agent again."""

from __future__ import annotations

import logging

from lab.config import LabConfig
from lab.lifecycle import daemons, power

log = logging.getLogger(__name__)


class NodePower:
    """The nodes of a lab."""

    def __init__(self, config: LabConfig) -> None:
        self._config = config

    def is_on(self, node: str) -> bool:
        return power.is_on(self._config, node)

    def off(self, node: str) -> None:
        if power.is_on(self._config, node):
            killed = power.cut(self._config, node)
            log.info("%s has lost its power, and with it the processes %s", node, killed)

    def on(self, node: str) -> None:
        if not power.is_on(self._config, node):
            power.restore(self._config, node)
            log.info("%s has power, its agent is process %d", node, daemons.start_agent(self._config, node))
