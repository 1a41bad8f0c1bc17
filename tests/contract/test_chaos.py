"""Chaos Mesh's objects, and what an HTTPChaos on the API server does to its clients."""

from __future__ import annotations

import base64
import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from drainproof.api import HTTP_CHAOS, NAMESPACES, NODES, Cluster
from drainproof.errors import ApiError
from tests.contract.kubectl import Kubectl
from tests.contract.server import ApiServer, pause, running

HOME = "chaos"
API_POD = {"namespaces": ["kube-system"], "labelSelectors": {"component": "kube-apiserver"}}
NETWORK = {"action": "partition", "mode": "all", "selector": {"labelSelectors": {"app": "x"}}}
EXPIRED = {"kind": "Status", "apiVersion": "v1", "code": 410, "reason": "Expired", "message": "too old"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server of these tests' own, for its faults hit everybody."""
    with running(tmp_path_factory.mktemp("chaos")) as started:
        assert started.call("POST", "/api/v1/namespaces", {"metadata": {"name": HOME}}).status == 201
        yield started


@pytest.fixture
def cluster(server: ApiServer) -> Cluster:
    return Cluster.connect(server.config.kubeconfig).impatient


@contextmanager
def fault(cluster: Cluster, seconds: float, **spec: Any) -> Iterator[None]:
    """An HTTPChaos in force, with the records that the lab's controllers would write; gone after its duration."""
    common = {"mode": "all", "selector": API_POD, "port": 6443, "duration": f"{seconds}s", "target": "Request"}
    cluster.create(HTTP_CHAOS, {"metadata": {"name": "fault"}, "spec": {**common, **spec}}, HOME)
    record = {"id": "kube-system/kube-apiserver-control-plane", "selectorKey": ".", "phase": "Injected",
              "injectedCount": 1, "recoveredCount": 0}
    begun = time.monotonic()
    cluster.patch(HTTP_CHAOS, "fault", {"status": {"experiment": {"containerRecords": [record]}}}, HOME)
    yield
    pause(max(0.0, seconds + 0.3 - (time.monotonic() - begun)))
    cluster.delete(HTTP_CHAOS, "fault", HOME)


def test_an_abort_ends_connections_and_is_over_by_itself(cluster: Cluster) -> None:
    """Requests get no answer at all; after the duration they do, though nobody could reach the API meanwhile."""
    with fault(cluster, 2, abort=True):
        with pytest.raises(ApiError) as refused:
            cluster.version()
        assert refused.value.code == 0
    assert cluster.version().startswith("v1.")


def test_a_watch_under_way_is_cut(cluster: Cluster) -> None:
    """The stream that stood before the abort breaks when it begins, long before its own end."""
    version = cluster.list(NAMESPACES)["metadata"]["resourceVersion"]
    ended: list[tuple[float, str]] = []

    def follow() -> None:
        try:
            list(cluster.watch(NAMESPACES, None, version, seconds=30))
        except ApiError as error:
            ended.append((time.monotonic(), str(error.code)))

    worker = threading.Thread(target=follow)
    worker.start()
    pause(0.5)
    with fault(cluster, 2, abort=True):
        worker.join(timeout=5)
        assert [code for _, code in ended] == ["0"]


def test_a_delay_by_method_and_path(cluster: Cluster) -> None:
    """Only what matches waits."""
    with fault(cluster, 3, delay="800ms", method="GET", path="/api/v1/nodes*"):
        begun = time.monotonic()
        cluster.items(NODES)
        hit = time.monotonic() - begun
        cluster.version()
        other = time.monotonic() - begun - hit
    assert hit >= 0.8 > other


def test_an_error_code_with_its_headers(cluster: Cluster, server: ApiServer) -> None:
    """429 with Retry-After; the request was not carried out."""
    replace = {"code": 429, "headers": {"Retry-After": "1"}}
    with fault(cluster, 2, target="Response", method="POST", replace=replace):
        with pytest.raises(ApiError) as refused:
            cluster.create(NAMESPACES, {"metadata": {"name": "never"}})
        assert refused.value.code == 429
        answer = server.call("POST", "/api/v1/namespaces", {"metadata": {"name": "never"}})
        assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
        assert cluster.find(NAMESPACES, "never") is None


def test_expired_watches(cluster: Cluster) -> None:
    """Code 410 for GETs, with a Status in the body as a client expects it."""
    body = base64.b64encode(json.dumps(EXPIRED).encode()).decode()
    with fault(cluster, 2, target="Response", method="GET", replace={"code": 410, "body": body}):
        with pytest.raises(ApiError) as refused:
            list(cluster.watch(NAMESPACES, None, "1", seconds=2))
        assert (refused.value.code, refused.value.reason) == (410, "Expired")


def test_an_aborted_response_hides_a_request_that_was_carried_out(cluster: Cluster, server: ApiServer) -> None:
    """The client cannot know; the object is there afterwards."""
    with fault(cluster, 2, target="Response", abort=True, method="POST"), pytest.raises(
        (http.client.RemoteDisconnected, OSError)
    ):
        server.call("POST", "/api/v1/namespaces", {"metadata": {"name": "hidden"}})
    assert cluster.get(NAMESPACES, "hidden")["metadata"]["name"] == "hidden"


def test_the_servers_own_pod_is_a_mirror_pod(server: ApiServer) -> None:
    """Selected by the label that every kubeadm cluster gives it, and marked so that drains leave it alone."""
    query = "labelSelector=component%3Dkube-apiserver"
    found = server.call("GET", f"/api/v1/namespaces/kube-system/pods?{query}").body["items"]
    assert [pod["metadata"]["annotations"]["kubernetes.io/config.mirror"] for pod in found] == ["lab"]
    assert found[0]["status"]["phase"] == "Running"


@pytest.mark.parametrize(("path", "spec", "status", "words"), [
    ("networkchaos", {**NETWORK, "action": "explode"}, 422, 'spec.action: Unsupported value: "explode"'),
    ("networkchaos", {"action": "partition", "selector": {}}, 422, "spec.mode: Required value"),
    ("networkchaos", {**NETWORK, "duration": "soon"}, 403,
     'denied the request: spec.duration: Invalid value: "soon": parse duration field error: time: invalid duration'),
    ("networkchaos", {**NETWORK, "mode": "fixed", "value": "0"}, 403, "value must be greater than 0 with mode:fixed"),
    ("networkchaos", {**NETWORK, "action": "loss", "loss": {"loss": "many"}}, 403, "parse correlation field error"),
    ("networkchaos", {**NETWORK, "action": "loss", "direction": "both", "loss": {"loss": "5"}}, 403,
     "`from` and `both` direction cannot be used when targets is empty in netem action"),
    ("networkchaos", {**NETWORK, "action": "delay", "delay": {"latency": "-1x"}}, 422, "spec.delay.latency"),
    ("networkchaos", {**NETWORK, "action": "bandwidth"}, 403, "the lab cannot do this: action bandwidth"),
    ("networkchaos", {**NETWORK, "externalTargets": ["example.test"]}, 403, "which is no IPv4 address"),
    ("httpchaos", {"mode": "all", "selector": API_POD, "target": "Server"}, 422, "spec.target: Unsupported value"),
    ("httpchaos", {"mode": "all", "selector": API_POD, "target": "Request", "delay": "1 day"}, 403, "invalid duration"),
    ("httpchaos", {"mode": "all", "selector": API_POD, "target": "Request"}, 403, "without abort, delay or replace"),
])
def test_nonsense_is_refused(server: ApiServer, path: str, spec: Any, status: int, words: str) -> None:
    """By the schema with 422, by Chaos Mesh's webhook with 403, and what the lab cannot do is said to be so."""
    url = f"/apis/chaos-mesh.org/v1alpha1/namespaces/{HOME}/{path}"
    answer = server.call("POST", url, {"metadata": {"name": "bad"}, "spec": spec})
    assert answer.status == status, answer.body
    assert words in answer.body["message"]


def test_a_spec_never_changes_and_kubectl_shows_it(kubectl: Kubectl) -> None:
    """Defaults as Chaos Mesh sets them; its printer columns; its refusal of any change of the spec."""
    target = {"mode": "all", "selector": {"labelSelectors": {"app": "y"}}}
    body = {
        "apiVersion": "chaos-mesh.org/v1alpha1", "kind": "NetworkChaos", "metadata": {"name": "cut"},
        "spec": {**NETWORK, "direction": "both", "duration": "30s", "target": target},
    }
    kubectl("create", "-f", "-", stdin=json.dumps(body))
    shown = json.loads(kubectl("get", "networkchaos", "cut", "-o", "json"))
    assert shown["spec"]["target"]["selector"]["namespaces"] == [kubectl.namespace]
    assert kubectl("get", "networkchaos").split() == ["NAME", "ACTION", "DURATION", "cut", "partition", "30s"]
    patch = ["patch", "networkchaos", "cut", "--type=merge", "-p", '{"spec":{"duration":"9s"}}']
    refused = kubectl.run(*patch, check=False)
    assert "Cannot update chaos spec" in refused.stderr
    assert '"vnetworkchaos.kb.io" denied the request' in refused.stderr
