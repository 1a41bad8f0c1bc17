"""What `kubectl get` shows of snapshots, restores and clones: the printer columns of their definitions."""

from __future__ import annotations

from lab.api.columns import CUSTOM_AGE, NAME, Column, age_of, path


def _date(name: str, where: str) -> Column:
    return Column(name, lambda body: _age(path(where, None)(body)), "date")


def _age(stamp: str | None) -> str | None:
    return age_of(stamp) if stamp else None


COLUMNS: dict[str, tuple[Column, ...]] = {
    "VolumeSnapshotClass": (
        NAME, Column("Driver", path("driver", None)), Column("DeletionPolicy", path("deletionPolicy", None)),
        CUSTOM_AGE,
    ),
    "VolumeSnapshot": (
        NAME, Column("ReadyToUse", path("status.readyToUse", None), "boolean"),
        Column("SourcePVC", path("spec.source.persistentVolumeClaimName", None)),
        Column("SourceSnapshotContent", path("spec.source.volumeSnapshotContentName", None)),
        Column("RestoreSize", path("status.restoreSize", None)),
        Column("SnapshotClass", path("spec.volumeSnapshotClassName", None)),
        Column("SnapshotContent", path("status.boundVolumeSnapshotContentName", None)),
        _date("CreationTime", "status.creationTime"), CUSTOM_AGE,
    ),
    "VolumeSnapshotContent": (
        NAME, Column("ReadyToUse", path("status.readyToUse", None), "boolean"),
        Column("RestoreSize", path("status.restoreSize", None), "integer"),
        Column("DeletionPolicy", path("spec.deletionPolicy", None)), Column("Driver", path("spec.driver", None)),
        Column("VolumeSnapshotClass", path("spec.volumeSnapshotClassName", None)),
        Column("VolumeSnapshot", path("spec.volumeSnapshotRef.name", None)),
        Column("VolumeSnapshotNamespace", path("spec.volumeSnapshotRef.namespace", None)), CUSTOM_AGE,
    ),
    "VirtualMachineSnapshot": (
        NAME, Column("SourceKind", path("spec.source.kind", None)),
        Column("SourceName", path("spec.source.name", None)), Column("Phase", path("status.phase", None)),
        Column("ReadyToUse", path("status.readyToUse", None), "boolean"),
        _date("CreationTime", "status.creationTime"), Column("Error", path("status.error.message", None)),
    ),
    "VirtualMachineSnapshotContent": (
        NAME, Column("ReadyToUse", path("status.readyToUse", None), "boolean"),
        _date("CreationTime", "status.creationTime"), Column("Error", path("status.error.message", None)),
    ),
    "VirtualMachineRestore": (
        NAME, Column("TargetKind", path("spec.target.kind", None)),
        Column("TargetName", path("spec.target.name", None)),
        Column("Complete", path("status.complete", None), "boolean"),
        _date("RestoreTime", "status.restoreTime"),
    ),
    "VirtualMachineClone": (
        NAME, Column("Phase", path("status.phase", None)),
        Column("SourceVirtualMachine", path("spec.source.name", None)),
        Column("TargetVirtualMachine", path("spec.target.name", None)),
    ),
}
