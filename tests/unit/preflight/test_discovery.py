"""What a cluster offers, read from its objects: versions, nodes and their room, classes, limits, networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drainproof.clock import Anchor
from drainproof.errors import ApiError, CannotRunError
from drainproof.record import Run, RunInfo
from drainproof.record.run_manifest import seal_run, verify_run
from fixtures.preflight.discovery import discover
from fixtures.preflight.quantity import of_machine
from fixtures.preflight.reading import Unknown
from tests.recordings import recordings
from tests.unit.preflight.sites import GIB, GROUPS, Site, kubevirt, node, openshift, plain, pod, service


def test_openshift_tells_its_last_completed_version_and_its_operator() -> None:
    """An update that is under way is not what the cluster is."""
    found = discover(Site(openshift(), (*GROUPS, "config.openshift.io")).cluster, "default")
    assert (found.versions.openshift, found.versions.virtualization) == ("4.22.3", "4.22.1")
    assert (found.versions.kubernetes, found.versions.kubevirt) == ("v1.35.3", "v1.9.0")
    assert found.constraints == ("privileged", "restricted-v2")


def test_a_plain_cluster_has_no_openshift() -> None:
    found = discover(Site().cluster, "default")
    assert (found.versions.openshift, found.versions.virtualization, found.constraints) == ("", "", ())
    assert found.monitoring.user_workload is None
    assert found.pod_security == {"enforce": "privileged"}
    assert found.attachments == ("hospital/vlan-7",)
    assert found.load_balancers == ("MetalLB address pool floor-2",)


def test_the_room_on_a_node_is_what_its_pods_leave() -> None:
    """Init containers count by the largest, sidecars with all that follow, finished pods not at all."""
    sidecar = {"restartPolicy": "Always", "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}}}
    starting = {"resources": {"requests": {"cpu": "3", "memory": "1Mi"}}}
    done = {**pod("done", "node-a", "4", "4Gi"), "status": {"phase": "Succeeded"}}
    pods = [
        pod(
            "db", "node-a", "1", "4Gi", initContainers=[sidecar, starting],
            overhead={"cpu": "250m", "memory": "128Mi"},
        ),
        done,
    ]
    found = discover(Site({**plain(), "pods": pods}).cluster, "default").nodes
    assert not isinstance(found, Unknown)
    first, second = found[:2]
    assert first.cpu_left == pytest.approx(8 - 3.5 - 0.25)
    assert first.memory_left == pytest.approx((16 - 5 - 0.125) * GIB)
    assert (first.pods_left, first.machines, first.zone) == (39, 0, "room-1")
    assert (second.cpu_left, second.machines) == (8, 0)


def test_nodes_tell_why_they_take_no_machines() -> None:
    cordoned = node("node-b", unschedulable=True)
    tainted = node("node-c", taints=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}])
    lost = node("node-d")
    lost["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]
    strange: dict[str, Any] = {"metadata": {"name": "node-e"}, "spec": {"taints": [{}]}, "status": {"allocatable": "?"}}
    found = discover(Site({**plain(), "nodes": [node("node-a"), cordoned, tainted, lost, strange]}).cluster, "d").nodes
    assert not isinstance(found, Unknown)
    assert [one.takes_machines for one in found] == [True, False, False, False, False]
    assert [(one.cordoned, one.ready, one.taints) for one in found[1:4]] == [
        (True, True, ()), (False, True, ("gpu=yes:NoSchedule",)), (False, False, ()),
    ]
    assert (found[4].cpu, found[4].disruptable) == (0, False)


def test_storage_classes_tell_their_modes_and_their_snapshots() -> None:
    found = discover(Site().cluster, "default")
    ceph, local = found.storage_class("ceph"), found.storage_class("local")
    assert ceph is not None
    assert local is not None
    assert (ceph.shared, ceph.default, ceph.clone_strategy, ceph.snapshot_classes) == (
        True, True, "csi-clone", ("ceph-snap",),
    )
    assert (local.shared, local.default, local.snapshot_classes) == (False, False, ())
    assert "secret" not in json.dumps(found.facts())


def test_a_class_of_which_nothing_is_told_may_be_shared() -> None:
    """A cluster without CDI says nothing of it: that is no reason to refuse it."""
    objects = plain()
    del objects["storageprofiles"]
    facts = discover(Site(objects).cluster, "default").storage_class("ceph")
    assert facts is not None
    assert (facts.shared, facts.modes) == (None, ())


def test_migration_limits_are_those_that_take_effect() -> None:
    """What the KubeVirt object does not say is KubeVirt's own default."""
    said = kubevirt(migrations={"bandwidthPerMigration": "64Mi"})
    found = discover(Site({**plain(), "kubevirts": [said]}).cluster, "default")
    assert not isinstance(found.migrations, Unknown)
    limits, set_by = found.migrations.limits, found.migrations.set_by
    assert (limits["bandwidthPerMigration"], set_by["bandwidthPerMigration"]) == ("64Mi", "KubeVirt object")
    assert (limits["parallelOutboundMigrationsPerNode"], limits["completionTimeoutPerGiB"]) == (2, 150)
    assert set_by["completionTimeoutPerGiB"] == "KubeVirt's default"
    assert (found.migrations.eviction_strategy, found.migrations.hyperconverged) == ("None", {})


