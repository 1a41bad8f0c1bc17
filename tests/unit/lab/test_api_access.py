"""Who may do what in the lab: rules, bindings, aggregated roles, tokens, and what a request wants to do."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from lab.api import bootstrap
from lab.api.authorization import Authorizer, Decision
from lab.api.caller import Attributes, Caller, account_groups, account_user, forbidden
from lab.api.errors import Object, StatusError
from lab.api.rbac_aggregation import Aggregation
from lab.api.rbac_rules import allows, shown, uncovered
from lab.api.request_attributes import attributes
from lab.api.resources import Place, Resources
from lab.api.service_accounts import ServiceAccounts
from lab.api.store import Store
from lab.api.tokens import AUDIENCE, Tokens
from lab.kinds import (
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CONFIG_MAP,
    NAMESPACE,
    POD,
    ROLE,
    ROLE_BINDING,
    SECRET,
    SERVICE_ACCOUNT,
    Kind,
)

ADMIN = Caller("kubernetes-admin", allowed=True)
USER = account_user("default", "worker")
WORKER = Caller(USER, allowed=False, groups=(*account_groups(USER), "system:authenticated"))
READ_PODS: Object = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}


class Moment:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def moment() -> Moment:
    return Moment()


@pytest.fixture
def tokens(resources: Resources, moment: Moment) -> Tokens:
    made = Tokens(resources.store, moment)
    ServiceAccounts(resources, made, "the CA").follow()
    return made


@pytest.fixture
def resources() -> Resources:
    """A cluster as it is at its beginning, and the account `worker` without rights."""
    made = Resources(Store())
    Aggregation(made).follow()
    bootstrap.populate(made)
    create(made, SERVICE_ACCOUNT, "worker")
    return made


def create(resources: Resources, kind: Kind, name: str, body: Object | None = None, caller: Caller = ADMIN) -> Object:
    meta = {**(body or {}).get("metadata", {}), "name": name}
    place = Place(kind, "default" if kind.namespaced else "")
    return resources.create(place, copy.deepcopy({**(body or {}), "metadata": meta}), caller).body


def bind(resources: Resources, kind: Kind, role: str, role_kind: str = "ClusterRole", caller: Caller = ADMIN) -> None:
    create(resources, kind, f"worker-{role}", {
        "roleRef": {"kind": role_kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": "worker", "namespace": "default"}],
    }, caller)


def may(resources: Resources, verb: str, resource: str, namespace: str = "default", group: str = "") -> bool:
    resource, _, subresource = resource.partition("/")
    wanted = Attributes(verb, group, resource, subresource, namespace)
    return Authorizer(resources.store).decide(WORKER, wanted).allowed


@pytest.mark.parametrize(("rule", "wanted", "allowed"), [
    (READ_PODS, Attributes("get", "", "pods"), True),
    (READ_PODS, Attributes("get", "", "pods", "log"), False),
    (READ_PODS, Attributes("get", "apps", "pods"), False),
    (READ_PODS, Attributes("watch", "", "pods"), False),
    ({**READ_PODS, "resources": ["pods/eviction"]}, Attributes("get", "", "pods", "eviction"), True),
    ({**READ_PODS, "resources": ["pods/eviction"]}, Attributes("get", "", "pods"), False),
    ({**READ_PODS, "resources": ["*/eviction"]}, Attributes("get", "", "pods", "eviction"), True),
    ({**READ_PODS, "resources": ["pods/*"]}, Attributes("get", "", "pods", "eviction"), False),
    ({**READ_PODS, "resources": ["*"]}, Attributes("get", "", "pods", "eviction"), True),
    ({**READ_PODS, "verbs": ["*"], "apiGroups": ["*"]}, Attributes("patch", "x", "pods"), True),
    ({**READ_PODS, "resourceNames": ["a"]}, Attributes("get", "", "pods", name="a"), True),
    ({**READ_PODS, "resourceNames": ["a"]}, Attributes("get", "", "pods", name="b"), False),
    ({**READ_PODS, "resourceNames": ["a"]}, Attributes("list", "", "pods"), False),
    ({"nonResourceURLs": ["/api/*"], "verbs": ["get"]}, Attributes("get", path="/api/v1"), True),
    ({"nonResourceURLs": ["/api/*"], "verbs": ["get"]}, Attributes("get", path="/api"), False),
    ({"nonResourceURLs": ["*"], "verbs": ["get"]}, Attributes("get", "", "pods"), False),
])
def test_rules(rule: Object, wanted: Attributes, allowed: bool) -> None:
    """Groups, resources with their subresources, names, verbs, paths and wildcards, as Kubernetes reads them."""
    assert allows(rule, wanted) is allowed


@pytest.mark.parametrize(("method", "path", "query", "wanted"), [
    ("GET", "/version", {}, Attributes("get", path="/version")),
    ("GET", "/apis/kubevirt.io/v1", {}, Attributes("get", path="/apis/kubevirt.io/v1")),
    ("GET", "/api/v1/nodes", {}, Attributes("list", "", "nodes")),
    ("GET", "/api/v1/nodes/n", {}, Attributes("get", "", "nodes", name="n")),
    ("GET", "/api/v1/namespaces/a", {}, Attributes("get", "", "namespaces", "", "a", "a")),
    ("PUT", "/api/v1/namespaces/a/finalize", {}, Attributes("update", "", "namespaces", "finalize", "a", "a")),
    ("GET", "/api/v1/namespaces/a/pods", {"watch": "1"}, Attributes("watch", "", "pods", "", "a")),
    ("GET", "/api/v1/watch/namespaces/a/pods", {}, Attributes("watch", "", "pods", "", "a")),
    ("GET", "/api/v1/namespaces/a/pods", {"fieldSelector": "metadata.name=p"},
     Attributes("list", "", "pods", "", "a", "p")),
    ("DELETE", "/api/v1/namespaces/a/pods", {}, Attributes("deletecollection", "", "pods", "", "a")),
    ("POST", "/api/v1/namespaces/a/pods/p/eviction", {}, Attributes("create", "", "pods", "eviction", "a", "p")),
    ("PUT", "/apis/subresources.kubevirt.io/v1/namespaces/a/virtualmachines/m/evacuate/cancel", {},
     Attributes("update", "subresources.kubevirt.io", "virtualmachines", "evacuate", "a", "m")),
])
def test_what_a_request_wants(method: str, path: str, query: dict[str, str], wanted: Attributes) -> None:
    """Verb, resource, subresource, namespace and name come from the URL alone."""
    assert attributes(method, path, query) == wanted


def test_a_role_counts_in_its_namespace_only(resources: Resources) -> None:
    """A RoleBinding grants a ClusterRole's rules in one namespace, a ClusterRoleBinding everywhere."""
    assert not may(resources, "list", "pods")
    bind(resources, ROLE_BINDING, "view")
    assert may(resources, "list", "pods")
    assert not may(resources, "list", "pods", "kube-system")
    assert not may(resources, "list", "pods", "")
    bind(resources, CLUSTER_ROLE_BINDING, "view")
    assert may(resources, "list", "pods", "")


