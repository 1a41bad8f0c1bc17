"""The launcher pod, and the addresses of guests."""

from __future__ import annotations

import pytest

from lab.client import Object
from lab.controllers import addresses
from lab.controllers.launcher import launcher_pod
from tests.unit.lab.controllers_fake import vmi


def machine(**annotations: str) -> Object:
    item = vmi()
    item["metadata"].update(namespace="demo", uid="u1", annotations=annotations)
    return item


def test_the_launcher_pod_has_kubevirts_shape() -> None:
    pod = launcher_pod(machine(), "10.77.2.20", "02:00:00:00:00:01")
    meta, spec = pod["metadata"], pod["spec"]
    assert meta["generateName"] == "virt-launcher-vm-"
    assert meta["labels"] == {
        "app": "portal", "kubevirt.io": "virt-launcher", "kubevirt.io/created-by": "u1", "vm.kubevirt.io/name": "vm",
        "vmi.kubevirt.io/id": "vm",
    }
    assert meta["annotations"]["lab.drainproof.dev/ip"] == "10.77.2.20"
    assert meta["ownerReferences"][0]["controller"] is True
    assert spec["nodeSelector"] == {"kubevirt.io/schedulable": "true"}
    assert spec["readinessGates"] == [{"conditionType": "kubevirt.io/virtual-machine-unpaused"}]
    assert spec["containers"][0]["resources"]["requests"] == {"cpu": "100m", "memory": "608Mi"}
    assert [entry["tolerationSeconds"] for entry in spec["tolerations"]] == [300, 300]
    assert "affinity" not in spec


def test_a_migration_target_keeps_off_every_node_of_the_instance() -> None:
    """The instance's own rules stay beside the added one."""
    source = machine()
    own = {"labelSelector": {"matchLabels": {"app": "portal"}}, "topologyKey": "kubernetes.io/hostname"}
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    source["spec"]["affinity"] = {"podAntiAffinity": {required: [own]}}
    migration = {"metadata": {"name": "mig", "uid": "m1"}, "spec": {"vmiName": "vm", "addedNodeSelector": {"z": "1"}}}
    pod = launcher_pod(source, "10.77.2.20", "02:00:00:00:00:01", migration)
    terms = pod["spec"]["affinity"]["podAntiAffinity"][required]
    assert [term["labelSelector"]["matchLabels"] for term in terms] == [
        {"app": "portal"}, {"kubevirt.io/created-by": "u1"},
    ]
    assert pod["metadata"]["labels"]["kubevirt.io/migrationJobUID"] == "m1"
    assert pod["metadata"]["annotations"]["kubevirt.io/migrationJobName"] == "mig"
    assert pod["spec"]["nodeSelector"] == {"kubevirt.io/schedulable": "true", "z": "1"}
    assert source["spec"]["affinity"] == {"podAntiAffinity": {required: [own]}}


def test_a_requested_address_is_given() -> None:
    wanted = machine(**{"network.kubevirt.io/addresses": '{"default": ["10.77.1.11"]}'})
    assert addresses.choose(wanted, set(), set()) == "10.77.1.11"


def test_a_requested_address_that_is_taken_is_refused() -> None:
    wanted = machine(**{"network.kubevirt.io/addresses": '{"default": ["10.77.1.11"]}'})
    with pytest.raises(addresses.AddressError, match=r"10\.77\.1\.11 is in use"):
        addresses.choose(wanted, {"10.77.1.11"}, set())


@pytest.mark.parametrize("text", ["10.77.1.11", "[]", '{"default": "x"}', '{"default": ["300.1.1.1"]}'])
def test_an_unreadable_request_says_how_it_must_look(text: str) -> None:
    with pytest.raises(addresses.AddressError, match="must look like"):
        addresses.requested(machine(**{"network.kubevirt.io/addresses": text}))


def test_an_address_is_stable_and_avoids_what_others_have_or_ask_for() -> None:
    first = addresses.choose(machine(), set(), set())
    assert first == addresses.choose(machine(), set(), set())
    second = addresses.choose(machine(), {first}, set())
    assert second != first
    assert addresses.choose(machine(), {first}, {second}) not in (first, second)


def test_the_mac_is_the_specified_one_or_follows_the_name() -> None:
    derived = addresses.mac(machine())
    assert derived.startswith("02:")
    assert derived == addresses.mac(machine())
    given = machine()
    given["spec"]["domain"]["devices"]["interfaces"] = [{"name": "default", "macAddress": "02-AA-00-00-00-01"}]
    assert addresses.mac(given) == "02:aa:00:00:00:01"


def test_finished_pods_and_ones_own_hold_no_address() -> None:
    pods = [
        {"metadata": {"annotations": {addresses.IP_ANNOTATION: ip}, "labels": {"kubevirt.io/created-by": owner}},
         "status": {"phase": phase}}
        for ip, owner, phase in (("1", "u1", "Running"), ("2", "u2", "Running"), ("3", "u3", "Succeeded"))
    ]
    assert addresses.in_use(pods, "u1", "kubevirt.io/created-by") == {"2"}
