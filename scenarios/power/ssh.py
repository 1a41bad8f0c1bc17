"""Power off through SSH, where a node has no controller: it cannot be brought back, nor is its silence a proof."""

from __future__ import annotations

from drainproof.target import PowerFacts
from scenarios.power import commands
from scenarios.power.driver import PowerError, PowerState

LOST = 255
"""ssh's own exit code: no connection, or the connection broke, which is what a power-off does to it."""
_SETTINGS = ("BatchMode=yes", "ConnectTimeout=5", "ServerAliveInterval=2", "ServerAliveCountMax=2")
_OFF = ("sudo", "-n", "systemctl", "poweroff", "--force", "--force")
"""Given twice, the machine goes off at once, with no service stopped and no file system unmounted."""


class SshPower:
    """The `ssh` program with the user's own configuration and keys; `{node}` in the destination is the node."""

    name = "ssh"
    proves_off = False
    powers_on = False

    def __init__(self, facts: PowerFacts) -> None:
        settings = (word for setting in _SETTINGS for word in ("-o", setting))
        self._ssh = ("ssh", *settings, *facts.ssh_options, "--", facts.ssh_destination)

    def state(self, node: str) -> PowerState:
        """On when the node answers; Off means no more than that it does not."""
        return "Off" if commands.run((*self._ssh, "true"), node, allowed=(0, LOST)).returncode == LOST else "On"

    def off(self, node: str) -> None:
        if self.state(node) == "Off":
            raise PowerError(f"{node} does not answer SSH, so it cannot be powered off that way.")
        commands.run((*self._ssh, *_OFF), node, allowed=(0, LOST))

    def on(self, node: str) -> None:
        raise PowerError(f"{node} cannot be powered on through SSH; use the driver redfish or command.")
