"""The manifests of deploy/rbac, made from the rules: `python -m drainproof.rbac` writes them.

One file per suite, complete by itself: who applies it grants what that suite needs, to the ServiceAccount `drainproof`
in the namespace `drainproof`, and nothing else. A file may be applied beside another.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from drainproof.rights import RULES, SUITES, Rule, Scope, merged

ACCOUNT: Final = "drainproof"
NAMESPACE: Final = "drainproof"
"""Of the account, and what deploy/ sets `control_namespace` to."""
RBAC: Final = "rbac.authorization.k8s.io"
LABELS: Final = {"app.kubernetes.io/name": "drainproof", "app.kubernetes.io/component": "rbac"}
DIRECTORY: Final = Path(__file__).resolve().parent.parent / "deploy" / "rbac"
HEAD: Final = "# Made from drainproof/rights.py by `python -m drainproof.rbac`, which says why each right is needed.\n"


def manifests(suite: str, rules: Iterable[Rule] = RULES) -> list[dict[str, Any]]:
    """The ClusterRole and the Role of a suite, each with its binding."""
    mine = [rule for rule in rules if suite in rule.suites]
    name = f"drainproof-{suite.replace('_', '-')}"
    cluster_wide = merged(rule for rule in mine if rule.scope != Scope.CONTROL)
    control = merged(rule for rule in mine if rule.scope == Scope.CONTROL)
    return [
        {**_head("ClusterRole", name), "rules": list(_rules(cluster_wide))},
        _binding("ClusterRoleBinding", name),
        {**_head("Role", name, NAMESPACE), "rules": list(_rules(control))},
        _binding("RoleBinding", name, NAMESPACE),
    ]


def text(suite: str) -> str:
    """The file of a suite."""
    documents = (yaml.safe_dump(one, sort_keys=False, default_flow_style=None, width=120) for one in manifests(suite))
    return HEAD + "---\n".join(documents)


def write(directory: Path = DIRECTORY) -> list[Path]:
    """Write every file; returns them."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for suite in SUITES:
        path = directory / f"{suite}.yaml"
        path.write_text(text(suite), encoding="utf-8")
        written.append(path)
    return written


def _rules(verbs: dict[tuple[str, str], list[str]]) -> Iterator[dict[str, Any]]:
    """Resources of one group with the same verbs share a rule."""
    together: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), allowed in verbs.items():
        together.setdefault((group, tuple(allowed)), []).append(resource)
    for (group, same), resources in together.items():
        yield {"apiGroups": [group], "resources": resources, "verbs": list(same)}


def _head(kind: str, name: str, namespace: str = "") -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, **({"namespace": namespace} if namespace else {}), "labels": dict(LABELS)}
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata}


def _binding(kind: str, name: str, namespace: str = "") -> dict[str, Any]:
    role = kind.removesuffix("Binding")
    return {
        **_head(kind, name, namespace),
        "roleRef": {"apiGroup": RBAC, "kind": role, "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
    }


if __name__ == "__main__":
    sys.stdout.writelines(f"{path}\n" for path in write())
