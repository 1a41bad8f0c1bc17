"""What deploy/ and a kind cluster are given: accepted by an API server through kubectl, and fit for real schemas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.kind.facts import KindFacts
from fixtures.kind.plan import KindPlan
from lab.kinds import KINDS
from tests.contract import schemas
from tests.contract.kubectl import Kubectl
from tests.unit.deploy.pipelines import objects, pod_spec

SERVED = {(kind.api_version, kind.name) for kind in KINDS}
Body = dict[str, Any]


def of_kind() -> list[Body]:
    """Every object of the plan of a kind cluster; kind's own configuration is none."""
    plan = KindPlan("drainproof", KindFacts(), Path("/shared"), Path("/kubeconfig"), kvm=True)
    streams = [step.stdin for step in plan.up() if "-f" in step.command and step.stdin]
    return [body for stream in streams for body in yaml.safe_load_all(stream)]


ALL = [*(body for path, body in objects() if path.name != "kustomization.yaml"), *of_kind()]


def named(body: Body) -> str:
    return f"{body['kind']}-{body['metadata']['name']}"


def test_the_lab_takes_what_it_serves(kubectl: Kubectl) -> None:
    """Namespaces first, then everything whose kind there is; a second time nothing changes."""
    first = sorted(ALL, key=lambda body: body["kind"] != "Namespace")
    # The lab has a KubeVirt object of its own, on which other tests rely.
    served = [body for body in first if (body["apiVersion"], body["kind"]) in SERVED and body["kind"] != "KubeVirt"]
    assert {body["kind"] for body in served} >= {"Namespace", "ConfigMap", "PersistentVolumeClaim", "Service"}
    missing = {body["metadata"].get("namespace") for body in served} - {None, *_namespaces(served)}
    served = [*({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in missing), *served]
    stream = yaml.safe_dump_all(served)
    apply = ("apply", "--server-side", "--namespace=", "-f", "-")
    kubectl(*apply, stdin=stream)
    assert "serverside-applied" in kubectl(*apply, stdin=stream)


def _namespaces(bodies: list[Body]) -> set[str]:
    return {body["metadata"]["name"] for body in bodies if body["kind"] == "Namespace"}


@pytest.mark.parametrize("body", ALL, ids=named)
def test_objects_fit_the_schemas_of_a_real_cluster(body: Body) -> None:
    """The object where its kind was recorded, and the pods that it makes."""
    spec = pod_spec(body)
    checked = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "made"}, "spec": spec}] if spec else []
    checked += [body] if schemas.known(body["apiVersion"], body["kind"]) else []
    for one in checked:
        assert not schemas.faults(one)
