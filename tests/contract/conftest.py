"""Fixtures of the contract tests: an API server process, a namespace of one's own, kubectl."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from drainproof.api import Cluster
from drainproof.record import Case
from tests.contract import kubectl as kubectl_module
from tests.contract.kubectl import Kubectl
from tests.contract.server import ApiServer, running

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """The API server alone: no controllers, no nodes, no network namespaces."""
    with running(tmp_path_factory.mktemp("api")) as server:
        yield server


@pytest.fixture
def namespace(api_server: ApiServer) -> str:
    """A namespace that no other test uses, without the ConfigMap that each has from its beginning."""
    name = f"test-{next(_numbers)}"
    assert api_server.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}}).status == 201
    assert api_server.call("DELETE", f"/api/v1/namespaces/{name}/configmaps/kube-root-ca.crt").status == 200
    return name


@pytest.fixture
def node(api_server: ApiServer, namespace: str) -> str:
    """A Ready node that no other test uses."""
    name = f"node-{namespace}"
    api_server.call("POST", "/api/v1/nodes", {"metadata": {"name": name}})
    status = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    merge = {"Content-Type": "application/merge-patch+json"}
    assert api_server.call("PATCH", f"/api/v1/nodes/{name}/status", status, headers=merge).status == 200
    return name


@pytest.fixture
def kubectl(api_server: ApiServer, namespace: str) -> Kubectl:
    """The distribution's kubectl, set to the test's namespace."""
    return Kubectl(kubectl_module.locate(), api_server.config.kubeconfig, namespace)


@pytest.fixture
def cluster(api_server: ApiServer) -> Cluster:
    """The server as the harness asks it."""
    return Cluster.connect(api_server.config.kubeconfig)


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    """An open case of a run, for what is told."""
    opened = Case(tmp_path / "run" / "case")
    yield opened
    opened.close()