def test_the_answer_names_the_binding_or_what_is_missing(resources: Resources) -> None:
    """A reason for each yes; for a no, the role that a binding names and nobody has."""
    wanted = Attributes("list", "", "pods", namespace="default")
    bind(resources, ROLE_BINDING, "nosuch", "Role")
    told = Authorizer(resources.store).decide(WORKER, wanted)
    assert told == Decision(False, 'RBAC: role.rbac.authorization.k8s.io "nosuch" not found')
    assert forbidden(WORKER, wanted, told.reason).message == (
        'pods is forbidden: User "system:serviceaccount:default:worker" cannot list resource "pods" in API group "" in '
        'the namespace "default": RBAC: role.rbac.authorization.k8s.io "nosuch" not found'
    )
    bind(resources, ROLE_BINDING, "view")
    assert Authorizer(resources.store).decide(WORKER, wanted).reason == (
        'RBAC: allowed by RoleBinding "worker-view/default" of ClusterRole "view" to ServiceAccount "worker/default"'
    )


@pytest.mark.parametrize(("role", "verb", "resource", "group", "allowed"), [
    ("view", "list", "virtualmachines", "kubevirt.io", True),
    ("view", "get", "secrets", "", False),
    ("view", "create", "pods/eviction", "", False),
    ("edit", "create", "pods/eviction", "", True),
    ("edit", "create", "virtualmachines", "kubevirt.io", True),
    ("edit", "update", "virtualmachines/start", "subresources.kubevirt.io", True),
    ("edit", "update", "virtualmachines/migrate", "subresources.kubevirt.io", False),
    ("edit", "create", "virtualmachineinstancemigrations", "kubevirt.io", False),
    ("admin", "create", "virtualmachineinstancemigrations", "kubevirt.io", False),
    ("admin", "create", "roles", "rbac.authorization.k8s.io", True),
    ("edit", "create", "roles", "rbac.authorization.k8s.io", False),
    ("kubevirt.io:migrate", "create", "virtualmachineinstancemigrations", "kubevirt.io", True),
])
def test_default_roles(
    resources: Resources, role: str, verb: str, resource: str, group: str, allowed: bool
) -> None:
    """view, edit and admin gather KubeVirt's roles; migrations are a role of their own since KubeVirt 1.5."""
    bind(resources, ROLE_BINDING, role)
    assert may(resources, verb, resource, group=group) is allowed


