"""Virtual machines that run already: written with their instances and launchers, before any controller is there.

Starting thousands of machines one by one is not what a drain is about, and the lab's network has some hundred
addresses only. What is written looks as the controllers and a node would have left it.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator
from dataclasses import dataclass

from lab.client import Client, Object
from lab.config import LabConfig
from lab.controllers import kubevirt
from lab.controllers.addresses import mac
from lab.controllers.launcher import launcher_pod
from lab.controllers.vm import new_instance
from lab.kinds import NAMESPACE, POD, VIRTUAL_MACHINE, VIRTUAL_MACHINE_INSTANCE
from lab.machinery.objects import add_finalizer, set_condition, set_phase
from lab.simulated import steps
from lab.simulated.hypervisor import node_address

HOME = "fleet"
"""The namespace of all simulated machines."""
AT_ONCE = 16
MEMORY = "2Gi"
CORES = 2
IMAGE = "registry.example/fleet/guest:1"
ZERO = "00000"


@dataclass(frozen=True, slots=True)
class Seat:
    """One machine's number, name, node and address."""

    number: int
    node: str

    @property
    def name(self) -> str:
        return f"vm-{self.number:05d}"

    @property
    def address(self) -> str:
        """Unique in 10.0.0.0/8; nothing listens there."""
        return f"10.{100 + (self.number >> 16)}.{(self.number >> 8) & 255}.{self.number & 255}"


def seats(config: LabConfig, machines: int) -> Iterator[Seat]:
    """The machines, dealt to the nodes one after another."""
    return (Seat(number, config.nodes[number % len(config.nodes)]) for number in range(machines))


def machine(seat: Seat) -> Object:
    """A VirtualMachine that is live-migrated when its node is drained."""
    domain = {
        "cpu": {"cores": CORES}, "memory": {"guest": MEMORY},
        "devices": {
            "disks": [{"name": "root", "disk": {"bus": "virtio"}}],
            "interfaces": [{"name": "default", "masquerade": {}}],
        },
    }
    spec = {
        "evictionStrategy": "LiveMigrate", "domain": domain, "networks": [{"name": "default", "pod": {}}],
        "volumes": [{"name": "root", "containerDisk": {"image": IMAGE}}],
    }
    return {
        "metadata": {"name": seat.name, "namespace": HOME, "labels": {"app": HOME}},
        "spec": {"runStrategy": "Always", "template": {"metadata": {"labels": {"app": HOME}}, "spec": spec}},
    }


async def settle(config: LabConfig, client: Client, machines: int) -> None:
    """Write all machines; raises what Client raises."""
    await client.create(NAMESPACE, {"metadata": {"name": HOME}})
    left = seats(config, machines)

    async def work() -> None:
        for seat in left:
            await _seat(config, client, seat)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(work())


async def _seat(config: LabConfig, client: Client, seat: Seat) -> None:
    wished = machine(seat)
    add_finalizer(wished, kubevirt.VM_FINALIZER)
    made = await client.create(VIRTUAL_MACHINE, wished)
    body = new_instance(made)
    shell = {**body, "metadata": {**body["metadata"], "uid": ZERO}, "status": {}}
    pod = launcher_pod(shell, seat.address, mac(shell))
    vmi = await client.create(VIRTUAL_MACHINE_INSTANCE, running_instance(body, pod, seat.node))
    pod = launcher_pod(vmi, seat.address, mac(vmi))
    pod["spec"]["nodeName"] = seat.node
    bound = await client.create(POD, pod)
    status = running_pod(bound, node_address(config, seat.node))["status"]
    await client.patch(POD, bound["metadata"]["name"], {"status": status}, HOME, subresource="status")


def running_instance(body: Object, pod: Object, node: str) -> Object:
    """The instance as its node would report it; what follows from its pod the controllers add."""
    vmi = {**copy.deepcopy(body), "status": {}}
    for phase in ("Pending", "Scheduling", "Scheduled"):
        set_phase(vmi, phase)
    vmi["metadata"]["uid"] = ZERO
    vmi["status"]["nodeName"] = node
    vmi["metadata"]["labels"][kubevirt.NODE_LABEL] = node
    steps.start(vmi, pod)
    del vmi["metadata"]["uid"]
    return vmi


def running_pod(pod: Object, host: str) -> Object:
    """The launcher as its kubelet and the instance's controller would show it: running and Ready."""
    wished = copy.deepcopy(pod)
    set_condition(wished, "PodScheduled", "True")
    set_condition(wished, kubevirt.UNPAUSED, "True", "NotPaused", "the virtual machine is not paused")
    return steps.running(wished, host)