def test_hyperconverged_is_told_beside_what_takes_effect() -> None:
    found = discover(Site(openshift()).cluster, "default").migrations
    assert not isinstance(found, Unknown)
    assert found.limits["parallelOutboundMigrationsPerNode"] == 1
    assert found.eviction_strategy == "LiveMigrate"
    assert found.hyperconverged["liveMigrationConfig"]["parallelOutboundMigrationsPerNode"] == 1


def test_hyperconverged_of_a_later_version_is_read_too() -> None:
    """From hco.kubevirt.io/v1 on, settings lie in groups."""
    objects = openshift()
    objects["hyperconvergeds"][0]["spec"] = {"virtualization": {"evictionStrategy": "LiveMigrate"}, "featureGates": []}
    found = discover(Site(objects).cluster, "default").migrations
    assert not isinstance(found, Unknown)
    assert found.hyperconverged == {"evictionStrategy": "LiveMigrate"}


def test_optional_apis_are_told_by_discovery() -> None:
    found = discover(Site(groups=(*GROUPS, "skupper.io")).cluster, "default").apis
    assert not isinstance(found, Unknown)
    served = {one.name for one in found if one.versions}
    assert {"Skupper", "NodeHealthCheck", "MetalLB", "CDI", "MigrationPolicy"} <= served
    assert served.isdisjoint({"Istio", "Chaos Mesh", "OpenShift"})


@pytest.mark.parametrize(
    ("refused", "fact", "told"),
    [
        ("nodes", "nodes", "needs list nodes"), ("storageclasses", "storage_classes", "needs list storageclasses of "
         "storage.k8s.io"), ("kubevirts", "migrations", "needs list kubevirts of kubevirt.io"),
        ("network-attachment-definitions", "attachments",
         "needs list network-attachment-definitions of k8s.cni.cncf.io"),
        ("securitycontextconstraints", "constraints", "needs list securitycontextconstraints of security.openshift.io"),
        ("namespaces", "pod_security", "needs get namespaces"), ("apis", "apis", "the API answered 403 to GET /apis"),
    ],
)
def test_what_may_not_be_read_says_which_right_is_missing(refused: str, fact: str, told: str) -> None:
    """And nothing else is lost with it."""
    found = discover(Site(refused={refused: 403}).cluster, "default")
    assert getattr(found, fact) == Unknown(told)
    assert found.facts()[fact] == {"unknown": told}
    assert found.versions.kubernetes == "v1.35.3"


