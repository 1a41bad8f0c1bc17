"""What KubeVirt's webhooks refuse of a VM, and the API server of a claim's change, in the recorded words."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from lab.api import claim_validation, kubevirt_admission
from lab.api.caller import Caller
from lab.api.errors import StatusError
from lab.api.store import Store
from lab.kinds import VIRTUAL_MACHINE

SPEC = "spec.template.spec"
DEVICES = f"{SPEC}.domain.devices"
VM: dict[str, Any] = {
    "metadata": {"name": "a", "namespace": "demo"},
    "spec": {"runStrategy": "Halted", "template": {"spec": {
        "domain": {
            "cpu": {"cores": 1}, "memory": {"guest": "256Mi"},
            "devices": {
                "disks": [{"name": "d", "disk": {"bus": "virtio"}}],
                "interfaces": [{"name": "default", "masquerade": {}}],
            },
        },
        "networks": [{"name": "default", "pod": {}}],
        "volumes": [{"name": "d", "containerDisk": {"image": "registry.example/disk:1"}}],
    }}},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The machine with one field set; the path is dotted, a number is a place in a list."""
    body = copy.deepcopy(VM)
    *way, last = path.split(".")
    inner: Any = body
    for step in way:
        inner = inner[int(step)] if step.isdigit() else inner.setdefault(step, {})
    inner[int(last) if last.isdigit() else last] = value
    return body


def admitted(body: dict[str, Any]) -> dict[str, Any]:
    return kubevirt_admission.on_create(Store(), VIRTUAL_MACHINE, body, Caller("kube:admin", allowed=True))


@pytest.mark.parametrize(("path", "value", "code", "said"), [
    ("spec.runStrategy", True, 422, 'spec.runStrategy in body must be of type string: "boolean"'),
    ("spec.runStrategy", "WaitAsReceiver", 422, "(WaitAsReceiver), DecentralizedLiveMigration feature gate is not"),
    (f"{SPEC}.domain.cpu.cores", "2", 422, f'{SPEC}.domain.cpu.cores in body must be of type integer: "string"'),
    (f"{SPEC}.domain.cpu.cores", -1, 400, f"cannot unmarshal number -1 into Go struct field VirtualMachineInstanceTem"
     f"plateSpec.{SPEC}.domain.cpu.cores of type uint32"),
    (f"{SPEC}.domain.memory.guest", "lots", 400, "quantities must match the regular expression"),
    (f"{SPEC}.domain.memory.guest", "1.2.3Gi", 400, "quantities must match the regular expression"),
    (f"{SPEC}.domain.memory.hugepages", {"pageSize": "3Mi"}, 422, "'0' is not a multiple of the page size"),
    (f"{SPEC}.domain.memory.hugepages", {"pageSize": "big"}, 422, "pageSize 'big': quantities must match"),
    (f"{SPEC}.domain.resources", {"requests": {"cpu": "1"}, "limits": {"cpu": "500m"}}, 422,
     f"{SPEC}.domain.resources.requests.cpu '1' is greater than {SPEC}.domain.resources.limits.cpu '500m'"),
    (f"{SPEC}.domain.resources", {"requests": {"memory": "-1"}}, 422, "must be greater than or equal to 0."),
    (f"{SPEC}.domain.machine", {"type": "pc-nonsense"}, 422, "pc-nonsense (allowed values: [q35* pc-q35*])"),
    (f"{SPEC}.domain.cpu", {"sockets": 4, "maxSockets": 2}, 422, "greater than the maximum sockets allowed, Number of"),
    (f"{SPEC}.domain.cpu", {"features": [{"name": "x", "policy": "maybe"}]}, 422, "feature x uses policy maybe"),
    (f"{DEVICES}.disks.0.serial", "bad serial!", 422, f"{DEVICES}.disks[0] must be made up of the following"),
    (f"{DEVICES}.interfaces.0.model", "ne9000", 422, "uses model ne9000 that is not supported."),
    (f"{DEVICES}.interfaces.0.ports", [{"port": 70000}], 422, "Port field must be in range 0 < x < 65536."),
    (f"{DEVICES}.hostDevices", [{"name": "h"}], 422, "Host Devices feature gate is not enabled"),
    (f"{SPEC}.hostname", "Bad_Name", 422, f"{SPEC}.hostname does not conform to the kubernetes DNS_LABEL rules :"),
    (f"{SPEC}.subdomain", "a..b", 422, f"{SPEC}.subdomain does not conform to the kubernetes DNS_SUBDOMAIN rules :"),
    (f"{SPEC}.tolerations", [{"operator": "Maybe"}], 422, "operator in body should be one of [Equal Exists]"),
    (f"{SPEC}.dnsPolicy", "Nonsense", 422, "should be one of [ClusterFirst ClusterFirstWithHostNet Default None]"),
    (f"{SPEC}.startStrategy", "Asleep", 422, f"{SPEC}.startStrategy is set with an unrecognized option: Asleep"),
    (f"{SPEC}.readinessProbe", {"periodSeconds": 1}, 422, f"either {SPEC}.readinessProbe.tcpSocket, "),
    (f"{SPEC}.livenessProbe", {"exec": {}, "httpGet": {}}, 422, "livenessProbe must have exactly one probe type set"),
    (f"{SPEC}.volumes.0", {"name": "d", "cloudInitNoCloud": {"userDataBase64": "!!"}}, 422, "is not a valid base64"),
    (f"{SPEC}.volumes.0", {"name": "d", "hostDisk": {"path": "/x"}}, 422, "HostDisk feature gate is not enabled"),
    (f"{SPEC}.domain.firmware", {"kernelBoot": {"container": {}}}, 422, "container must be defined with an image"),
    (f"{SPEC}.domain.firmware", {"bootloader": {"efi": {}, "bios": {}}}, 422, "both EFI and BIOS configured"),
    (f"{SPEC}.domain.firmware", {"bootloader": {"efi": {}}}, 422, "SecureBoot requires SMM"),
    ("spec.dataVolumeTemplates", [{"metadata": {"name": "dv"}}], 422, "spec.dataVolumeTemplate[0] must be referenced"),
])
def test_a_spec_that_kubevirt_refuses(path: str, value: Any, code: int, said: str) -> None:
    with pytest.raises(StatusError) as refused:
        admitted(changed(path, value))
    assert refused.value.code == code
    assert said in refused.value.message


