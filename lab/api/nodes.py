"""Where things run: the address of a node's agent, of a pod, and of what a Service stands for."""

from __future__ import annotations

from lab.api.errors import Object, StatusError, bad_request, not_found
from lab.api.store import Store
from lab.config import AGENT_PORT
from lab.kinds import ENDPOINT_SLICE, NODE, POD, SERVICE


def _node_address(store: Store, name: str) -> str:
    """Raises StatusError 404 for an unknown node, 503 for one without an address."""
    stored = store.get(NODE, "", name)
    if stored is None:
        raise not_found(NODE, name)
    for item in (stored.body.get("status") or {}).get("addresses") or []:
        if item.get("type") == "InternalIP":
            return str(item["address"])
    raise StatusError(503, "ServiceUnavailable", f'node "{name}" has published no InternalIP yet')


def agent_url(store: Store, body: Object) -> str:
    """The agent of the node that a VMI (status.nodeName) or a pod (spec.nodeName) is on."""
    name = (body.get("status") or {}).get("nodeName") or (body.get("spec") or {}).get("nodeName")
    if not name:
        raise bad_request(f'{body.get("kind")} "{body["metadata"]["name"]}" is not on a node yet')
    return f"http://{_node_address(store, name)}:{AGENT_PORT}"


def pod_target(store: Store, namespace: str, text: str) -> str:
    """The URL behind `pods/<name>[:<port>]/proxy`."""
    _, name, port = split_target(text)
    stored = store.get(POD, namespace, name)
    if stored is None:
        raise not_found(POD, name)
    address = (stored.body.get("status") or {}).get("podIP")
    if not address:
        raise bad_request("address not allowed")
    return f"http://{address}:{port or 80}"


def service_target(store: Store, namespace: str, text: str) -> str:
    """The URL of a ready endpoint behind `services/[<scheme>:]<name>[:<port>]/proxy`.

    Raises StatusError 404 for an unknown Service, 503 when no endpoint of the port is ready.
    """
    scheme, name, port = split_target(text)
    stored = store.get(SERVICE, namespace, name)
    if stored is None:
        raise not_found(SERVICE, name)
    chosen = _service_port(stored.body, port)
    refusal = StatusError(503, "ServiceUnavailable", f'no endpoints available for service "{text}"')
    if chosen is None:
        raise StatusError(503, "ServiceUnavailable", f'no service port "{port}" found for service "{name}"')
    for item in store.list(ENDPOINT_SLICE, namespace):
        if (item.body["metadata"].get("labels") or {}).get("kubernetes.io/service-name") != name:
            continue
        number = _slice_port(item.body, chosen)
        for endpoint in item.body.get("endpoints") or []:
            ready = (endpoint.get("conditions") or {}).get("ready", True)
            if number and ready is not False and endpoint.get("addresses"):
                return f"{scheme or 'http'}://{endpoint['addresses'][0]}:{number}"
    raise refusal


def split_target(text: str) -> tuple[str, str, str]:
    """(scheme, name, port) of `name`, `name:port` or `scheme:name:port`."""
    parts = text.split(":")
    if len(parts) == 3:
        return parts[0], parts[1], parts[2]
    return "", parts[0], parts[1] if len(parts) > 1 else ""


def _service_port(service: Object, wanted: str) -> Object | None:
    ports: list[Object] = (service.get("spec") or {}).get("ports") or []
    if not wanted:
        return ports[0] if len(ports) == 1 else None
    for port in ports:
        if wanted in (port.get("name"), str(port.get("port"))):
            return port
    return None


def _slice_port(endpoints: Object, port: Object) -> int | None:
    ports: list[Object] = endpoints.get("ports") or []
    for item in ports:
        if (item.get("name") or "") == (port.get("name") or ""):
            return item.get("port")
    return ports[0].get("port") if len(ports) == 1 else None
