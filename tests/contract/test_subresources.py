"""KubeVirt's subresources and the admission of migrations, as recorded from a real cluster."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from tests.contract.server import Answer, ApiServer

ANY = {"Accept": "*/*"}
MERGE = {"Content-Type": "application/merge-patch+json"}
NODE_ADDRESS = "127.77.0.11"


class Machine:
    """A VirtualMachine named web and, once it runs, its instance."""

    def __init__(self, server: ApiServer, namespace: str, strategy: str) -> None:
        self.server = server
        self._base = f"/apis/kubevirt.io/v1/namespaces/{namespace}"
        self._calls = f"/apis/subresources.kubevirt.io/v1/namespaces/{namespace}"
        template: dict[str, Any] = {"spec": {"domain": {"devices": {}}}}
        made = server.call("POST", f"{self._base}/virtualmachines", {
            "metadata": {"name": "web"}, "spec": {"runStrategy": strategy, "template": template},
        })
        assert made.status == 201

    def run(self, **status: Any) -> str:
        """Create the instance; returns its uid."""
        made = self.server.call("POST", f"{self._base}/virtualmachineinstances", {
            "metadata": {"name": "web"}, "spec": {"domain": {"devices": {}}},
            "status": {"phase": "Running", "nodeName": "node-a", **status},
        })
        return str(made.body["metadata"]["uid"])

    def put(self, call: str, body: Any = None, *, instance: bool = False, headers: dict[str, str] = ANY) -> Answer:
        plural = "virtualmachineinstances" if instance else "virtualmachines"
        return self.server.call("PUT", f"{self._calls}/{plural}/web/{call}", body or {}, headers=headers)

    def get(self, call: str) -> Answer:
        return self.server.call("GET", f"{self._calls}/virtualmachineinstances/web/{call}", headers=ANY)

    def body(self) -> Any:
        return self.server.call("GET", f"{self._base}/virtualmachines/web").body

    def migrate(self, name: str = "move", **spec: Any) -> Answer:
        body = {"metadata": {"name": name}, "spec": {"vmiName": "web", **spec}}
        return self.server.call("POST", f"{self._base}/virtualmachineinstancemigrations", body)


def conflict(answer: Answer, text: str) -> None:
    assert (answer.status, answer.body["reason"]) == (409, "Conflict")
    assert answer.body["message"].endswith(f'"web": {text}')


def test_start_and_stop_change_the_run_strategy(api_server: ApiServer, namespace: str) -> None:
    """start under Halted writes Always, stop under Always writes Halted; both answer 202 with no body."""
    machine = Machine(api_server, namespace, "Halted")
    started = machine.put("start")
    assert (started.status, started.body) == (202, "")
    assert machine.body()["spec"]["runStrategy"] == "Always"
    conflict(machine.put("start"), "VM is already running")
    machine.run()
    assert machine.put("stop").status == 202
    assert machine.body()["spec"]["runStrategy"] == "Halted"


def test_manual_machines_get_state_change_requests(api_server: ApiServer, namespace: str) -> None:
    """Under Manual the spec stays and the request stands in the status."""
    machine = Machine(api_server, namespace, "Manual")
    conflict(machine.put("stop"), "VM is not running")
    machine.put("start")
    assert machine.body()["status"]["stateChangeRequests"] == [{"action": "Start"}]
    uid = machine.run()
    machine.put("stop")
    assert machine.body()["status"]["stateChangeRequests"] == [{"action": "Stop", "uid": uid}]
    machine.put("restart")
    assert [item["action"] for item in machine.body()["status"]["stateChangeRequests"]] == ["Stop", "Start"]
    assert machine.body()["spec"]["runStrategy"] == "Manual"


def test_wrong_states_and_requests(api_server: ApiServer, namespace: str) -> None:
    """Wrong state 409, bad grace period 400, JSON-only clients 406, wrong method 405, unknown call 404."""
    machine = Machine(api_server, namespace, "Halted")
    conflict(machine.put("restart"), "VM is not running: Halted")
    assert machine.put("restart", {"gracePeriodSeconds": 5}).status == 400
    assert machine.put("start", headers={}).status == 406
    assert machine.put("explode").body == "404: Page Not Found"
    assert machine.get("pause").status == 405
    assert machine.put("pause").status == 404
    assert machine.get("guestosinfo").status == 500
    machine.run()
    conflict(machine.put("unpause", instance=True), "VMI is not paused")


def test_migrate_creates_a_migration(api_server: ApiServer, namespace: str) -> None:
    """migrate answers 202 and leaves a labelled migration with its finalizer; a second one is 500."""
    machine = Machine(api_server, namespace, "Always")
    assert machine.put("migrate").status == 404
    machine.run()
    assert machine.put("migrate").status == 202
    path = f"/apis/kubevirt.io/v1/namespaces/{namespace}/virtualmachineinstancemigrations"
    item = api_server.call("GET", path).body["items"][0]
    assert item["metadata"]["name"].startswith("kubevirt-migrate-vm-")
    assert item["metadata"]["labels"] == {"kubevirt.io/vmi-name": "web"}
    assert item["metadata"]["finalizers"] == ["kubevirt.io/migrationJobFinalize"]
    again = machine.put("migrate")
    assert (again.status, again.body["reason"]) == (500, "InternalError")
    assert "in-flight migration detected" in again.body["message"]


def test_migrations_that_are_refused(api_server: ApiServer, namespace: str) -> None:
    """Missing VMI, empty name, not migratable, in flight, final: each with the webhook's code."""
    machine = Machine(api_server, namespace, "Always")
    missing = machine.migrate()
    assert (missing.status, missing.body.get("reason")) == (400, None)
    assert missing.body["message"].endswith(f'the VMI "{namespace}/web" does not exist')
    assert machine.migrate(vmiName="").status == 422
    machine.run(conditions=[{
        "type": "LiveMigratable", "status": "False", "reason": "DisksNotLiveMigratable", "message": "not shared",
    }])
    refused = machine.migrate()
    assert refused.status == 400
    assert refused.body["message"].endswith(
        "Cannot migrate VMI, Reason: DisksNotLiveMigratable, Message: not shared"
    )
    instance = f"/apis/kubevirt.io/v1/namespaces/{namespace}/virtualmachineinstances/web"
    api_server.call("PATCH", instance, {"status": {"conditions": None}}, headers=MERGE)
    assert machine.migrate().status == 201
    assert "in-flight migration detected" in machine.migrate("second").body["message"]
    path = f"/apis/kubevirt.io/v1/namespaces/{namespace}/virtualmachineinstancemigrations/move"
    changed = api_server.call("PATCH", path, {"spec": {"vmiName": "other"}}, headers=MERGE)
    assert (changed.status, changed.body["reason"]) == (422, "Invalid")


