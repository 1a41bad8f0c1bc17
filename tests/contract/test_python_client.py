"""The `kubernetes` Python package works against the lab's API unchanged."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import kubernetes
import pytest
from kubernetes.client.exceptions import ApiException

from tests.contract.server import ApiServer, pause
from tests.contract.test_kubectl import pod, running_pod

sdk: Any = kubernetes
"""The package, untyped: its stubs refuse the plain dictionaries that the client itself takes."""
GROUP = ("kubevirt.io", "v1")
MACHINE = {
    "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": "web"},
    "spec": {"runStrategy": "Halted", "template": {"spec": {"domain": {"devices": {}}}}},
}


@pytest.fixture
def api(api_server: ApiServer) -> Iterator[Any]:
    """A client configured from the lab's kubeconfig."""
    made = sdk.config.new_client_from_config(str(api_server.config.kubeconfig))
    yield made
    made.close()


def test_typed_core_objects(api: Any, namespace: str) -> None:
    """CoreV1Api creates, reads, replaces, patches, lists and deletes."""
    core = sdk.client.CoreV1Api(api)
    meta = sdk.client.V1ObjectMeta(generate_name="c-", labels={"a": "b"})
    body = sdk.client.V1ConfigMap(metadata=meta, data={"k": "v"})
    made = core.create_namespaced_config_map(namespace, body)
    assert made.metadata.name.startswith("c-")
    made.data["k"] = "w"
    replaced = core.replace_namespaced_config_map(made.metadata.name, namespace, made)
    with pytest.raises(ApiException) as stale:
        core.replace_namespaced_config_map(made.metadata.name, namespace, made)
    assert stale.value.status == 409
    core.patch_namespaced_config_map(made.metadata.name, namespace, {"data": {"x": "y"}})
    assert core.read_namespaced_config_map(made.metadata.name, namespace).data == {"k": "w", "x": "y"}
    listed = core.list_namespaced_config_map(namespace, label_selector="a=b")
    assert [item.metadata.uid for item in listed.items] == [replaced.metadata.uid]
    core.delete_namespaced_config_map(made.metadata.name, namespace)
    with pytest.raises(ApiException) as missing:
        core.read_namespaced_config_map(made.metadata.name, namespace)
    assert (missing.value.status, missing.value.reason) == (404, "Not Found")


def test_typed_node_patch(api: Any, node: str) -> None:
    """patch_node cordons with a strategic merge patch."""
    core = sdk.client.CoreV1Api(api)
    core.patch_node(node, {"spec": {"unschedulable": True}})
    assert core.read_node(node).spec.unschedulable is True
    found = core.list_node(field_selector="spec.unschedulable=true")
    assert node in [item.metadata.name for item in found.items]


def test_eviction_refused_is_an_api_exception(api: Any, api_server: ApiServer, namespace: str, node: str) -> None:
    """A refused eviction raises with status 429 and the budget's reason."""
    running_pod(api_server, namespace, pod("one", node, {"app": "x"}))
    policy = sdk.client.PolicyV1Api(api)
    policy.create_namespaced_pod_disruption_budget(namespace, {
        "metadata": {"name": "keep"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}},
    })
    eviction = sdk.client.V1Eviction(metadata=sdk.client.V1ObjectMeta(name="one", namespace=namespace))
    with pytest.raises(ApiException) as refused:
        sdk.client.CoreV1Api(api).create_namespaced_pod_eviction("one", namespace, eviction)
    assert refused.value.status == 429
    assert "DisruptionBudget" in str(refused.value.body)


def test_dynamic_client(api: Any, namespace: str) -> None:
    """The dynamic client discovers KubeVirt's kinds and works on them."""
    machines = sdk.dynamic.DynamicClient(api).resources.get(api_version="kubevirt.io/v1", kind="VirtualMachine")
    machines.create(body=MACHINE, namespace=namespace)
    patch = {"metadata": {"labels": {"tier": "web"}}}
    patched = machines.patch(
        name="web", namespace=namespace, body=patch, content_type="application/merge-patch+json"
    )
    assert patched.metadata.labels.tier == "web"
    listed = machines.get(namespace=namespace, label_selector="tier=web")
    assert [item.metadata.name for item in listed.items] == ["web"]
    machines.delete(name="web", namespace=namespace)
    assert machines.get(namespace=namespace).items == []


def test_custom_objects(api: Any, namespace: str) -> None:
    """CustomObjectsApi works, and its status subresource leaves the spec alone."""
    custom = sdk.client.CustomObjectsApi(api)
    custom.create_namespaced_custom_object(*GROUP, namespace, "virtualmachines", MACHINE)
    change = {"spec": {"runStrategy": "Always"}, "status": {"printableStatus": "Running"}}
    custom.patch_namespaced_custom_object_status(*GROUP, namespace, "virtualmachines", "web", change)
    found = custom.get_namespaced_custom_object(*GROUP, namespace, "virtualmachines", "web")
    assert found["status"] == {"printableStatus": "Running"}
    assert found["spec"]["runStrategy"] == "Halted"
    assert found["metadata"]["generation"] == 1


def test_watch_yields_typed_events(api: Any, namespace: str) -> None:
    """Watch yields ADDED, MODIFIED and DELETED with typed objects and ends by its timeout."""
    core = sdk.client.CoreV1Api(api)

    def changes() -> None:
        pause(0.3)
        core.create_namespaced_config_map(namespace, {"metadata": {"name": "one"}})
        core.patch_namespaced_config_map("one", namespace, {"data": {"a": "1"}})
        core.delete_namespaced_config_map("one", namespace)

    worker = threading.Thread(target=changes)
    worker.start()
    stream = sdk.watch.Watch().stream(core.list_namespaced_config_map, namespace, timeout_seconds=2)
    seen = [(event["type"], event["object"].metadata.name, event["object"].data) for event in stream]
    worker.join()
    assert seen == [("ADDED", "one", None), ("MODIFIED", "one", {"a": "1"}), ("DELETED", "one", {"a": "1"})]