def test_a_role_of_ones_own_joins_those_that_gather(resources: Resources) -> None:
    """The label of `view` brings its rules into view, edit and admin; without the label they leave again."""
    bind(resources, ROLE_BINDING, "admin")
    labels = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    rule = {"apiGroups": ["example.com"], "resources": ["things"], "verbs": ["get"]}
    create(resources, CLUSTER_ROLE, "things", {"metadata": {"labels": labels}, "rules": [rule]})
    assert may(resources, "get", "things", group="example.com")
    found = resources.get(CLUSTER_ROLE, "", "things")
    resources.store.remove(found, found.body)
    assert not may(resources, "get", "things", group="example.com")


def test_nobody_grants_what_he_does_not_hold(resources: Resources) -> None:
    """A role, or a binding to one, with more than its author's rights is refused, unless he may escalate or bind."""
    bind(resources, ROLE_BINDING, "admin")
    create(resources, ROLE, "readers", {"rules": [READ_PODS]}, WORKER)
    with pytest.raises(StatusError) as refused:
        create(resources, ROLE, "rebooters", {"rules": [{**READ_PODS, "resources": ["nodes"]}]}, WORKER)
    assert refused.value.message.endswith(
        'is attempting to grant RBAC permissions not currently held:\n'
        '{APIGroups:[""], Resources:["nodes"], Verbs:["get"]}\n{APIGroups:[""], Resources:["nodes"], Verbs:["list"]}'
    )
    with pytest.raises(StatusError):
        bind(resources, ROLE_BINDING, "cluster-admin", caller=WORKER)
    create(resources, ROLE, "binders", {"rules": [
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "verbs": ["bind"]},
    ]})
    bind(resources, ROLE_BINDING, "binders", "Role")
    bind(resources, ROLE_BINDING, "cluster-admin", caller=WORKER)


def test_a_label_on_a_role_grants_nothing(resources: Resources) -> None:
    """An update that leaves the rules alone is open to whoever may update; one that widens them is not."""
    bind(resources, ROLE_BINDING, "admin")
    create(resources, ROLE, "rebooters", {"rules": [{**READ_PODS, "resources": ["nodes"]}]})
    place = Place(ROLE, "default", "rebooters")
    resources.update(place, lambda body: {**body, "metadata": {**body["metadata"], "labels": {"a": "b"}}}, WORKER)
    with pytest.raises(StatusError, match="permissions not currently held"):
        resources.update(place, lambda body: {**body, "rules": [{**body["rules"][0], "verbs": ["*"]}]}, WORKER)


def test_rules_that_cover_others() -> None:
    """Each single right is looked for on its own; a rule about some names does not cover one about all."""
    assert uncovered([READ_PODS], [{**READ_PODS, "verbs": ["get"]}, {**READ_PODS, "verbs": ["*"]}]) == []
    lacking = uncovered([READ_PODS], [{**READ_PODS, "resourceNames": ["a"]}])
    assert [shown(rule) for rule in lacking][:1] == ['{APIGroups:[""], Resources:["pods"], Verbs:["get"]}']
    assert uncovered([{**READ_PODS, "resourceNames": ["a"]}], [{**READ_PODS, "resourceNames": ["a", "b"]}]) == []


@pytest.mark.parametrize(("kind", "body", "text"), [
    (ROLE, {"rules": [{"apiGroups": [""], "resources": ["pods"]}]},
     "rules[0].verbs: Required value: verbs must contain at least one value"),
    (ROLE, {"rules": [{"nonResourceURLs": ["/x"], "verbs": ["get"]}]},
     'rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs'),
    (CLUSTER_ROLE, {"rules": [{"resources": ["pods"], "verbs": ["get"]}]},
     "rules[0].apiGroups: Required value: resource rules must supply at least one api group"),
    (CLUSTER_ROLE_BINDING, {"roleRef": {"kind": "Role", "name": "x"}},
     'roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"'),
    (ROLE_BINDING, {"roleRef": {"kind": "Role", "name": "x"}, "subjects": [{"kind": "ServiceAccount", "name": "y"}]},
     "subjects[0].namespace: Required value"),
])
def test_mistakes_in_roles_and_bindings(resources: Resources, kind: Kind, body: Object, text: str) -> None:
    """422 with the field and what is wrong with it."""
    with pytest.raises(StatusError) as refused:
        create(resources, kind, "x", body)
    assert (refused.value.code, text in refused.value.message) == (422, True)


