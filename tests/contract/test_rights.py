"""The rights that drainproof asks for, on an API server that enforces them: enough, and not one of them too many."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from drainproof.api import Cluster
from drainproof.entry import EntryFacts
from drainproof.rbac import manifests
from drainproof.rights import RULES, SUITES, Rule, Scope, merged
from drainproof.settings import load_profile
from drainproof.target import ApiChaosFacts, PowerFacts, PrometheusFacts, StorageFacts, StorageServerFacts, Target
from fixtures.preflight.cases import SUITES_DIRECTORY, CaseNeeds, collected
from fixtures.preflight.check import context_of
from fixtures.preflight.judgement import State, by_suite, judge
from fixtures.preflight.reading import Unknown
from fixtures.preflight.reasons import Context
from tests.contract.server import ApiServer, running

NAMESPACE = "drainproof"
CLASS = "fast"
READY = {
    "allocatable": {"cpu": "8", "memory": "32Gi", "pods": "110"}, "conditions": [{"type": "Ready", "status": "True"}],
}
NODE_LABELS = {"kubevirt.io/schedulable": "true", "drainproof.io/disruptable": "true"}
MERGE = {"Content-Type": "application/merge-patch+json"}
PROFILE = load_profile("standard", SUITES_DIRECTORY / "profiles")


class _Answers(BaseHTTPRequestHandler):
    """A Prometheus that knows of nothing."""

    def do_GET(self) -> None:
        body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": []}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: pytest shows what matters."""


@pytest.fixture(scope="module")
def prometheus_port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def cases() -> tuple[CaseNeeds, ...]:
    """Every case of the suites, as pytest collects them."""
    return collected([str(SUITES_DIRECTORY)])


@dataclass(frozen=True)
class Site:
    """A cluster on which every suite could run, an account without any right, and a target for it."""

    server: ApiServer
    target: Target

    def connect(self) -> Cluster:
        return Cluster.connect(Path(self.target.kubeconfig))

    def grant(self, rules: tuple[Rule, ...]) -> None:
        """Give the account exactly these rules."""
        granted = {
            f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{NAMESPACE}": Scope.CLUSTER,
            f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/roles/{NAMESPACE}": Scope.CONTROL,
        }
        for path, scope in granted.items():
            of_scope = merged(rule for rule in rules if (rule.scope == Scope.CONTROL) == (scope == Scope.CONTROL))
            made = [
                {"apiGroups": [group], "resources": [name], "verbs": verbs} for (group, name), verbs in of_scope.items()
            ]
            assert self.server.call("PATCH", path, {"rules": made}, headers=MERGE).status == 200

    def context(self, cases: tuple[CaseNeeds, ...]) -> Context:
        return context_of(self.connect(), self.target, PROFILE, cases)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, prometheus_port: int) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("rights")
    with running(folder) as server:
        _furnish(server, prometheus_port)
        _account(server)
        yield Site(server, _target(server, folder))


def _furnish(server: ApiServer, port: int) -> None:
    """Nodes, a class that every node can open, snapshots of it, and a way to Prometheus."""
    for letter in "abcde":
        _made(server, "/api/v1/nodes", {"metadata": {"name": f"node-{letter}", "labels": NODE_LABELS}})
        path = f"/api/v1/nodes/node-{letter}/status"
        assert server.call("PATCH", path, {"status": READY}, headers=MERGE).status == 200
    _made(server, "/apis/storage.k8s.io/v1/storageclasses", {"metadata": {"name": CLASS}, "provisioner": "made.up"})
    sets = [{"accessModes": ["ReadWriteMany"], "volumeMode": "Block"}]
    _made(server, "/apis/cdi.kubevirt.io/v1beta1/storageprofiles", {
        "metadata": {"name": CLASS}, "spec": {}, "status": {"claimPropertySets": sets, "provisioner": "made.up"},
    })
    _made(server, "/apis/snapshot.storage.k8s.io/v1/volumesnapshotclasses", {
        "metadata": {"name": CLASS}, "driver": "made.up", "deletionPolicy": "Delete",
    })
    _made(server, "/api/v1/namespaces/monitoring/services", {
        "metadata": {"name": "prometheus"}, "spec": {"ports": [{"name": "web", "port": 9090, "targetPort": port}]},
    })
    _made(server, "/apis/discovery.k8s.io/v1/namespaces/monitoring/endpointslices", {
        "metadata": {"name": "prometheus-1", "labels": {"kubernetes.io/service-name": "prometheus"}},
        "addressType": "IPv4", "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
        "ports": [{"name": "web", "port": port, "protocol": "TCP"}],
    })


