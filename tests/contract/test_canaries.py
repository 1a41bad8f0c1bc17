"""Secrets never reach a record or a log: canaries planted on a cluster, in a kubeconfig and in facts are looked for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drainproof import spec
from drainproof.api import (
    CLAIMS,
    CONFIG_MAPS,
    INSTANCES,
    NAMESPACES,
    NODES,
    PODS,
    SECRETS,
    SERVICES,
    Cluster,
)
from drainproof.clock import Anchor
from drainproof.errors import ApiError, CannotRunError
from drainproof.record import Case, Run
from drainproof.settings import Profile
from drainproof.target import Target, target_from
from drainproof.wait import Deadline, wait
from fixtures.bystanders import bystanders, refuse
from fixtures.description import Asked, describe
from fixtures.preflight.discovery import discover
from fixtures.snapshot import take
from fixtures.watching import watching
from tests.contract.server import ApiServer

CANARY = "Kanarienvogel"
THEIRS = "canaries"
NODE = "canary-node"
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def annotated(name: str, **more: Any) -> dict[str, Any]:
    """Metadata with a secret in what kubectl notes down, and in an annotation of somebody's own."""
    return {"metadata": {"name": name, "annotations": {APPLIED: f"password: {CANARY}-applied",
                                                       "example.org/token": f"{CANARY}-annotation"}, **more}}


@pytest.fixture(scope="module")
def planted(api_server: ApiServer) -> Iterator[Cluster]:
    """A cluster of somebody who keeps secrets wherever Kubernetes lets him."""
    cluster = Cluster.connect(api_server.config.kubeconfig)
    cluster.create(NODES, annotated(NODE, labels={"drainproof.io/disruptable": "true"}))
    cluster.create(NAMESPACES, annotated(THEIRS))
    cluster.create(SECRETS, {**annotated("secret"), "stringData": {"password": f"{CANARY}-secret"}}, THEIRS)
    cluster.create(CONFIG_MAPS, {**annotated("settings"), "data": {"token": f"{CANARY}-settings"}}, THEIRS)
    cluster.create(CLAIMS, {**annotated("disk"), "spec": spec.claim("disk", "fast", "1Gi")["spec"]}, THEIRS)
    cluster.create(SERVICES, {**annotated("web"), "spec": {"ports": [{"port": 80}]}}, THEIRS)
    container = {"name": "compute", "image": "i", "env": [{"name": "PASSWORD", "value": f"{CANARY}-env"}]}
    cluster.create(PODS, {**annotated("pod"), "spec": {"nodeName": NODE, "containers": [container]}}, THEIRS)
    cluster.create(INSTANCES, _machine(), THEIRS)
    yield cluster
    cluster.delete(NODES, NODE)
    cluster.delete(NAMESPACES, THEIRS)


def _machine() -> dict[str, Any]:
    """A machine whose user data and network data hold a password."""
    machine = spec.VmSpec(name="theirs", labels={}, image="i", claim="disk", user_data_secret="secret").manifest()
    content = machine["spec"]["template"]["spec"]
    data = {"userData": f"#cloud-config\npassword: {CANARY}-userdata", "networkData": f"{CANARY}-network"}
    content["volumes"][2] = {"name": "cidata", "cloudInitNoCloud": data}
    return {**annotated("theirs"), "spec": content}


def test_what_a_run_records_holds_no_secret(
    planted: Cluster, api_server: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Description, discovery, snapshots, watches of every kind, bystanders: all looked at, no canary in any file."""
    caplog.set_level(logging.DEBUG)
    record = Run(tmp_path / "run")
    record.describe(describe("r", Anchor.take(), planted, _target(), Profile(name="p"), Asked()))
    discover(planted, "default").write(record.directory)
    case = Case(record.directory / "case")
    seen: list[dict[str, Any]] = []
    with watching(planted, THEIRS, case.events, lambda _kind, facts: seen.append(facts)):
        take(planted, case, "before", THEIRS, [NODE], copies=True)
        _goes_on(planted, api_server)
        wait("every change is seen", lambda: {str(one.get("phase")) for one in seen}, until=lambda at: "Running" in at,
             deadline=Deadline(20))
    found = bystanders(planted, [NODE])
    case.events.add("bystander", "seen", **{str(one): one.facts() for one in found})
    with pytest.raises(CannotRunError) as refused:
        refuse(found, "here")
    case.close()
    assert {one["name"] for one in seen} >= {"theirs", "pod"}
    texts = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {"run/run.json", "run/discovery.json", "run/case/events.jsonl"} <= set(texts)
    for name, content in {**texts, "log": caplog.text.encode(), "refusal": str(refused.value).encode()}.items():
        assert CANARY.encode() not in content, name
        assert api_server.token.strip().encode() not in content, name


def _goes_on(cluster: Cluster, server: ApiServer) -> None:
    """The machine runs: its node writes its status, and its owner changes what he keeps in its annotations."""
    cluster.patch(INSTANCES, "theirs", {"metadata": {"annotations": {"example.org/token": f"{CANARY}-new"}}}, THEIRS)
    status = {"status": {"phase": "Running", "nodeName": NODE}}
    merge = {"Content-Type": "application/merge-patch+json"}
    path = f"{INSTANCES.path(THEIRS, 'theirs')}/status"
    if server.call("PATCH", path, status, headers=merge).status >= 400:
        cluster.patch(INSTANCES, "theirs", status, THEIRS)


def _target() -> Target:
    """Facts with all that may hold a secret's whereabouts."""
    return target_from({
        "name": "t", "kubeconfig": f"/home/{CANARY}/config", "storage_classes": {"shared": "fast"},
        "power": {"driver": "command", "off": ["ipmitool", "-P", f"{CANARY}-ipmi", "off"], "on": ["on"],
                  "status": ["status"]},
        "storage_servers": {"fast": {"pause": ["p", f"{CANARY}-server"], "resume": ["r"], "status": ["s"]}},
    }, "facts")


def test_refusals_tell_no_secret(planted: Cluster, api_server: ApiServer) -> None:
    """Whatever the server refuses, the error names the object, and not what was sent of it, nor who asked."""
    body = spec.secret("secret", {"password": f"{CANARY}-mine"})
    errors = []
    for named, namespace in ((body, THEIRS), ({**body, "metadata": {"name": "Not_A_Name"}}, THEIRS), (body, "nowhere")):
        with pytest.raises(ApiError) as refused:
            planted.create(SECRETS, named, namespace)
        errors.append(str(refused.value))
    for text in errors:
        assert CANARY not in text
        assert api_server.token.strip() not in text
