"""The cells of `kubectl get` that need more than a path into the object."""

from __future__ import annotations

from collections.abc import Callable

from lab.api.columns import NONE, age_of
from lab.api.errors import Object

_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def pod_ready(body: Object) -> str:
    statuses = (body.get("status") or {}).get("containerStatuses") or []
    total = len((body.get("spec") or {}).get("containers") or [])
    return f"{sum(bool(item.get('ready')) for item in statuses)}/{total}"


def pod_status(body: Object) -> str:
    status = body.get("status") or {}
    shown = status.get("reason") or status.get("phase", "")
    for item in reversed(status.get("containerStatuses") or []):
        state = item.get("state") or {}
        for key in ("waiting", "terminated"):
            if (state.get(key) or {}).get("reason"):
                shown = state[key]["reason"]
    if "deletionTimestamp" in body["metadata"]:
        return "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    return str(shown)


def pod_restarts(body: Object) -> str:
    statuses = (body.get("status") or {}).get("containerStatuses") or []
    return str(sum(item.get("restartCount", 0) for item in statuses))


def pod_gates(body: Object) -> str:
    gates = (body.get("spec") or {}).get("readinessGates") or []
    if not gates:
        return NONE
    true = {
        item.get("type") for item in (body.get("status") or {}).get("conditions") or [] if item.get("status") == "True"
    }
    return f"{sum(gate.get('conditionType') in true for gate in gates)}/{len(gates)}"


def node_status(body: Object) -> str:
    ready = "Unknown"
    for item in (body.get("status") or {}).get("conditions") or []:
        if item.get("type") == "Ready":
            ready = "Ready" if item.get("status") == "True" else "NotReady"
    cordoned = (body.get("spec") or {}).get("unschedulable")
    return f"{ready},SchedulingDisabled" if cordoned else ready


def node_roles(body: Object) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = body["metadata"].get("labels") or {}
    return ",".join(sorted(label[len(prefix):] for label in labels if label.startswith(prefix))) or NONE


def node_address(kind: str) -> Callable[[Object], str]:
    def cell(body: Object) -> str:
        for item in (body.get("status") or {}).get("addresses") or []:
            if item.get("type") == kind:
                return str(item.get("address"))
        return NONE

    return cell


def service_external(body: Object) -> str:
    spec = body.get("spec") or {}
    ingress = ((body.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    found = [item.get("ip") or item.get("hostname") for item in ingress] + (spec.get("externalIPs") or [])
    if found:
        return ",".join(found)
    return "<pending>" if spec.get("type") == "LoadBalancer" else NONE


def service_ports(body: Object) -> str:
    ports = (body.get("spec") or {}).get("ports") or []
    return ",".join(
        f"{port.get('port')}:{port['nodePort']}/{port.get('protocol')}" if port.get("nodePort")
        else f"{port.get('port')}/{port.get('protocol')}"
        for port in ports
    ) or NONE


def service_selector(body: Object) -> str:
    selector = (body.get("spec") or {}).get("selector") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(selector.items())) or NONE


def data_count(body: Object) -> int:
    return len(body.get("data") or {}) + len(body.get("binaryData") or {})


def event_last(body: Object) -> str:
    return age_of(body.get("lastTimestamp") or body.get("eventTime") or body["metadata"].get("creationTimestamp"))


def event_first(body: Object) -> str:
    return age_of(body.get("firstTimestamp") or body.get("eventTime") or body["metadata"].get("creationTimestamp"))


def event_object(body: Object) -> str:
    involved = body.get("involvedObject") or {}
    return f"{str(involved.get('kind', '')).lower()}/{involved.get('name', '')}"


def event_message(body: Object) -> str:
    return str(body.get("message", "")).strip()


def phase(body: Object) -> str:
    if "deletionTimestamp" in body["metadata"]:
        return "Terminating"
    return str((body.get("status") or {}).get("phase", ""))


def modes(section: str) -> Callable[[Object], str]:
    def cell(body: Object) -> str:
        listed = (body.get(section) or {}).get("accessModes") or []
        return ",".join(_MODES.get(mode, mode) for mode in listed)

    return cell


def volume_claim(body: Object) -> str:
    claim = (body.get("spec") or {}).get("claimRef")
    return f"{claim.get('namespace')}/{claim.get('name')}" if claim else ""


def slice_ports(body: Object) -> str:
    ports = body.get("ports")
    if not ports:
        return UNSET_PORTS
    return ",".join(str(port["port"]) if port.get("port") else "*" for port in ports)


UNSET_PORTS = "<unset>"


def slice_endpoints(body: Object) -> str:
    addresses = [address for item in body.get("endpoints") or [] for address in item.get("addresses") or []]
    if not addresses:
        return UNSET_PORTS
    shown = ",".join(addresses[:3])
    return f"{shown} + {len(addresses) - 3} more..." if len(addresses) > 3 else shown
