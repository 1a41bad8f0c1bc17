"""KubeVirt's subresources of a VirtualMachine: start, stop, restart, migrate, expand-spec, evacuate/cancel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lab.api.caller import Caller
from lab.api.errors import Object, StatusError, bad_request, internal
from lab.api.resources import Place, Resources
from lab.kinds import MIGRATION, VIRTUAL_MACHINE, VIRTUAL_MACHINE_INSTANCE, Kind

_ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True)
class Call:
    """One subresource request on the machine `namespace/name`."""

    resources: Resources
    namespace: str
    name: str
    body: Object
    caller: Caller

    @property
    def dry_run(self) -> bool:
        return self.body.get("dryRun") == ["All"]

    def machine(self) -> Object:
        return find(self.resources, VIRTUAL_MACHINE, self.namespace, self.name)

    def instance(self) -> Object | None:
        stored = self.resources.store.get(VIRTUAL_MACHINE_INSTANCE, self.namespace, self.name)
        return stored.body if stored else None

    def running(self) -> bool:
        """Whether the VM has an instance that has not ended."""
        instance = self.instance()
        return instance is not None and (instance.get("status") or {}).get("phase") not in _ENDED

    def update(self, kind: Kind, subresource: str, change: Any) -> None:
        place = Place(kind, self.namespace, self.name, subresource)
        self.resources.update(place, change, self.caller, dry_run=self.dry_run)


def find(resources: Resources, kind: Kind, namespace: str, name: str) -> Object:
    """Raises StatusError 404 in the words of virt-api, which names the kind in the singular."""
    stored = resources.store.get(kind, namespace, name)
    if stored is None:
        details = {"name": name, "group": kind.group, "kind": kind.singular}
        raise StatusError(404, "NotFound", f'{kind.singular}.{kind.group} "{name}" not found', details)
    return stored.body


def conflict(kind: Kind, name: str, text: str) -> StatusError:
    details = {"name": name, "group": kind.group, "kind": kind.singular}
    message = f'Operation cannot be fulfilled on {kind.singular}.{kind.group} "{name}": {text}'
    return StatusError(409, "Conflict", message, details)


def run_strategy(machine: Object) -> str:
    spec = machine.get("spec") or {}
    if spec.get("runStrategy"):
        return str(spec["runStrategy"])
    return "Always" if spec.get("running") else "Halted"


def start(call: Call) -> None:
    machine = call.machine()
    strategy = run_strategy(machine)
    if call.running() or strategy in ("Always", "Once"):
        raise conflict(VIRTUAL_MACHINE, call.name, "VM is already running")
    instance = call.instance()
    if strategy == "RerunOnFailure" and instance and instance["status"].get("phase") == "Failed":
        raise conflict(VIRTUAL_MACHINE, call.name, f"{strategy} does not support starting VM from failed state")
    request: Object = {"action": "Start"}
    if call.body.get("paused"):
        request["data"] = {"paused": "true"}
    if strategy == "Halted" and "data" not in request:
        call.update(VIRTUAL_MACHINE, "", _with_strategy("Always"))
    else:
        call.update(VIRTUAL_MACHINE, "status", _with_requests([request]))


def stop(call: Call) -> None:
    machine = call.machine()
    strategy = run_strategy(machine)
    instance = call.instance()
    if not call.running() and (strategy != "Always" or instance is None):
        raise conflict(VIRTUAL_MACHINE, call.name, "VM is not running")
    if strategy in ("Always", "Once"):
        call.update(VIRTUAL_MACHINE, "", _with_strategy("Halted"))
    elif strategy == "Halted":
        raise conflict(VIRTUAL_MACHINE, call.name, "Halted does not support manual stop requests")
    else:
        call.update(VIRTUAL_MACHINE, "status", _with_requests([_stop_request(instance)]))


def restart(call: Call) -> None:
    grace = call.body.get("gracePeriodSeconds")
    if grace not in (None, 0):
        raise bad_request("For force restart, only gracePeriod=0 is supported for now")
    strategy = run_strategy(call.machine())
    instance = call.instance()
    if strategy in ("Halted", "Once"):
        text = f"VM is not running: {strategy}" if not call.running() else (
            f"RunStategy {strategy} does not support manual restart requests")
        raise conflict(VIRTUAL_MACHINE, call.name, text)
    if not call.running():
        # The word is Halted whatever the strategy is: a VM of Manual was recorded.
        raise conflict(VIRTUAL_MACHINE, call.name, "VM is not running: Halted")
    call.update(VIRTUAL_MACHINE, "status", _with_requests([_stop_request(instance), {"action": "Start"}]))


def migrate(call: Call) -> None:
    """Create a migration. Raises StatusError 404, 409 when not running, 500 with the webhook's refusal."""
    call.machine()
    instance = find(call.resources, VIRTUAL_MACHINE_INSTANCE, call.namespace, call.name)
    if (instance.get("status") or {}).get("phase") != "Running":
        raise conflict(VIRTUAL_MACHINE, call.name, "VM is not running")
    spec: Object = {"vmiName": call.name}
    if call.body.get("addedNodeSelector"):
        spec["addedNodeSelector"] = call.body["addedNodeSelector"]
    body = {"metadata": {"generateName": "kubevirt-migrate-vm-"}, "spec": spec}
    try:
        call.resources.create(Place(MIGRATION, call.namespace), body, call.caller, dry_run=call.dry_run)
    except StatusError as error:
        raise internal(error.message) from error


def cancel_evacuation(call: Call) -> None:
    """evacuate/cancel: take the mark off the instance, if it has one."""
    instance = find(call.resources, VIRTUAL_MACHINE_INSTANCE, call.namespace, call.name)
    if "evacuationNodeName" not in (instance.get("status") or {}):
        return

    def clear(body: Object) -> Object:
        status = {key: value for key, value in body["status"].items() if key != "evacuationNodeName"}
        return {**body, "status": status}

    call.update(VIRTUAL_MACHINE_INSTANCE, "", clear)


def _stop_request(instance: Object | None) -> Object:
    request: Object = {"action": "Stop"}
    if instance:
        request["uid"] = instance["metadata"]["uid"]
    return request


def _with_strategy(strategy: str) -> Any:
    def change(body: Object) -> Object:
        spec = {key: value for key, value in body["spec"].items() if key != "running"}
        if "running" in body["spec"]:
            return {**body, "spec": {**spec, "running": strategy == "Always"}}
        return {**body, "spec": {**spec, "runStrategy": strategy}}

    return change


def _with_requests(requests: list[Object]) -> Any:
    def change(body: Object) -> Object:
        return {**body, "status": {**(body.get("status") or {}), "stateChangeRequests": requests}}

    return change
