"""Credentials of the API client: where they come from, and that those that ran out are loaded anew."""

from __future__ import annotations

import json
import socket
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import kubernetes
import pytest

from drainproof import api as api_module
from drainproof.api import NODES, Cluster
from drainproof.errors import ApiError, CannotRunError
from tests.unit.harness.stub_api import Step, Stub, kubeconfig, stub_api

VERSION = Step(body={"gitVersion": "v1.36.2"})


@pytest.fixture
def api() -> Iterator[Stub]:
    with stub_api() as server:
        server.answers(VERSION)
        yield server


@pytest.fixture
def token(tmp_path: Path, api: Stub) -> Path:
    """A file with the token that the server accepts."""
    path = tmp_path / "token"
    path.write_text("old")
    api.valid_token = "old"
    return path


def expire(api: Stub, token: Path) -> None:
    token.write_text("new")
    api.valid_token = "new"


def test_a_token_that_ran_out_is_read_anew(tmp_path: Path, api: Stub, token: Path) -> None:
    """A 401 has the kubeconfig loaded once more; the request that met it is sent again, whatever the patience."""
    cluster = Cluster.connect(kubeconfig(tmp_path, api.url, tokenFile=str(token)))
    cluster.version()
    expire(api, token)
    assert cluster.impatient.version() == "v1.36.2"
    assert [seen.token for seen in api.seen] == ["old", "old", "new"]


def test_a_watch_gets_the_new_token_too(tmp_path: Path, api: Stub, token: Path) -> None:
    cluster = Cluster.connect(kubeconfig(tmp_path, api.url, tokenFile=str(token)))
    expire(api, token)
    api.answers(Step(body='{"type": "ADDED", "object": {}}\n'))
    assert list(cluster.watch(NODES, None, "1", 5)) == [("ADDED", {})]


def test_who_is_refused_with_new_credentials_is_told(tmp_path: Path, api: Stub, token: Path) -> None:
    """Once is enough: a 401 that stays is an answer."""
    cluster = Cluster.connect(kubeconfig(tmp_path, api.url, tokenFile=str(token)))
    api.valid_token = "another's"
    with pytest.raises(ApiError, match="401 Unauthorized"):
        cluster.version()
    assert len(api.seen) == 2


def test_threads_that_are_refused_together_load_once(tmp_path: Path, api: Stub, token: Path) -> None:
    """A plugin may ask a person; nobody wants to be asked by each thread."""
    load = kubernetes.config.load_kube_config
    with patch("kubernetes.config.load_kube_config", side_effect=load) as loaded:
        cluster = Cluster.connect(kubeconfig(tmp_path, api.url, tokenFile=str(token)))
        expire(api, token)
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(lambda _: cluster.version(), range(40))) == {"v1.36.2"}
    assert loaded.call_count == 2


def test_a_plugin_is_asked_for_another_token(tmp_path: Path, api: Stub, token: Path) -> None:
    """As `aws eks get-token` and its like hand them out, without saying when they run out."""
    plugin = tmp_path / "plugin"
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
    plugin.write_text(f"""#!/bin/sh
printf '{json.dumps({**credential, "status": {"token": "%s"}})}' "$(cat {token})"
""")
    plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
    exec_ = {"apiVersion": credential["apiVersion"], "command": str(plugin), "interactiveMode": "Never"}
    cluster = Cluster.connect(kubeconfig(tmp_path, api.url, exec=exec_))
    cluster.version()
    expire(api, token)
    assert cluster.version() == "v1.36.2"
    assert [seen.token for seen in api.seen] == ["old", "old", "new"]


def test_a_session_for_proxied_services_has_the_token_of_the_moment(tmp_path: Path, api: Stub, token: Path) -> None:
    """Prometheus is asked hours after the session was made; its requests are the API's and are counted."""
    cluster = Cluster.connect(kubeconfig(tmp_path, api.url, tokenFile=str(token)))
    session = cluster.session()
    expire(api, token)
    cluster.version()
    before = cluster.requests
    assert session.get(cluster.service_proxy("ns", "prometheus:9090") + "/api/v1/query?x=1").status_code == 200
    assert api.seen[-1].token == "new"
    assert (cluster.requests - before).by_resource() == {("get", "services/proxy"): 1}


def test_kubeconfig_says_where(tmp_path: Path, api: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is read when it is needed, and may name several files, of which some are not there."""
    path = kubeconfig(tmp_path, api.url, token="of the user")
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'missing'}:{path}")
    Cluster.connect().version()
    assert [seen.token for seen in api.seen] == ["of the user"]


def test_without_any_credentials_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what was looked for and what to do; in a pod it names the service account."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(CannotRunError, match="the default kubeconfig cannot be used.*--target kubeconfig"):
        Cluster.connect()
    (tmp_path / "token").write_text("")
    monkeypatch.setattr(api_module, "SERVICE_ACCOUNT", tmp_path)
    with pytest.raises(CannotRunError, match="the pod's service account cannot be used"):
        Cluster.connect()


def test_connections_notice_a_dead_peer(tmp_path: Path, api: Stub) -> None:
    """TCP keep-alive on every connection: a watch of a host that has lost its power ends within 30 s."""
    opened: list[socket.socket] = []
    create = socket.socket.connect

    class Heard(socket.socket):
        def connect(self, address: Any) -> None:
            opened.append(self)
            create(self, address)

    with patch("socket.socket", Heard):
        cluster = Cluster.connect(kubeconfig(tmp_path, api.url))
        cluster.version()
        [mine] = opened
        options = {
            name: mine.getsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_{name}"))
            for name in ("KEEPIDLE", "KEEPINTVL", "KEEPCNT", "USER_TIMEOUT", "NODELAY")
        }
        assert mine.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert options["KEEPIDLE"] + options["KEEPINTVL"] * options["KEEPCNT"] <= 30
    assert 0 < options["USER_TIMEOUT"] <= 30_000
    assert options["NODELAY"] == 1
