"""The virt-launcher pod of a VMI, in the shape that KubeVirt v1.9 gives it."""

from __future__ import annotations

from decimal import Decimal

from lab.client import Object
from lab.controllers import kubevirt
from lab.controllers.addresses import IP_ANNOTATION, MAC_ANNOTATION
from lab.kinds import VIRTUAL_MACHINE_INSTANCE
from lab.machinery.objects import annotations_of, dig, labels, name, namespace, owner_reference, uid
from lab.machinery.quantity import mebibytes, parse

OVERHEAD_BYTES = 96 * 2**20
"""What a launcher needs beside the guest's memory: QEMU's own; there is no libvirt here."""

CPU_ALLOCATION_RATIO = 10
GRACE_PADDING_SECONDS = 30
"""What the pod has beyond the guest's own time to power down."""
DEFAULT_MEMORY = "512Mi"
EMPTY_DIRS = (
    "private", "public", "sockets", "virt-bin-share-dir", "libvirt-runtime", "ephemeral-disks", "hotplug-disks",
)
_UNREACHABLE = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
TOLERATION_SECONDS = 300.0
"""What the DefaultTolerationSeconds admission gives to pods that say nothing."""
_SKIPPED_ANNOTATIONS = ("kubectl.kubernetes.io/last-applied-configuration",)


def launcher_pod(
    vmi: Object, address: str, mac: str, migration: Object | None = None, *,
    toleration_seconds: float = TOLERATION_SECONDS,
) -> Object:
    """The pod for a VMI; with a migration, its target: never on a node that has a pod of this VMI already."""
    marks = {
        **{key: value for key, value in annotations_of(vmi).items() if key not in _SKIPPED_ANNOTATIONS},
        "kubevirt.io/domain": name(vmi), "kubectl.kubernetes.io/default-container": "compute",
        "kubevirt.io/migrationTransportUnix": "true", "descheduler.alpha.kubernetes.io/request-evict-only": "",
        "kubevirt.io/memory-overhead-bytes": str(OVERHEAD_BYTES), IP_ANNOTATION: address, MAC_ANNOTATION: mac,
    }
    tags = {
        **labels(vmi), "kubevirt.io": "virt-launcher", kubevirt.CREATED_BY: uid(vmi),
        "vm.kubevirt.io/name": name(vmi), "vmi.kubevirt.io/id": name(vmi),
    }
    tags.pop(kubevirt.TARGET_NODE_LABEL, None)
    if migration:
        tags[kubevirt.MIGRATION_UID_LABEL] = uid(migration)
        marks[kubevirt.MIGRATION_NAME] = name(migration)
    meta = {
        "generateName": f"virt-launcher-{name(vmi)}-", "namespace": namespace(vmi), "labels": tags,
        "annotations": marks, "ownerReferences": [owner_reference(vmi, VIRTUAL_MACHINE_INSTANCE)],
    }
    spec = _spec(vmi, migration)
    spec["tolerations"] = _tolerations(vmi["spec"].get("tolerations") or [], toleration_seconds)
    return {"metadata": meta, "spec": spec}


def _spec(vmi: Object, migration: Object | None) -> Object:
    template = vmi["spec"]
    added = dig(migration, "spec", "addedNodeSelector", default={}) if migration else {}
    limits = dig(template, "domain", "resources", "limits", default={})
    spec: Object = {
        "restartPolicy": "Never", "hostname": template.get("hostname") or name(vmi),
        "terminationGracePeriodSeconds": grace_seconds(vmi) + GRACE_PADDING_SECONDS,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False, "schedulerName": template.get("schedulerName") or "default-scheduler",
        "nodeSelector": {kubevirt.SCHEDULABLE: "true", **added, **(template.get("nodeSelector") or {})},
        "readinessGates": [{"conditionType": kubevirt.UNPAUSED}],
        "volumes": _volumes(template.get("volumes") or []),
        "containers": [{
            "name": "compute", "image": kubevirt.LAUNCHER_IMAGE, "imagePullPolicy": "IfNotPresent",
            "resources": {"requests": requests(vmi), "limits": limits},
            "volumeMounts": [{"name": entry, "mountPath": f"/var/run/{entry}"} for entry in EMPTY_DIRS],
        }],
    }
    affinity = _affinity(template.get("affinity"), vmi if migration else None)
    if affinity:
        spec["affinity"] = affinity
    if template.get("priorityClassName"):
        spec["priorityClassName"] = template["priorityClassName"]
    return spec


def grace_seconds(vmi: Object) -> int:
    """Seconds that the guest has to power down."""
    return int(dig(vmi, "spec", "terminationGracePeriodSeconds", default=30))


def guest_memory(vmi: Object) -> Decimal:
    """The guest's memory in bytes: domain.memory.guest, else the memory request, else 512Mi."""
    domain = vmi["spec"]["domain"]
    asked = dig(domain, "memory", "guest") or dig(domain, "resources", "requests", "memory") or DEFAULT_MEMORY
    return parse(asked)


def vcpus(vmi: Object) -> int:
    cpu = dig(vmi, "spec", "domain", "cpu", default={})
    return int(cpu.get("cores") or 1) * int(cpu.get("sockets") or 1) * int(cpu.get("threads") or 1)


def requests(vmi: Object) -> dict[str, str]:
    """What the pod asks of its node: a tenth of a core per vCPU, the guest's memory and the overhead."""
    asked = dig(vmi, "spec", "domain", "resources", "requests", default={})
    cpu = asked.get("cpu") or f"{vcpus(vmi) * 1000 // CPU_ALLOCATION_RATIO}m"
    memory = parse(asked["memory"]) if asked.get("memory") else guest_memory(vmi)
    return {"cpu": str(cpu), "memory": mebibytes(memory + OVERHEAD_BYTES)}


def _tolerations(given: list[Object], seconds: float) -> list[Object]:
    covered = {entry.get("key") for entry in given if entry.get("effect") in (None, "", "NoExecute")}
    defaults: list[Object] = [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": round(seconds)}
        for key in _UNREACHABLE if key not in covered
    ]
    return [*given, *defaults]


def _volumes(volumes: list[Object]) -> list[Object]:
    found: list[Object] = [{"name": entry, "emptyDir": {}} for entry in EMPTY_DIRS]
    for volume in volumes:
        claim = claim_of_volume(volume)
        if claim:
            found.append({"name": volume["name"], "persistentVolumeClaim": {"claimName": claim}})
        elif "containerDisk" in volume:
            disk = volume["containerDisk"]
            policy = disk.get("imagePullPolicy", "IfNotPresent")
            found.append({"name": volume["name"], "image": {"reference": disk["image"], "pullPolicy": policy}})
    return found


def claim_of_volume(volume: Object) -> str:
    """The name of the claim behind a VMI's volume; a DataVolume's claim bears its name."""
    return str(dig(volume, "persistentVolumeClaim", "claimName") or dig(volume, "dataVolume", "name") or "")


def _affinity(given: Object | None, migrating: Object | None) -> Object:
    affinity: Object = {kind: dict(rules) for kind, rules in (given or {}).items() if rules}
    if migrating is None:
        return affinity
    term = {
        "labelSelector": {"matchLabels": {kubevirt.CREATED_BY: uid(migrating)}},
        "topologyKey": "kubernetes.io/hostname",
    }
    rules = affinity.setdefault("podAntiAffinity", {})
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    rules[required] = [*(rules.get(required) or []), term]
    return affinity
