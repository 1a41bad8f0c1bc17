"""Users, rights and tokens as clients meet them: RBAC, service accounts, reviews, impersonation."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.contract.kubectl import Kubectl
from tests.contract.server import ApiServer, pause

RBAC = "/apis/rbac.authorization.k8s.io/v1"
REVIEWS = "/apis/authorization.k8s.io/v1"


@pytest.fixture
def token(api_server: ApiServer, namespace: str) -> str:
    """A token of the service account `worker` in the test's namespace; it has no rights."""
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    assert api_server.call("POST", accounts, {"metadata": {"name": "worker"}}).status == 201
    answer = api_server.call("POST", f"{accounts}/worker/token", {"spec": {"expirationSeconds": 600}})
    assert answer.status == 201
    return str(answer.body["status"]["token"])


def bind(server: ApiServer, namespace: str, role: str) -> None:
    body = {
        "metadata": {"name": role}, "roleRef": {"kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": "worker", "namespace": namespace}],
    }
    assert server.call("POST", f"{RBAC}/namespaces/{namespace}/rolebindings", body).status == 201


def user(namespace: str) -> str:
    return f"system:serviceaccount:{namespace}:worker"


def test_rights_come_with_a_binding(api_server: ApiServer, namespace: str, token: str) -> None:
    """403 before, 200 after; other namespaces, verbs and subresources stay closed, and creation by an apply too."""
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    assert api_server.call("GET", path, token=token).status == 403
    bind(api_server, namespace, "view")
    assert api_server.call("GET", path, token=token).status == 200
    assert api_server.call("GET", "/api/v1/namespaces/default/configmaps", token=token).status == 403
    assert api_server.call("POST", path, {"metadata": {"name": "a"}}, token=token).status == 403
    patcher = {"rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]}]}
    api_server.call("POST", f"{RBAC}/clusterroles", {"metadata": {"name": f"patch-{namespace}"}, **patcher})
    bind(api_server, namespace, f"patch-{namespace}")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    apply = {"Content-Type": "application/apply-patch+yaml"}
    refused = api_server.call("PATCH", f"{path}/a?fieldManager=x", body, token=token, headers=apply)
    assert (refused.status, "cannot create resource" in refused.body["message"]) == (403, True)


def test_discovery_is_open_to_whoever_has_a_token(api_server: ApiServer, token: str) -> None:
    """Documents are for the authenticated, versions and health for everybody."""
    for path in ("/api", "/apis", "/apis/kubevirt.io/v1", "/openapi/v2"):
        assert api_server.call("GET", path, token=token).status == 200
        assert api_server.call("GET", path, token=None).status == 403
    for path in ("/version", "/readyz"):
        assert api_server.call("GET", path, token=None).status == 200


def test_a_token_lasts_ten_minutes_at_least(api_server: ApiServer, namespace: str, token: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/worker/token"
    refused = api_server.call("POST", path, {"spec": {"expirationSeconds": 60}})
    assert (refused.status, refused.body["message"]) == (422, (
        'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 60: may not specify '
        "a duration less than 10 minutes"
    ))
    missing = api_server.call("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/nobody/token", {})
    assert missing.status == 404
    assert token


def test_a_token_of_a_deleted_account_is_401(api_server: ApiServer, namespace: str, token: str) -> None:
    api_server.call("DELETE", f"/api/v1/namespaces/{namespace}/serviceaccounts/worker")
    assert api_server.call("GET", "/api", token=token).status == 401


def test_a_secret_of_an_account_holds_its_token(api_server: ApiServer, namespace: str, token: str) -> None:
    """Filled a moment after it is created, with a token that works and the CA that signs the server."""
    path = f"/api/v1/namespaces/{namespace}/secrets"
    annotations = {"kubernetes.io/service-account.name": "worker"}
    body = {"metadata": {"name": "t", "annotations": annotations}, "type": "kubernetes.io/service-account-token"}
    assert api_server.call("POST", path, body).status == 201
    for _ in range(50):
        data = api_server.call("GET", f"{path}/t").body.get("data") or {}
        if "token" in data:
            break
        pause(0.02)
    kept = base64.b64decode(data["token"]).decode()
    assert kept != token
    assert who(api_server, kept)["username"] == user(namespace)
    assert base64.b64decode(data["ca.crt"]).decode() == api_server.config.ca_file.read_text()


def who(server: ApiServer, token: str = "", headers: dict[str, str] | None = None) -> Any:
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    return server.call("POST", path, {}, token=token, headers=headers).body["status"]["userInfo"]


def test_who_am_i(api_server: ApiServer, namespace: str, token: str) -> None:
    """The administrator, a service account with its groups, and whom the administrator acts as."""
    assert who(api_server)["groups"] == ["system:masters", "system:authenticated"]
    assert who(api_server, token)["groups"] == [
        "system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated",
    ]
    jane = who(api_server, headers={"Impersonate-User": "jane", "Impersonate-Group": "staff"})
    assert (jane["username"], jane["groups"]) == ("jane", ["staff", "system:authenticated"])


def test_a_review_in_protobuf(api_server: ApiServer, token: str) -> None:
    """What kubectl sends since it prefers protobuf; the answer is JSON, which it accepts too."""
    head = "\n\x18authentication.k8s.io/v1\x12\x11SelfSubjectReview"
    body = f"k8s\0\n{chr(len(head))}{head}\x12\0\x1a\0\"\0"
    headers = {"Content-Type": "application/vnd.kubernetes.protobuf"}
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    answer = api_server.call("POST", path, body, token=token, headers=headers)
    assert (answer.status, answer.body["status"]["userInfo"]["username"][:22]) == (201, "system:serviceaccount:")


def test_acting_as_somebody_else_needs_the_right(api_server: ApiServer, token: str) -> None:
    """A service account may not, and is told so in Kubernetes' words."""
    refused = api_server.call("GET", "/api", token=token, headers={"Impersonate-User": "jane"})
    assert refused.status == 403
    assert 'cannot impersonate resource "users" in API group ""' in refused.body["message"]


def test_reviews(api_server: ApiServer, namespace: str, token: str) -> None:
    """What the caller may do, what somebody else may do, and all that the caller may do."""
    bind(api_server, namespace, "view")
    wanted = {"namespace": namespace, "verb": "list", "resource": "pods"}

    def review(kind: str, spec: Any, as_: str = "") -> Any:
        return api_server.call("POST", f"{REVIEWS}/{kind}", {"spec": spec}, token=as_)

    assert review("selfsubjectaccessreviews", {"resourceAttributes": wanted}, token).body["status"]["allowed"] is True
    closed = {"resourceAttributes": {**wanted, "subresource": "eviction", "verb": "create"}}
    assert review("selfsubjectaccessreviews", closed, token).body["status"] == {"allowed": False}
    path = {"nonResourceAttributes": {"path": "/version", "verb": "get"}}
    assert review("selfsubjectaccessreviews", path, token).body["status"]["allowed"] is True
    other = {"resourceAttributes": wanted, "user": user(namespace)}
    assert review("subjectaccessreviews", other).body["status"]["allowed"] is True
    assert review(f"namespaces/{namespace}/localsubjectaccessreviews", other).body["status"]["allowed"] is True
    assert review("namespaces/default/localsubjectaccessreviews", other).status == 422
    assert review("subjectaccessreviews", other, token).status == 403
    assert review("selfsubjectaccessreviews", {}).status == 422
    rules = review("selfsubjectrulesreviews", {"namespace": namespace}, token).body["status"]["resourceRules"]
    assert any("virtualmachines" in rule["resources"] and "list" in rule["verbs"] for rule in rules)


def test_kubectl_asks_what_somebody_may_do(kubectl: Kubectl, api_server: ApiServer, namespace: str, token: str) -> None:
    """auth can-i, its list, and --as."""
    kubectl("create", "rolebinding", "viewers", "--clusterrole=view", f"--serviceaccount={namespace}:worker")
    as_worker = f"--as={user(namespace)}"
    assert kubectl("auth", "can-i", "list", "vms", as_worker).strip() == "yes"
    for verb, resource in (("create", "vmim"), ("create", "pods/eviction"), ("list", "nodes")):
        done = kubectl.run("auth", "can-i", verb, resource, as_worker, check=False)
        assert (done.returncode, done.stdout.strip()) == (1, "no")
    assert kubectl("auth", "can-i", "*", "*").strip() == "yes"
    assert "virtualmachines.kubevirt.io" in kubectl("auth", "can-i", "--list", as_worker)
    assert "demo/worker".replace("demo", namespace) in kubectl("get", "rolebinding", "viewers", "-o", "wide")
    refused = kubectl.run("get", "nodes", as_worker, check=False)
    assert "cannot list resource" in refused.stderr
    kubectl("--token", token, "get", "vms")


def test_kubectl_makes_and_describes_roles(kubectl: Kubectl) -> None:
    kubectl("create", "role", "readers", "--verb=get,list", "--resource=pods,virtualmachines")
    assert "virtualmachines.kubevirt.io" in kubectl("describe", "role", "readers")
    made = json.loads(kubectl("get", "clusterrole", "view", "-o", "json"))
    assert any("virtualmachines" in rule.get("resources", []) for rule in made["rules"])
