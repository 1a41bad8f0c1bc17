"""Server-side apply as clients see it: the API's answers, and kubectl's handling of them."""

from __future__ import annotations

from typing import Any

from tests.contract.kubectl import Kubectl
from tests.contract.server import Answer, ApiServer

APPLY = {"Content-Type": "application/apply-patch+yaml"}
CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {app.kubernetes.io/name: web}}
data: {colour: green}
"""


def apply(server: ApiServer, path: str, body: Any, query: str = "fieldManager=one") -> Answer:
    return server.call("PATCH", f"{path}?{query}", body, headers=APPLY)


def config(namespace: str, data: dict[str, str], **metadata: str) -> tuple[str, dict[str, Any]]:
    path = f"/api/v1/namespaces/{namespace}/configmaps/settings"
    return path, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", **metadata}, "data": data}


def test_an_apply_without_change_is_no_event(api_server: ApiServer, namespace: str) -> None:
    """The same configuration again leaves the resourceVersion, and so every watch, alone."""
    made = apply(api_server, *config(namespace, {"a": "1"}))
    again = apply(api_server, *config(namespace, {"a": "1"}))
    assert (made.status, again.status) == (201, 200)
    assert again.body == made.body


def test_dry_run_changes_nothing(api_server: ApiServer, namespace: str) -> None:
    """Neither creation nor change is kept; conflicts are answered all the same."""
    path, body = config(namespace, {"a": "1"})
    assert apply(api_server, path, body, "fieldManager=one&dryRun=All").status == 201
    assert api_server.call("GET", path).status == 404
    apply(api_server, path, body)
    changed = {**body, "data": {"a": "2"}}
    assert apply(api_server, path, changed, "fieldManager=one&dryRun=All").body["data"] == {"a": "2"}
    assert apply(api_server, path, changed, "fieldManager=two&dryRun=All").status == 409
    assert api_server.call("GET", path).body["data"] == {"a": "1"}


def test_preconditions(api_server: ApiServer, namespace: str) -> None:
    """A uid or resourceVersion in the configuration must be that of the object."""
    path, body = config(namespace, {"a": "1"})
    made = apply(api_server, path, body).body["metadata"]
    for name, value in (("uid", "a9ec1a95-0f07-4542-a62b-d39365a83627"), ("resourceVersion", "1")):
        assert apply(api_server, *config(namespace, {"a": "2"}, **{name: value})).status == 409
    good = config(namespace, {"a": "2"}, uid=made["uid"], resourceVersion=made["resourceVersion"])
    assert apply(api_server, *good).status == 200
    api_server.call("DELETE", path)
    assert apply(api_server, *config(namespace, {"a": "2"}, uid=made["uid"])).status == 409


def test_what_is_no_configuration_is_refused(api_server: ApiServer, namespace: str) -> None:
    """Another kind, another version, another name, no name, no object."""
    path, body = config(namespace, {})
    for wrong in (
        {**body, "kind": "Secret"}, {**body, "apiVersion": "v2"}, {**body, "metadata": {"name": "other"}},
        {**body, "metadata": {}}, "a: [", "- a",
    ):
        assert apply(api_server, path, wrong).status == 400
    assert apply(api_server, path, body, "fieldManager=" + "x" * 129).status == 422


def test_another_writer_is_tracked_once_an_object_is_applied(api_server: ApiServer, namespace: str) -> None:
    """The user agent's program is the manager of a write that names none."""
    path, body = config(namespace, {"a": "1"})
    apply(api_server, path, body)
    merge = {"Content-Type": "application/merge-patch+json", "User-Agent": "tool/1.0 (linux)"}
    api_server.call("PATCH", path, {"data": {"a": "2"}}, headers=merge)
    refused = apply(api_server, path, body)
    assert (refused.status, refused.body["message"]) == (
        409, 'Apply failed with 1 conflict: conflict with "tool" using v1: .data.a'
    )
    forced = apply(api_server, path, body, "fieldManager=one&force=true")
    assert [entry["manager"] for entry in forced.body["metadata"]["managedFields"]] == ["one"]


def test_kubectl_applies_on_the_server(kubectl: Kubectl) -> None:
    """Created, unchanged, in conflict with another manager, and forced."""
    arguments = ("apply", "--server-side", "-f", "-")
    assert "serverside-applied" in kubectl(*arguments, stdin=CONFIG)
    kubectl(*arguments, stdin=CONFIG)
    changed = CONFIG.replace("green", "red")
    refused = kubectl.run(*arguments, "--field-manager=other", stdin=changed, check=False)
    assert refused.returncode == 1
    assert 'Apply failed with 1 conflict: conflict with "kubectl": .data.colour' in refused.stderr
    kubectl(*arguments, "--field-manager=other", "--force-conflicts", stdin=changed)
    assert kubectl("get", "configmap", "settings", "-o", "jsonpath={.data.colour}") == "red"
    shown = kubectl("get", "configmap", "settings", "-o", "jsonpath={.metadata.managedFields[*].manager}")
    assert sorted(shown.split()) == ["kubectl", "other"]


def test_kubectl_goes_over_from_the_client_to_the_server(kubectl: Kubectl) -> None:
    """What `kubectl apply` has applied by itself is no conflict for `kubectl apply --server-side`."""
    kubectl("apply", "-f", "-", stdin=CONFIG)
    kubectl("apply", "--server-side", "-f", "-", stdin=CONFIG.replace("green", "red"))
    assert kubectl("get", "configmap", "settings", "-o", "jsonpath={.data.colour}") == "red"
