"""Rights: what is asked, of whom, and that the rules, their manifests and the calls in the code are the same."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from drainproof import resources
from drainproof.errors import ApiError
from drainproof.rbac import DIRECTORY, manifests, text, write
from drainproof.rights import RULES, SUITES, Rule, Scope, rules_of
from fixtures.preflight.access import EVERYTHING, rights
from fixtures.preflight.reading import Unknown


class Reviewer:
    """Grants everything but some verbs on a resource."""

    def __init__(self, resource: str = "", *verbs: str) -> None:
        self.denied = (resource, verbs)
        self.asked: list[Mapping[str, str]] = []

    def __call__(self, attributes: Mapping[str, str]) -> dict[str, Any]:
        self.asked.append(attributes)
        if attributes == EVERYTHING:
            return {"allowed": False}
        resource, verbs = self.denied
        named = "/".join(filter(None, (attributes["resource"], attributes.get("subresource"))))
        return {"allowed": not (named == resource and attributes["verb"] in verbs), "reason": "by RBAC"}


def test_what_is_denied_is_lacking() -> None:
    found = rights(Reviewer("pods/eviction", "create"), RULES, "drainproof")
    assert not isinstance(found, Unknown)
    (lack,) = found.lacks
    assert str(lack) == "lacks create pods/eviction at cluster scope"
    assert (lack.verbs, lack.why) == (("create",), "by RBAC")
    assert found.asked == sum(len(rule.verbs) for rule in RULES)


def test_only_the_missing_verbs_are_named() -> None:
    found = rights(Reviewer("leases", "update", "delete"), RULES, "drainproof")
    assert not isinstance(found, Unknown)
    assert [str(lack) for lack in found.lacks] == [
        "lacks update,delete leases of coordination.k8s.io in the control namespace"
    ]


def test_what_is_kept_in_the_control_namespace_is_asked_for_there() -> None:
    """Everything else for all namespaces: a run's own has no name yet."""
    reviewer = Reviewer()
    rights(reviewer, RULES, "drainproof")
    within = {one["resource"] for one in reviewer.asked if one.get("namespace")}
    assert within == {"leases", "configmaps"}
    assert {one["namespace"] for one in reviewer.asked if "namespace" in one} == {"drainproof"}


def test_an_administrator_is_asked_one_question() -> None:
    asked = []

    def ask(attributes: Mapping[str, str]) -> dict[str, Any]:
        asked.append(attributes)
        return {"allowed": True}

    assert rights(ask, RULES, "default") == rights(ask, (), "default")
    assert asked == [EVERYTHING, EVERYTHING]


def test_no_answer_is_no_refusal() -> None:
    def ask(attributes: Mapping[str, str]) -> dict[str, Any]:
        raise ApiError("POST", 503, "Unavailable", "")

    assert rights(ask, RULES, "default") == Unknown("the API answered 503 to an access review")


def test_anything_but_true_is_a_refusal() -> None:
    """A hole is no leave."""
    found = rights(lambda attributes: {}, RULES[:1], "default")
    assert not isinstance(found, Unknown)
    assert len(found.lacks) == 1


def test_no_right_is_granted_by_two_rules() -> None:
    """Else the one could be taken away unnoticed."""
    granted = Counter((rule.group, rule.name, verb) for rule in RULES for verb in rule.verbs)
    assert [one for one, count in granted.items() if count > 1] == []


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_rule_says_why_and_for_whom(rule: Rule) -> None:
    assert rule.why
    assert rule.verbs
    assert set(rule.suites) <= set(SUITES)
    assert "*" not in (*rule.verbs, rule.group, rule.name)
    assert not set(rule.verbs) & {"deletecollection", "escalate", "bind", "impersonate"}


@pytest.mark.parametrize("suite", SUITES)
def test_the_manifests_are_those_of_the_rules(suite: str) -> None:
    """`python -m drainproof.rbac` writes them."""
    assert (DIRECTORY / f"{suite}.yaml").read_text(encoding="utf-8") == text(suite)


@pytest.mark.parametrize("suite", SUITES)
def test_a_manifest_grants_the_rules_of_its_suite_and_no_more(suite: str) -> None:
    roles = {one["kind"]: one for one in yaml.safe_load_all(text(suite)) if one["kind"].endswith("Role")}
    for kind, control in (("ClusterRole", False), ("Role", True)):
        granted = {
            (group, resource, verb) for rule in roles[kind]["rules"] for group in rule["apiGroups"]
            for resource in rule["resources"] for verb in rule["verbs"]
        }
        rules = [rule for rule in rules_of([suite]) if (rule.scope == Scope.CONTROL) == control]
        assert granted == {(rule.group, rule.name, verb) for rule in rules for verb in rule.verbs}


def test_bindings_name_the_roles_beside_them(tmp_path: Path) -> None:
    for suite in SUITES:
        bodies = manifests(suite)
        names = {(one["kind"], one["metadata"]["name"]) for one in bodies}
        bindings = [one for one in bodies if "roleRef" in one]
        assert {(one["roleRef"]["kind"], one["roleRef"]["name"]) for one in bindings} <= names
    assert sorted(path.name for path in write(tmp_path)) == sorted(f"{suite}.yaml" for suite in SUITES)


def test_every_binding_of_deploy_names_the_account_that_it_makes() -> None:
    """On OpenShift's own roles too."""
    folders = (DIRECTORY, DIRECTORY.parent / "openshift")
    paths = sorted(path for folder in folders for path in folder.glob("*.yaml"))
    bodies = [body for path in paths for body in yaml.safe_load_all(path.read_text(encoding="utf-8"))]
    subjects = [one for body in bodies for one in body.get("subjects", [])]
    account = yaml.safe_load((DIRECTORY.parent / "base" / "service-account.yaml").read_text(encoding="utf-8"))
    named = {key: account["metadata"][key] for key in ("name", "namespace")}
    assert subjects
    assert all(one == {"kind": "ServiceAccount", **named} for one in subjects)


PROJECT = Path(__file__).resolve().parents[3]
CALL = re.compile(r"\.(create|apply|patch|update|delete|act|watch)\(\s*([A-Z_]{4,})\b")
VERBS = {"create": "create", "apply": "patch", "patch": "patch", "update": "update", "delete": "delete",
         "act": "update", "watch": "watch"}
PAUSES = {"virtualmachineinstances/pause", "virtualmachineinstances/unpause"}
LAB_ALONE = {("nodehealthchecks", "patch")}
"""Only the pause that the embedded lab has put on its own check is ever taken away."""


def test_every_change_in_the_code_is_covered_by_a_rule() -> None:
    """Calls that name their kind in capitals; a certification with these rights alone proves the rest."""
    granted = {(rule.name, verb) for rule in RULES for verb in rule.verbs} | LAB_ALONE
    missing = set()
    for folder in ("drainproof", "fixtures", "scenarios", "suites"):
        for path in (PROJECT / folder).rglob("*.py"):
            if PROJECT / "fixtures" / "kind" in path.parents:
                continue  # whoever makes a cluster administers it
            for call, kind in CALL.findall(path.read_text(encoding="utf-8")):
                if (named := getattr(resources, kind, None)) is None:
                    continue
                names = PAUSES if call == "act" else {named.plural}
                missing |= {(path.name, name, VERBS[call]) for name in names if (name, VERBS[call]) not in granted}
    assert missing == set()
