"""Manifests: what the harness asks of a cluster, field by field."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from drainproof.spec import VmSpec, claim, scraped_service
from fixtures.entry import Front
from fixtures.portal import PortalPlan, machine_spec, member_script

PLAN = PortalPlan(
    namespace="ns", names=("portal-0", "portal-1", "portal-2"), addresses=("10.0.0.1", "10.0.0.2", "10.0.0.3"),
    image="img", storage_class="rwx", memory="512Mi", data_disk="1Gi",
)
GRACE = "terminationGracePeriodSeconds"


def test_a_member_is_migratable_and_never_beside_another() -> None:
    """Eviction means migration, anti-affinity is required, the address is asked for and may follow the machine."""
    template = machine_spec(PLAN, "portal-1", "10.0.0.2").manifest()["spec"]["template"]
    spec, annotations = template["spec"], template["metadata"]["annotations"]
    assert spec["evictionStrategy"] == "LiveMigrate"
    terms = spec["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert terms == [{"labelSelector": {"matchLabels": {"app": "portal"}}, "topologyKey": "kubernetes.io/hostname"}]
    assert json.loads(annotations["network.kubevirt.io/addresses"]) == {"default": ["10.0.0.2"]}
    assert "kubevirt.io/allow-pod-bridge-network-live-migration" in annotations
    assert spec["volumes"][1] == {"name": "data", "persistentVolumeClaim": {"claimName": "portal-1-data"}}


def test_a_member_keeps_to_the_claimed_nodes() -> None:
    """On a cluster that others use too, the machines run on the nodes of their own run alone."""
    kept, free = (
        machine_spec(plan, "portal-0", "10.0.0.1").manifest()["spec"]["template"]["spec"]["affinity"]
        for plan in (replace(PLAN, nodes=("node-e", "node-f")), PLAN)
    )
    terms = kept["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-e", "node-f"]}
    assert terms == {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    assert "nodeAffinity" not in free


def test_without_anti_affinity_there_is_none() -> None:
    """Leaving it out leaves nothing behind that could still keep the machines apart."""
    machine = VmSpec(name="x", labels={}, image="i", claim="c", user_data_secret="s").manifest()
    spec = machine["spec"]["template"]["spec"]
    assert "affinity" not in spec
    assert "readinessProbe" not in spec


def test_a_machine_without_grace_loses_its_power_when_it_is_stopped() -> None:
    """A portal shuts down in order; what has none does not write down what it remembers."""
    assert machine_spec(PLAN, "portal-0", "10.0.0.1").manifest()["spec"]["template"]["spec"][GRACE] == 15
    hard = VmSpec(name="x", labels={}, image="i", claim="c", user_data_secret="s", grace_seconds=0).manifest()
    assert hard["spec"]["template"]["spec"][GRACE] == 0


@pytest.mark.parametrize(("first", "expected"), [(True, True), (False, False)])
def test_only_the_first_member_starts_a_cluster(first: bool, expected: bool) -> None:
    """One member bootstraps, the others join it."""
    assert ("--bootstrap" in member_script(PLAN, "10.0.0.1", "pw", first=first)) is expected


def test_the_password_does_not_show_in_a_portal_s_repr() -> None:
    """A record or log that prints the portal does not print its password."""
    from fixtures.portal import Portal

    assert "geheim" not in repr(Portal(PLAN, (), (), Front("10.0.0.9"), "geheim"))


def test_claims_and_scraped_services() -> None:
    """Claims are ReadWriteMany by default; scraped services are headless and carry the annotation."""
    assert claim("d", "rwx", "1Gi")["spec"]["accessModes"] == ["ReadWriteMany"]
    service = scraped_service("m", None, {"metrics-a": 1})
    assert service["spec"]["clusterIP"] == "None"
    assert "selector" not in service["spec"]
    assert service["metadata"]["annotations"] == {"prometheus.io/scrape": "true"}
