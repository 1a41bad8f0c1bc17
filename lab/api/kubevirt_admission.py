"""KubeVirt's webhooks: defaults and refusals for VirtualMachine, its instances and their migrations."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from lab.api.caller import Caller
from lab.api.errors import Cause, Object, denied
from lab.api.store import Store
from lab.api.vm_hardware_validation import socket_causes
from lab.api.vm_schema import instance_texts, machine_texts, undecodable
from lab.api.vm_validation import template_causes
from lab.grouping import Index
from lab.kinds import MIGRATION, VIRTUAL_MACHINE, VIRTUAL_MACHINE_INSTANCE, Kind

RESERVED_LABELS = (
    "kubevirt.io/created-by", "kubevirt.io/migrationJobUID", "kubevirt.io/nodeName",
    "kubevirt.io/migrationTargetNodeName", "kubevirt.io/schedulable", "kubevirt.io/install-strategy",
)
"""Labels of a VMI that only KubeVirt's own components may set (restrictedVmiLabels in its webhooks)."""
RUN_STRATEGIES = ("Always", "Halted", "Manual", "RerunOnFailure", "Once")
FINAL_PHASES = ("Succeeded", "Failed")

_VM_MUTATOR = "virtualmachines-mutator.kubevirt.io"
_VM_VALIDATOR = "virtualmachine-validator.kubevirt.io"
_VMI_MUTATOR = "virtualmachineinstances-mutator.kubevirt.io"
_VMI_VALIDATOR = "virtualmachineinstances-create-validator.kubevirt.io"
_VMI_UPDATE = "virtualmachineinstances-update-validator.kubevirt.io"
_MIGRATION_VALIDATOR = "migration-create-validator.kubevirt.io"
_MIGRATION_UPDATE = "migration-update-validator.kubevirt.io"


def on_create(store: Store, kind: Kind, body: Object, caller: Caller) -> Object:
    """The body as the mutating webhooks leave it. Raises StatusError with the webhook's refusal."""
    if kind == VIRTUAL_MACHINE:
        _check_machine(body)
        return _machine_defaults(body)
    if kind == VIRTUAL_MACHINE_INSTANCE:
        return _admit_instance(body, caller)
    if kind == MIGRATION:
        return _admit_migration(store, body, caller)
    return body


def on_update(kind: Kind, old: Object, new: Object, caller: Caller) -> None:
    """Raises StatusError with the webhook's refusal."""
    if kind == VIRTUAL_MACHINE and old.get("spec") != new.get("spec"):
        _check_machine(new)
    elif kind == VIRTUAL_MACHINE_INSTANCE and not caller.component:
        _check_instance_update(old, new)
    elif kind == MIGRATION and old.get("spec") != new.get("spec"):
        raise denied(_MIGRATION_UPDATE, 422, "update of Migration object's spec is restricted", [
            ("FieldValueNotSupported", "", "update of Migration object's spec is restricted"),
        ])


def _require_spec(body: Object, webhook: str) -> Object:
    spec = body.get("spec")
    if isinstance(spec, dict):
        return spec
    texts = ["spec in body is required", 'spec in body must be of type object: "null"']
    raise _schema(webhook, texts)


def _schema(webhook: str, texts: list[str]) -> Exception:
    error = denied(webhook, 422, ", ".join(texts))
    error.details = {"causes": [{"message": text} for text in texts]}
    return error


def _check_machine(body: Object) -> None:
    spec = _require_spec(body, _VM_MUTATOR)
    template = spec.get("template")
    if not isinstance(template, dict):
        raise _schema(_VM_MUTATOR, ["spec.template in body is required"])
    template_spec = template.get("spec") or {}
    domain = template_spec.get("domain")
    if not isinstance(domain, dict):
        raise _schema(_VM_MUTATOR, ["spec.template.spec.domain in body is required"])
    if not isinstance(domain.get("devices"), dict):
        raise _schema(_VM_MUTATOR, ["spec.template.spec.domain.devices in body is required"])
    _check_fields(template_spec, "spec.template.spec", _VM_MUTATOR, machine_texts(spec))
    causes = _run_causes(spec) + _data_volume_causes(spec)
    labels = (template.get("metadata") or {}).get("labels") or {}
    causes += _label_causes(labels, "spec.template.metadata.labels")
    causes += template_causes(template_spec, "spec.template.spec")
    causes += socket_causes(domain, "spec.template.spec.domain")
    _refuse(_VM_VALIDATOR, causes)


