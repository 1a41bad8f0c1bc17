"""What the agent writes about a VMI."""

from __future__ import annotations

from typing import Any

from lab.agent import domain_spec, vmi_status
from lab.machinery.objects import condition

RWX = {"spec": {"accessModes": ["ReadWriteMany"]}}
RWO = {"spec": {"accessModes": ["ReadWriteOnce"]}}


def vmi(binding: str = "masquerade", claim: str | None = None, annotation: bool = False) -> dict[str, Any]:
    volumes: list[dict[str, Any]] = [{"name": "root", "containerDisk": {"image": "drainproof/guest"}}]
    if claim:
        volumes.append({"name": "data", "persistentVolumeClaim": {"claimName": claim}})
    annotations = {vmi_status.BRIDGE_ANNOTATION: ""} if annotation else {}
    return {
        "metadata": {"namespace": "ns", "name": "vm", "uid": "u", "annotations": annotations},
        "spec": {
            "domain": {"memory": {"guest": "512Mi"}, "devices": {"interfaces": [{"name": "default", binding: {}}]}},
            "networks": [{"name": "default", "pod": {}}], "volumes": volumes,
        },
        "status": {"phase": "Scheduled"},
    }


def test_shared_disk_can_move_and_local_disk_says_why_not() -> None:
    """KubeVirt's own reason and words, with the claim's name."""
    assert vmi_status.migratable(vmi(claim="c"), {"c": RWX})
    refused = vmi_status.migratable(vmi(claim="c"), {"c": RWO})
    assert refused.reason == "DisksNotLiveMigratable"
    assert refused.message == (
        "cannot migrate VMI: PVC c is not shared, live migration requires that all PVCs must be shared "
        "(using ReadWriteMany access mode)"
    )


def test_interfaces_are_judged_before_disks() -> None:
    """A bridge on the pod network is the reason that is given, unless its annotation is there."""
    assert vmi_status.migratable(vmi("bridge", "c"), {"c": RWO}).reason == "InterfaceNotLiveMigratable"
    assert vmi_status.migratable(vmi("bridge", "c", annotation=True), {"c": RWX})


def test_started_sets_the_whole_status() -> None:
    """Phase, address, volumes, method and conditions come in one change."""
    body = vmi(claim="c")
    spec = domain_spec.read(body, "02:00:00:00:00:01", "10.77.1.10")
    vmi_status.started(body, spec, vmi_status.Migratable(), {"c": {"spec": {**RWX["spec"], "volumeMode": "Block"}}})
    status = body["status"]
    assert status["phase"] == "Running"
    assert status["interfaces"][0]["ipAddress"] == "10.77.1.10"
    assert status["migrationMethod"] == "BlockMigration"
    assert [volume["target"] for volume in status["volumeStatus"]] == ["vda", "vdb"]
    assert status["volumeStatus"][1]["persistentVolumeClaimInfo"] == {"claimName": "c", "volumeMode": "Block"}
    assert (condition(body, "LiveMigratable") or {})["status"] == "True"


def test_agent_condition_is_removed_without_a_connection() -> None:
    """AgentConnected is never False: it is there, or it is not."""
    body = vmi()
    vmi_status.guest_agent(body, True, {"name": "Debian", "version-id": "12"})
    assert (condition(body, "AgentConnected") or {})["status"] == "True"
    assert body["status"]["guestOSInfo"] == {"name": "Debian", "versionId": "12"}
    vmi_status.guest_agent(body, False, None)
    assert condition(body, "AgentConnected") is None


def test_paused_condition() -> None:
    """A pause by a user is a condition, and resuming removes it."""
    body = vmi()
    vmi_status.paused(body, True)
    assert (condition(body, "Paused") or {})["reason"] == "PausedByUser"
    vmi_status.paused(body, False)
    assert condition(body, "Paused") is None
