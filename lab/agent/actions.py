"""What can be done to, and asked of, a running guest: the subresources of a VMI that virt-handler serves."""

from __future__ import annotations

from lab.agent import freezing, vmi_status
from lab.agent.context import Node
from lab.agent.domain import Domain
from lab.agent.guest_agent import GuestAgentError
from lab.agent.launcher import Launcher
from lab.client import Object
from lab.kinds import VIRTUAL_MACHINE_INSTANCE


class ActionError(Exception):
    """The action is refused; code and reason as in a Kubernetes Status."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


def domain_of(launcher: Launcher) -> Domain:
    """The launcher's running domain; raises ActionError without one."""
    if launcher.domain is None or not launcher.domain.running:
        raise ActionError(409, "Conflict", f"VMI {launcher.vmi_key} is not running")
    return launcher.domain


async def perform(node: Node, launcher: Launcher, action: str, body: Object) -> None:
    """pause, unpause, softreboot, reset, freeze or unfreeze; raises ActionError, MonitorError or GuestAgentError."""
    domain = domain_of(launcher)
    vmi = node.cluster.get(VIRTUAL_MACHINE_INSTANCE, launcher.vmi_key)
    if vmi is None:
        raise ActionError(404, "NotFound", f"VMI {launcher.vmi_key} does not exist")
    if action in ("pause", "unpause"):
        await _pause(node, vmi, domain, wanted=action == "pause", dry_run=bool(body.get("dryRun")))
    elif action == "softreboot":
        await _soft_reboot(domain)
        node.event(vmi, "Normal", "SoftRebooted", "VirtualMachineInstance soft rebooted")
    elif action == "reset":
        await domain.monitor.execute("system_reset")
        node.event(vmi, "Normal", "Reset", "VirtualMachineInstance reset")
    elif action == "freeze":
        await freezing.freeze(node, launcher, domain, vmi, str(body.get("unfreezeTimeout") or ""))
    elif action == "unfreeze":
        await freezing.thaw(node, domain, vmi)
    else:
        raise ActionError(404, "NotFound", f"the lab has no subresource {action} of a VMI")


async def answer(launcher: Launcher, question: str) -> Object:
    """guestosinfo, userlist or filesystemlist, from the guest agent."""
    agent = domain_of(launcher).guest_agent
    if question == "guestosinfo":
        info = await agent.call("guest-get-osinfo", timeout=20)
        hostname = await agent.call("guest-get-host-name", timeout=20)
        return {"guestAgentVersion": (await agent.call("guest-info"))["version"], "hostname": hostname["host-name"],
                "os": vmi_status.guest_os(info)}
    if question == "userlist":
        users = await agent.call("guest-get-users", timeout=20)
        items = [{"userName": user["user"], "loginTime": user.get("login-time")} for user in users]
        return {"metadata": {}, "items": items}
    if question == "filesystemlist":
        systems = await agent.call("guest-get-fsinfo", timeout=20)
        return {"metadata": {}, "items": [_file_system(entry) for entry in systems]}
    raise ActionError(404, "NotFound", f"the lab has no subresource {question} of a VMI")


def _file_system(entry: Object) -> Object:
    return {
        "diskName": entry["name"], "mountPoint": entry["mountpoint"], "fileSystemType": entry["type"],
        "usedBytes": entry.get("used-bytes", 0), "totalBytes": entry.get("total-bytes", 0),
    }


async def _pause(node: Node, vmi: Object, domain: Domain, *, wanted: bool, dry_run: bool) -> None:
    status = await domain.monitor.execute("query-status")
    if (status["status"] == "paused") == wanted:
        name = vmi["metadata"]["name"]
        text = "VMI is already paused" if wanted else "VMI is not paused"
        message = f'Operation cannot be fulfilled on virtualmachineinstance.kubevirt.io "{name}": {text}'
        raise ActionError(409, "Conflict", message)
    if dry_run:
        return
    await domain.monitor.execute("stop" if wanted else "cont")
    await node.change(vmi, lambda wished: vmi_status.paused(wished, wanted))
    state = "Paused" if wanted else "Unpaused"
    node.event(vmi, "Normal", state, f"VirtualMachineInstance {state.lower()}")


async def _soft_reboot(domain: Domain) -> None:
    """Through the guest agent; the agent does not answer when the guest obeys at once, so silence is no error."""
    if not domain.agent_connected:
        raise ActionError(409, "Conflict", "the guest agent is not connected, so the guest cannot be asked to reboot")
    try:
        await domain.guest_agent.call("guest-shutdown", mode="reboot", timeout=2)
    except GuestAgentError as error:
        if "no answer" not in str(error) and "closed" not in str(error):
            raise