def test_pods_that_may_not_be_read_leave_the_nodes() -> None:
    found = discover(Site(refused={"pods": 403}).cluster, "default").nodes
    assert not isinstance(found, Unknown)
    assert {one.cpu_left for one in found} == {None}
    assert all(one.takes_machines for one in found)


def test_trouble_is_told_as_such() -> None:
    """A right that is there must not be said to be missing."""
    found = discover(Site(refused={"nodes": 503}).cluster, "default")
    assert found.nodes == Unknown("the API answered 503 to list nodes")


def test_a_cluster_that_tells_no_version_is_none() -> None:
    class Away(Site):
        def version(self) -> str:
            raise ApiError("GET /version", 0, "Unreachable", "no route to host")

    with pytest.raises(CannotRunError, match="cannot be used: .*no route to host"):
        discover(Away().cluster, "default")


def test_a_service_that_has_an_address_proves_that_somebody_gives_them() -> None:
    objects = plain()
    del objects["ipaddresspools"]
    served = {**service("shop", "web"), "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
    served["spec"]["type"] = "LoadBalancer"
    objects["services"].append(served)
    assert discover(Site(objects).cluster, "default").load_balancers == ("Service shop/web has an address",)


def test_a_cloud_is_told_by_its_nodes() -> None:
    objects = {**plain(), "nodes": [node("a", providerID="aws:///eu/i-1"), node("b", providerID="aws:///eu/i-2")]}
    del objects["ipaddresspools"]
    assert discover(Site(objects).cluster, "default").load_balancers == ("the cloud controller of Amazon Web Services",)


def test_recorded_objects_of_a_real_cluster_are_read() -> None:
    """KubeVirt v1.9 on two nodes under software emulation, one of which ran a launcher, for a guest of 256 MiB."""

    def recorded(name: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((recordings() / "objects" / f"{name}.json").read_text(encoding="utf-8"))
        return content

    running = recorded("pod-virt-launcher")
    objects = {
        **plain(), "nodes": [recorded("node-w1"), recorded("node-w2")], "pods": [running],
        "kubevirts": [recorded("kubevirt-cr")],
    }
    found = discover(Site(objects).cluster, "default")
    assert (found.versions.kubevirt, found.versions.kubevirt_phase, found.versions.emulation) == (
        "v1.9.0", "Deployed", True,
    )
    assert not isinstance(found.nodes, Unknown)
    host = next(one for one in found.nodes if one.name == running["spec"]["nodeName"])
    other = next(one for one in found.nodes if one is not host)
    asked = of_machine("256Mi")
    assert host.memory - (host.memory_left or 0) == pytest.approx(asked.memory, rel=0.01)
    assert host.cpu - (host.cpu_left or 0) == pytest.approx(asked.cpu, rel=0.1)
    assert (host.machines, other.machines) == (1, 0)
    assert all(one.runs_machines for one in found.nodes)
    assert not isinstance(found.migrations, Unknown)
    assert set(found.migrations.set_by.values()) == {"KubeVirt's default"}


def test_a_run_keeps_what_was_found(tmp_path: Path) -> None:
    discover(Site().cluster, "default").write(tmp_path)
    kept = json.loads((tmp_path / "discovery.json").read_text())
    assert kept["versions"]["kubevirt"] == "v1.9.0"
    assert kept["nodes"][0]["name"] == "node-a"
    assert "groups" not in kept


def test_what_was_found_is_part_of_what_is_sealed(tmp_path: Path) -> None:
    """Nobody may say later that the cluster was another one."""
    Run(tmp_path).describe(RunInfo(
        run_id="r", started="2026-01-01T00:00:00Z", anchor=Anchor.take(), command="drainproof certify", seed=1,
        target={}, settings={}, versions={},
    ))
    discover(Site().cluster, "default").write(tmp_path)
    seal_run(tmp_path)
    assert verify_run(tmp_path) == []
    discover(Site(openshift()).cluster, "default").write(tmp_path)
    (difference,) = verify_run(tmp_path)
    assert difference.startswith("discovery.json ")