@pytest.mark.parametrize(("path", "value"), [
    (f"{SPEC}.domain.memory.guest", 268435456),
    (f"{SPEC}.domain.memory.hugepages", {"pageSize": "2Mi"}),
    (f"{SPEC}.domain.firmware", {"bootloader": {"efi": {"secureBoot": False}}}),
    (f"{SPEC}.domain.resources", {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": 1}}),
    (f"{SPEC}.domain.machine", {"type": "pc-q35-9.2"}),
    (f"{SPEC}.tolerations", [{"operator": "Exists"}, {"key": "a"}]),
    (f"{SPEC}.readinessProbe", {"httpGet": {"port": 80}, "periodSeconds": 2}),
    (f"{SPEC}.volumes.0", {"name": "d", "cloudInitNoCloud": {"userDataBase64": "YQ=="}}),
    (f"{DEVICES}.interfaces.0.ports", [{"port": 80}]),
])
def test_a_spec_that_kubevirt_takes(path: str, value: Any) -> None:
    assert admitted(changed(path, value))["spec"]["template"]["spec"]["architecture"] == "amd64"


def test_two_devices_and_networks_that_are_in_each_others_way() -> None:
    """Orders of boot, names of interfaces and pod networks are taken once."""
    body = changed(f"{DEVICES}.disks.0.bootOrder", 1)
    spec = body["spec"]["template"]["spec"]
    interfaces = spec["domain"]["devices"]["interfaces"]
    interfaces[0]["bootOrder"] = 1
    interfaces += [{"name": "default", "masquerade": {}}, {"name": "z", "masquerade": {}}]
    spec["networks"].append({"name": "z", "pod": {}})
    with pytest.raises(StatusError) as refused:
        admitted(body)
    fields = [cause["field"] for cause in (refused.value.details or {})["causes"]]
    assert fields == [
        f"{SPEC}.interfaces", f"{DEVICES}.interfaces[1].name", f"{DEVICES}.interfaces[0].bootOrder",
    ]


def test_counts_of_zero_are_left_out_and_only_amd64_has_a_pci_topology() -> None:
    assert admitted(changed(f"{SPEC}.domain.cpu", {"cores": 0}))["spec"]["template"]["spec"]["domain"]["cpu"] == {}
    assert "metadata" not in admitted(changed(f"{SPEC}.architecture", "mips"))["spec"]["template"]


def claim(storage: Any, phase: str = "Bound", capacity: str = "1Gi") -> dict[str, Any]:
    return {
        "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage}},
            "volumeName": "pv" if phase == "Bound" else None,
        },
        "status": {"phase": phase, **({"capacity": {"storage": capacity}} if phase == "Bound" else {})},
    }


@pytest.mark.parametrize(("old", "new", "refused"), [
    (claim("1Gi"), claim("2Gi"), []), (claim("1Gi"), claim("1024Mi"), []), (claim("4Gi"), claim("2Gi"), []),
    (claim("1Gi"), claim("1Mi"), ["spec.resources.requests.storage"]),
    (claim("1Gi", "Pending"), claim("1Mi", "Pending"), ["spec"]),
    (claim("1Gi", "Pending"), claim("2Gi", "Pending"), ["spec"]), (claim("1Gi", "Pending"), claim("1Gi"), []),
])
def test_a_claim_asks_for_less_only_where_it_has_got_less(old: Any, new: Any, refused: list[str]) -> None:
    """An unbound claim stays as it is; a bound one grows, and shrinks to more than it has got."""
    assert [field for _, field, _ in claim_validation.update_causes(old, new)] == refused


def test_the_refusal_of_a_claims_change_shows_the_difference_as_recorded() -> None:
    [(_, _, message)] = claim_validation.update_causes(claim("1Gi", "Pending"), claim("1Mi", "Pending"))
    assert message.split("\n", 1)[1] == (
        '@@ -6,7 +6,7 @@\n  "Resources": {\n   "Limits": null,\n   "Requests": {\n-   "storage": "1Gi"\n'
        '+   "storage": "1Mi"\n   }\n  },\n  "VolumeName": "",\n'
    )


def test_an_amount_of_a_claim_that_cannot_be_read_is_a_bad_request() -> None:
    with pytest.raises(StatusError, match="quantities must match"):
        claim_validation.update_causes(claim("1Gi"), claim("lots"))