def _check_fields(spec: Object, field: str, webhook: str, texts: Sequence[str] = ()) -> None:
    """Raises StatusError for a VMI's spec that KubeVirt cannot read; `texts` are what its schema says besides."""
    texts = [*texts, *instance_texts(spec, field)]
    if texts:
        raise _schema(webhook, texts)
    kind = "VirtualMachineInstanceTemplateSpec" if webhook == _VM_MUTATOR else "VirtualMachineInstanceSpec"
    wrong = undecodable(spec, field, kind)
    if wrong:
        raise denied(webhook, 400, wrong)


def _data_volume_causes(spec: Object) -> list[Cause]:
    """Templates of DataVolumes that no volume of the machine names."""
    volumes = (spec["template"].get("spec") or {}).get("volumes") or []
    used = {(volume.get("dataVolume") or {}).get("name") for volume in volumes}
    used |= {(volume.get("persistentVolumeClaim") or {}).get("claimName") for volume in volumes}
    places = {
        f"spec.dataVolumeTemplate[{index}]": (template.get("metadata") or {}).get("name")
        for index, template in enumerate(spec.get("dataVolumeTemplates") or [])
    }
    return [
        ("FieldValueRequired", place,
         f"DataVolumeTemplate entry {place} must be referenced in the VMI template's 'volumes' list")
        for place, name in places.items() if name not in used
    ]


def _run_causes(spec: Object) -> list[Cause]:
    running, strategy = spec.get("running"), spec.get("runStrategy")
    if running is not None and strategy is not None:
        text = ("Running and RunStrategy are mutually exclusive. Note that Running is deprecated, please use "
                "RunStrategy instead")
        return [("FieldValueInvalid", "spec.running", text)]
    if running is None and strategy is None:
        return [("FieldValueInvalid", "spec.running", "RunStrategy must be specified")]
    if strategy is not None and strategy not in RUN_STRATEGIES:
        gate = ", DecentralizedLiveMigration feature gate is not enabled in kubevirt resource"
        why = gate if strategy == "WaitAsReceiver" else ""
        return [("FieldValueInvalid", "spec.runStrategy", f"Invalid RunStrategy ({strategy}){why}")]
    return []


def _label_causes(labels: Object, field: str) -> list[Cause]:
    if not any(label in RESERVED_LABELS for label in labels):
        return []
    text = "creation of the following reserved kubevirt.io/ labels on a VMI object is prohibited"
    return [("FieldValueNotSupported", field, text)]


def _refuse(webhook: str, causes: list[Cause]) -> None:
    if causes:
        raise denied(webhook, 422, ", ".join(message for _, _, message in causes), causes)


def _machine_defaults(body: Object) -> Object:
    template = body["spec"]["template"]
    spec = template["spec"]
    if spec.setdefault("architecture", "amd64") == "amd64":
        meta = template.get("metadata") or {}
        annotations = {**(meta.get("annotations") or {}), "kubevirt.io/pci-topology-version": "v3"}
        template["metadata"] = {**meta, "annotations": annotations}
    domain = spec["domain"]
    if isinstance(domain.get("cpu"), dict):
        # A count of zero is as good as none to Go, which leaves it out.
        domain["cpu"] = {key: value for key, value in domain["cpu"].items() if value != 0}
    domain.setdefault("machine", {"type": "q35"})
    domain.setdefault("resources", {})
    firmware = domain.setdefault("firmware", {})
    firmware.setdefault("uuid", str(uuid.uuid4()))
    firmware.setdefault("serial", str(uuid.uuid4()))
    return body