def _account(server: ApiServer) -> None:
    """The account of deploy/, bound to roles in which nothing stands yet."""
    _made(server, "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    _made(server, f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts", {"metadata": {"name": NAMESPACE}})
    root = "/apis/rbac.authorization.k8s.io/v1"
    for body in manifests("storage", ()):
        kind, meta = body["kind"], {**body["metadata"], "name": NAMESPACE}
        body = {**body, "metadata": meta}
        if "roleRef" in body:
            body["roleRef"] = {**body["roleRef"], "name": NAMESPACE}
        where = f"/namespaces/{NAMESPACE}" if "namespace" in meta else ""
        _made(server, f"{root}{where}/{kind.lower()}s", body)


def _target(server: ApiServer, folder: Path) -> Target:
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{NAMESPACE}/token"
    answer = server.call("POST", path, {"spec": {"expirationSeconds": 3600}})
    assert answer.status == 201, answer.body
    config = yaml.safe_load(server.config.kubeconfig.read_text())
    for user in config["users"]:
        user["user"] = {"token": answer.body["status"]["token"]}
    kubeconfig = folder / "account.kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    disturbed = StorageServerFacts(pause=("true",), resume=("true",), status=("true",), failover=("true",))
    return Target(
        name="site", kubeconfig=str(kubeconfig), guest_image="registry.example/guest:1",
        address_pool=("10.0.0.1", "10.0.0.2", "10.0.0.3"), storage_classes=StorageFacts(shared=CLASS),
        prometheus=PrometheusFacts(), entry=EntryFacts(kind="route"), control_namespace=NAMESPACE,
        clients="cluster", client_image="registry.example/clients:1",
        power=PowerFacts(driver="command", off=("true",), on=("true",), status=("true",)),
        storage_servers={CLASS: disturbed},
        api_chaos=ApiChaosFacts(),
    )


def _made(server: ApiServer, path: str, body: object) -> None:
    answer = server.call("POST", path, body)
    assert answer.status == 201, (path, answer.body)


def test_with_the_rules_every_suite_can_run(site: Site, cases: tuple[CaseNeeds, ...]) -> None:
    site.grant(RULES)
    context = site.context(cases)
    assert not isinstance(context.rights, Unknown)
    assert (context.rights.asked > 50, context.rights.lacks) == (True, ())
    judged = by_suite(judge(context, cases))
    found = {one.suite: (one.state, [str(each.reason) for each in one.obstacles]) for one in judged}
    assert found == dict.fromkeys(sorted(SUITES), (State.CAN, []))


@pytest.mark.parametrize("missing", RULES, ids=str)
def test_a_missing_rule_is_named_with_what_it_stops(site: Site, cases: tuple[CaseNeeds, ...], missing: Rule) -> None:
    """That rule, no other, and the suites that need it; what is only told without it stops none."""
    site.grant(tuple(rule for rule in RULES if rule is not missing))
    context = site.context(cases)
    assert not isinstance(context.rights, Unknown)
    assert [(lack.rule, lack.verbs) for lack in context.rights.lacks] == [(missing, missing.verbs)]
    found = by_suite(judge(context, cases))
    named = {
        one.suite: {each.reason.rule for each in one.obstacles if each.reason.rule} for one in found
    }
    expected = {str(missing)} if missing.vital else set()
    assert named == {suite: expected if suite in missing.suites else set() for suite in sorted(SUITES)}
    stopped = {one.suite for one in found if one.state != State.CAN}
    assert stopped == (set(missing.suites) if missing.vital else set())


@pytest.mark.parametrize("suite", SUITES)
def test_the_file_of_a_suite_is_enough_for_it(site: Site, cases: tuple[CaseNeeds, ...], suite: str) -> None:
    site.grant(tuple(rule for rule in RULES if suite in rule.suites))
    mine = tuple(case for case in cases if case.suite == suite)
    (found,) = by_suite(judge(site.context(mine), mine))
    assert (found.suite, found.state, found.obstacles) == (suite, State.CAN, ())


def test_an_account_without_any_right_is_told_so(site: Site, cases: tuple[CaseNeeds, ...]) -> None:
    """Facts that cannot be read name the right; nothing breaks."""
    site.grant(())
    context = site.context(cases)
    assert str(context.discovery.nodes) == "not readable: needs list nodes"
    assert str(context.discovery.storage_classes) == "not readable: needs list storageclasses of storage.k8s.io"
    assert context.discovery.versions.kubevirt == "v1.9.0", "KubeVirt lets every account read that"
    assert {one.state for one in by_suite(judge(context, cases))} == {State.CANNOT}
