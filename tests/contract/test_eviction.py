"""pods/eviction of virt-launcher pods answers as KubeVirt's interceptor does, in every case of its table."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.server import Answer, ApiServer

PREFIX = 'admission webhook "virt-launcher-eviction-interceptor.kubevirt.io" denied the request: '
MERGE = {"Content-Type": "application/merge-patch+json"}


class Guest:
    """A VMI with its launcher pod on node-a, written as the controllers would write them."""

    def __init__(self, server: ApiServer, namespace: str, strategy: str | None, *, migratable: bool = True) -> None:
        self.server, self.namespace, self.pod = server, namespace, "virt-launcher-web-abcde"
        self._instances = f"/apis/kubevirt.io/v1/namespaces/{namespace}/virtualmachineinstances"
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        conditions = [{"type": "LiveMigratable", "status": "True" if migratable else "False"}]
        spec: dict[str, Any] = {"domain": {"devices": {}}}
        if strategy:
            spec["evictionStrategy"] = strategy
        made = server.call("POST", self._instances, {
            "metadata": {"name": "web"}, "spec": spec,
            "status": {"phase": "Running", "nodeName": "node-a", "conditions": conditions},
        })
        self.uid = made.body["metadata"]["uid"]
        self.add_pod(self.pod, "node-a")

    def add_pod(self, name: str, node: str) -> None:
        self.server.call("POST", self._pods, {
            "metadata": {
                "name": name, "annotations": {"kubevirt.io/domain": "web"},
                "labels": {"kubevirt.io": "virt-launcher", "kubevirt.io/created-by": self.uid},
            },
            "spec": {"nodeName": node, "containers": [{"name": "compute", "image": "example/launcher"}]},
        })
        self.set_phase(name, "Running")

    def set_phase(self, pod: str, phase: str) -> None:
        answer = self.server.call("PATCH", f"{self._pods}/{pod}/status", {"status": {"phase": phase}}, headers=MERGE)
        assert answer.status == 200

    def set_status(self, **fields: Any) -> None:
        answer = self.server.call("PATCH", f"{self._instances}/web", {"status": fields}, headers=MERGE)
        assert answer.status == 200

    def mark(self) -> str | None:
        status: dict[str, str] = self.server.call("GET", f"{self._instances}/web").body["status"]
        return status.get("evacuationNodeName")

    def evict(self, pod: str = "", *, version: str = "policy/v1", dry_run: bool = False) -> Answer:
        name = pod or self.pod
        body: dict[str, Any] = {"apiVersion": version, "kind": "Eviction", "metadata": {"name": name}}
        if dry_run:
            body["deleteOptions"] = {"dryRun": ["All"]}
        return self.server.call("POST", f"{self._pods}/{name}/eviction", body)

    def deleting(self) -> bool:
        found = self.server.call("GET", f"{self._pods}/{self.pod}")
        return found.status == 404 or "deletionTimestamp" in found.body["metadata"]


def refused(answer: Answer, text: str) -> None:
    assert answer.status == 429
    head = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    assert answer.body == {**head, "message": PREFIX + text, "code": 429}


@pytest.mark.parametrize("strategy", ["LiveMigrate", "LiveMigrateIfPossible", "External"])
def test_eviction_marks_and_refuses(api_server: ApiServer, namespace: str, strategy: str) -> None:
    """The first refusal marks the VMI, later ones say that the evacuation goes on."""
    guest = Guest(api_server, namespace, strategy)
    title = f'Eviction triggered evacuation of VMI "{namespace}/web"'
    refused(guest.evict(), title)
    assert guest.mark() == "node-a"
    refused(guest.evict(version="policy/v1beta1"), f"Evacuation in progress: {title}")
    assert not guest.deleting()


@pytest.mark.parametrize(("strategy", "migratable"), [(None, True), ("None", True), ("LiveMigrateIfPossible", False)])
def test_eviction_is_allowed(api_server: ApiServer, namespace: str, strategy: str | None, migratable: bool) -> None:
    """Without a strategy, or when moving is only preferred and impossible, the pod goes."""
    guest = Guest(api_server, namespace, strategy, migratable=migratable)
    answer = guest.evict()
    assert (answer.status, answer.body["status"]) == (201, "Success")
    assert guest.deleting()
    assert guest.mark() is None


def test_eviction_of_a_guest_that_cannot_move(api_server: ApiServer, namespace: str) -> None:
    """LiveMigrate without migratability refuses for ever and marks nothing."""
    guest = Guest(api_server, namespace, "LiveMigrate", migratable=False)
    refused(guest.evict(), "VMI web is configured with an eviction strategy but is not live-migratable")
    assert guest.mark() is None


def test_dry_run_refuses_without_a_mark(api_server: ApiServer, namespace: str) -> None:
    """A dry run gets the same 429 and sets nothing."""
    guest = Guest(api_server, namespace, "LiveMigrate")
    refused(guest.evict(dry_run=True), f'Eviction triggered evacuation of VMI "{namespace}/web"')
    assert guest.mark() is None


def test_pods_of_a_migration(api_server: ApiServer, namespace: str) -> None:
    """The target pod is refused; after the switch so is the source pod, until it has completed."""
    guest = Guest(api_server, namespace, "LiveMigrate")
    guest.evict()
    guest.add_pod("virt-launcher-web-fghij", "node-b")
    refused(guest.evict("virt-launcher-web-fghij"), "Eviction request for target Pod")
    guest.set_status(nodeName="node-b", evacuationNodeName=None)
    refused(guest.evict(), "Eviction request for target Pod")
    guest.set_phase(guest.pod, "Succeeded")
    assert guest.evict().status == 201
    assert guest.deleting()


def test_cluster_default_applies(api_server: ApiServer, namespace: str) -> None:
    """A VMI without a strategy of its own takes KubeVirt's."""
    kubevirt = "/apis/kubevirt.io/v1/namespaces/kubevirt/kubevirts/kubevirt"

    def set_default(strategy: str | None) -> None:
        change = {"spec": {"configuration": {"evictionStrategy": strategy}}}
        assert api_server.call("PATCH", kubevirt, change, headers=MERGE).status == 200

    set_default("LiveMigrate")
    try:
        assert Guest(api_server, namespace, None).evict().status == 429
    finally:
        set_default(None)


def test_eviction_request_errors(api_server: ApiServer, namespace: str) -> None:
    """A missing pod is 404, another name in the body 400, a GET 405."""
    guest = Guest(api_server, namespace, "LiveMigrate")
    assert guest.evict("nosuch").status == 404
    path = f"/api/v1/namespaces/{namespace}/pods/{guest.pod}/eviction"
    wrong = api_server.call("POST", path, {"metadata": {"name": "other"}})
    assert (wrong.status, wrong.body["message"]) == (400, "name in URL does not match name in Eviction object")
    assert api_server.call("GET", path).status == 405


def test_discovery_tells_kubectl_to_evict(api_server: ApiServer) -> None:
    """Without this entry kubectl drain would delete pods silently."""
    resources = api_server.call("GET", "/api/v1").body["resources"]
    entry = next(item for item in resources if item["name"] == "pods/eviction")
    assert (entry["group"], entry["version"], entry["kind"]) == ("policy", "v1", "Eviction")