def test_the_role_of_a_binding_stays(resources: Resources) -> None:
    bind(resources, ROLE_BINDING, "view")
    place = Place(ROLE_BINDING, "default", "worker-view")
    with pytest.raises(StatusError, match="cannot change roleRef"):
        resources.update(place, lambda body: {**body, "roleRef": {**body["roleRef"], "name": "edit"}}, ADMIN)


def issue(resources: Resources, tokens: Tokens, bound: Any = None, audience: str = AUDIENCE) -> str:
    account = resources.get(SERVICE_ACCOUNT, "default", "worker").body
    return tokens.issue(account, 600, [audience], bound)[0]


def test_a_token_ends(resources: Resources, tokens: Tokens, moment: Moment) -> None:
    """It is good to its last second, and not in the next."""
    token = issue(resources, tokens)
    moment.now += 599
    identity = tokens.read(token)
    assert identity is not None
    assert identity.user == USER
    moment.now += 1
    assert tokens.read(token) is None


def test_a_token_goes_with_its_account(resources: Resources, tokens: Tokens) -> None:
    """Another account of the same name is not its owner."""
    token = issue(resources, tokens)
    account = resources.get(SERVICE_ACCOUNT, "default", "worker")
    resources.store.remove(account, account.body)
    assert tokens.read(token) is None
    create(resources, SERVICE_ACCOUNT, "worker")
    assert tokens.read(token) is None


def test_a_bound_token_goes_with_its_pod(resources: Resources, tokens: Tokens) -> None:
    pod = create(resources, POD, "p", {"spec": {"containers": [{"name": "c", "image": "i"}]}})
    token = issue(resources, tokens, {"kind": "Pod", "name": "p", "uid": pod["metadata"]["uid"]})
    assert tokens.read(token)
    stored = resources.get(POD, "default", "p")
    resources.store.remove(stored, stored.body)
    assert tokens.read(token) is None


@pytest.mark.parametrize("spoil", [
    lambda token: token[:-2] + ("AA" if token[-2:] != "AA" else "BB"), lambda token: "x" + token,
    lambda token: token.split(".")[0], lambda token: "nonsense", lambda token: "", lambda token: "ä.b.c",
])
def test_a_token_of_somebody_else_is_none(resources: Resources, tokens: Tokens, spoil: Any) -> None:
    assert tokens.read(spoil(issue(resources, tokens))) is None


def test_a_token_for_another_audience_is_none(resources: Resources, tokens: Tokens) -> None:
    assert tokens.read(issue(resources, tokens, audience="vault")) is None


def test_a_secret_gets_its_token(resources: Resources, tokens: Tokens) -> None:
    """Filled for an account that is there, removed otherwise, and gone with its account."""
    named = {"metadata": {"annotations": {"kubernetes.io/service-account.name": "worker"}},
             "type": "kubernetes.io/service-account-token"}
    create(resources, SECRET, "t", named)
    secret = resources.get(SECRET, "default", "t").body
    assert sorted(secret["data"]) == ["ca.crt", "namespace", "token"]
    orphan = {**named, "metadata": {"annotations": {"kubernetes.io/service-account.name": "nobody"}}}
    create(resources, SECRET, "o", orphan)
    assert resources.store.get(SECRET, "default", "o") is None
    account = resources.get(SERVICE_ACCOUNT, "default", "worker")
    resources.store.remove(account, account.body)
    assert resources.store.get(SECRET, "default", "t") is None


def test_each_namespace_has_its_account_and_the_ca(resources: Resources, tokens: Tokens) -> None:
    """The account `default` comes back when it is deleted, as long as its namespace stays."""
    create(resources, NAMESPACE, "fresh")
    assert resources.get(CONFIG_MAP, "fresh", "kube-root-ca.crt").body["data"] == {"ca.crt": "the CA"}
    account = resources.get(SERVICE_ACCOUNT, "fresh", "default")
    resources.store.remove(account, account.body)
    assert resources.get(SERVICE_ACCOUNT, "fresh", "default").body["metadata"]["uid"] != account.body["metadata"]["uid"]