def _admit_instance(body: Object, caller: Caller) -> Object:
    spec = _require_spec(body, _VMI_MUTATOR)
    domain = spec.get("domain")
    if not isinstance(domain, dict):
        raise _schema(_VMI_MUTATOR, ["spec.domain in body is required"])
    if not isinstance(domain.get("devices"), dict):
        raise _schema(_VMI_MUTATOR, ["spec.domain.devices in body is required"])
    _check_fields(spec, "spec", _VMI_MUTATOR)
    causes = template_causes(spec, "spec")
    if not caller.component:
        causes += _label_causes(body["metadata"].get("labels") or {}, "metadata.labels")
    _refuse(_VMI_VALIDATOR, causes)
    return body


def _check_instance_update(old: Object, new: Object) -> None:
    if old.get("spec") != new.get("spec"):
        text = "update of VMI object is restricted"
        _refuse(_VMI_UPDATE, [("FieldValueNotSupported", "", text)])
    before, after = (body["metadata"].get("labels") or {} for body in (old, new))
    if any(before.get(label) != after.get(label) for label in RESERVED_LABELS):
        text = "modification of the following reserved kubevirt.io/ labels on a VMI object is prohibited"
        _refuse(_VMI_UPDATE, [("FieldValueNotSupported", "", text)])


def _admit_migration(store: Store, body: Object, caller: Caller) -> Object:
    spec = body.get("spec") or {}
    name = spec.get("vmiName", "")
    if not name:
        _refuse(_MIGRATION_VALIDATOR, [("FieldValueRequired", "spec.vmiName", "vmiName is missing")])
    namespace = body["metadata"].get("namespace", "")
    stored = store.get(VIRTUAL_MACHINE_INSTANCE, namespace, name)
    if stored is None:
        raise denied(_MIGRATION_VALIDATOR, 400, f'the VMI "{namespace}/{name}" does not exist')
    if spec.get("priority") and not caller.component:
        text = "Migration priority queue, only virt-controller is allowed to set priority field"
        raise denied(_MIGRATION_VALIDATOR, 400, text)
    _check_migratable(stored.body)
    active = _active_migration(store, namespace, name)
    if active:
        uid = active["metadata"]["uid"]
        text = (f"in-flight migration detected. Active migration job ({uid}) is currently already in progress for VMI "
                f"{name}.")
        raise denied(_MIGRATION_VALIDATOR, 400, text)
    meta = body["metadata"]
    meta["labels"] = {**(meta.get("labels") or {}), "kubevirt.io/vmi-name": name}
    finalizer = "kubevirt.io/migrationJobFinalize"
    if finalizer not in meta.get("finalizers", []):
        meta["finalizers"] = [*meta.get("finalizers", []), finalizer]
    return body


def _check_migratable(instance: Object) -> None:
    status = instance.get("status") or {}
    if status.get("phase") in FINAL_PHASES:
        raise denied(_MIGRATION_VALIDATOR, 400, "Cannot migrate VMI in finalized state.")
    for condition in status.get("conditions") or []:
        if condition.get("type") == "LiveMigratable" and condition.get("status") == "False":
            text = f"Cannot migrate VMI, Reason: {condition.get('reason')}, Message: {condition.get('message')}"
            raise denied(_MIGRATION_VALIDATOR, 400, text)


def _active_migration(store: Store, namespace: str, name: str) -> Object | None:
    return next(iter(store.among(_UNFINISHED_OF_INSTANCE, f"{namespace}/{name}")), None)


def _instance_while_unfinished(migration: Object) -> tuple[str, ...]:
    if (migration.get("status") or {}).get("phase", "") in FINAL_PHASES:
        return ()
    return (f'{migration["metadata"].get("namespace", "")}/{(migration.get("spec") or {}).get("vmiName")}',)


_UNFINISHED_OF_INSTANCE = Index(MIGRATION, _instance_while_unfinished)