def test_instance_spec_is_immutable(api_server: ApiServer, namespace: str) -> None:
    """Users change neither a VMI's spec nor its reserved labels, but may add labels of their own."""
    Machine(api_server, namespace, "Always").run()
    path = f"/apis/kubevirt.io/v1/namespaces/{namespace}/virtualmachineinstances/web"
    spec = api_server.call("PATCH", path, {"spec": {"evictionStrategy": "None"}}, headers=MERGE)
    assert (spec.status, spec.body["message"].rpartition(": ")[2]) == (422, "update of VMI object is restricted")
    label = {"metadata": {"labels": {"kubevirt.io/nodeName": "x"}}}
    assert api_server.call("PATCH", path, label, headers=MERGE).status == 422
    assert api_server.call("PATCH", path, {"metadata": {"labels": {"own": "x"}}}, headers=MERGE).status == 200


class Agent(http.server.BaseHTTPRequestHandler):
    """Stands for a node's agent, a pod and the backend of a Service at once: it answers with what it was asked."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer()

    def _answer(self) -> None:
        self.seen.append(f"{self.command} {self.path}")
        data = f"{self.command} {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def agent() -> Iterator[None]:
    """An HTTP server where node-a's agent would be."""
    with http.server.ThreadingHTTPServer((NODE_ADDRESS, 10250), Agent) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


def test_proxied_requests(api_server: ApiServer, namespace: str, agent: None) -> None:
    """Guest calls, logs, and pod and Service proxies reach the node's network with path and query kept."""
    api_server.call("POST", "/api/v1/nodes", {"metadata": {"name": "node-a"}})
    status = {"status": {"addresses": [{"type": "InternalIP", "address": NODE_ADDRESS}]}}
    api_server.call("PATCH", "/api/v1/nodes/node-a/status", status, headers=MERGE)
    machine = Machine(api_server, namespace, "Always")
    machine.run(conditions=[{"type": "AgentConnected", "status": "True"}])
    guest = f"/v1/namespaces/{namespace}/virtualmachineinstances/web"
    assert machine.put("pause", instance=True).body == f"PUT {guest}/pause"
    assert machine.get("guestosinfo").body == f"GET {guest}/guestosinfo"
    core = f"/api/v1/namespaces/{namespace}"
    containers = [{"name": "compute", "image": "example/x"}]
    api_server.call("POST", f"{core}/pods", {
        "metadata": {"name": "one"}, "spec": {"nodeName": "node-a", "containers": containers},
    })
    pod_status = {"status": {"podIP": NODE_ADDRESS}}
    api_server.call("PATCH", f"{core}/pods/one/status", pod_status, headers=MERGE)
    log = api_server.call("GET", f"{core}/pods/one/log?tailLines=3", headers=ANY)
    assert log.body == f"GET /containerLogs/{namespace}/one/compute?tailLines=3"
    assert api_server.call("GET", f"{core}/pods/one:10250/proxy/a/b?c=d", headers=ANY).body == "GET /a/b?c=d"
    api_server.call("POST", f"{core}/services", {
        "metadata": {"name": "web"}, "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 10250}]},
    })
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
    assert api_server.call("GET", f"{core}/services/web:80/proxy/", headers=ANY).status == 503
    api_server.call("POST", slices, {
        "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}}, "addressType": "IPv4",
        "ports": [{"name": "http", "port": 10250}],
        "endpoints": [{"addresses": [NODE_ADDRESS], "conditions": {"ready": True}}],
    })
    for port in ("http", "80"):
        assert api_server.call("GET", f"{core}/services/web:{port}/proxy/x", headers=ANY).body == "GET /x"
