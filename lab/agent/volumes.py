"""A guest's disks as QEMU opens them: the guest image, claims, and the cloud-init volume."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lab import storage
from lab.agent.argv import Boot
from lab.agent.domain_spec import Disk, DiskKind, DomainSpec, image_tag, images, is_guest_image
from lab.client import Client, NotFoundError, Object
from lab.config import LabConfig
from lab.image import nocloud
from lab.kinds import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, SECRET
from lab.machinery import quantity
from lab.machinery.objects import dig


class VolumeError(Exception):
    """A volume cannot be had; the message names it and what is missing."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A domain whose disks are known, and its kernel."""

    spec: DomainSpec
    boot: Boot
    locks: tuple[Path, ...] = ()
    """Of the volumes that QEMU does not lock itself."""


def missing_image(config: LabConfig, vmi: Object) -> str | None:
    """The first container disk image that the lab does not have, None when it has all of them."""
    for name in images(vmi):
        if not is_guest_image(name) or (named_image(config, name) is None and image_tag(name) not in ("", "latest")):
            return name
    return None


def named_image(config: LabConfig, name: str) -> Path | None:
    """The image's directory in the cache when its tag is the hash of a recipe that has been built."""
    directory = config.cache / f"guest-{image_tag(name)}"
    return directory if image_tag(name) and directory.is_dir() else None


async def prepare(client: Client, config: LabConfig, vmi: Object, spec: DomainSpec) -> Prepared:
    """Find or make what is behind each disk; raises VolumeError, ApiError, or ImageError of the cloud-init volume."""
    disks, locks = [], []
    root = _guest_image(config, images(vmi))
    for disk in spec.disks:
        if disk.kind is DiskKind.CONTAINER:
            disks.append(disk.at(_file(root / "root.img")))
        elif disk.kind is DiskKind.CLAIM:
            claim = await _claim(client, spec.namespace, disk.source)
            backend, handle = await _claim_volume(client, config, claim)
            disks.append(disk.at(backend.blockdev(handle)))
            if lock := storage.lock_file(config, backend, handle):
                locks.append(lock)
        else:
            disks.append(disk.at(_file(await _cloud_init(client, config, vmi, disk))))
    kernel = next(root.glob("vmlinu[xz]"))
    boot = Boot(kernel, root / "initrd.img", (root / "cmdline").read_text().strip())
    return Prepared(replace(spec, disks=tuple(disks)), boot, tuple(locks))


@contextlib.contextmanager
def locked(prepared: Prepared, *, joining: bool = False) -> Iterator[tuple[int, ...]]:
    """The locks of a domain's volumes, for its QEMU to inherit; raises VolumeError while another QEMU has one of them.

    `joining` is the target of a migration, which opens what the source has open.
    """
    with contextlib.ExitStack() as stack:
        try:
            locks = stack.enter_context(storage.held(prepared.locks, joining=joining))
        except (storage.StorageError, OSError) as error:
            raise VolumeError(str(error)) from error
        yield locks


async def claims(client: Client, vmi: Object) -> dict[str, Object]:
    """The VMI's PersistentVolumeClaims by name, those that exist."""
    found: dict[str, Object] = {}
    for volume in vmi["spec"].get("volumes", []):
        name = dig(volume, "persistentVolumeClaim", "claimName")
        if name:
            with contextlib.suppress(NotFoundError):
                found[name] = await client.get(PERSISTENT_VOLUME_CLAIM, name, vmi["metadata"]["namespace"])
    return found


def cloud_init_file(config: LabConfig, vmi_uid: str) -> Path:
    """The VMI's cloud-init volume; one file for all nodes, so that a migration finds the same bytes."""
    return config.state / "cidata" / f"{vmi_uid}.iso"


def image_link(config: LabConfig) -> Path:
    """Leads to the guest image the lab was started with: what a name without a tag means, as long as the lab is up."""
    return config.state / "guest-image"


def _guest_image(config: LabConfig, names: list[str]) -> Path:
    tagged = (named_image(config, name) for name in names)
    return next((directory for directory in tagged if directory), image_link(config))


async def _claim(client: Client, namespace: str, name: str) -> Object:
    try:
        return await client.get(PERSISTENT_VOLUME_CLAIM, name, namespace)
    except NotFoundError as error:
        raise VolumeError(f"PVC {namespace}/{name} does not exist; create it, or correct the VM's volumes") from error


def _file(path: Path) -> dict[str, object]:
    return {"driver": "file", "filename": str(path), "aio": "threads"}


async def _claim_volume(client: Client, config: LabConfig, claim: Object) -> tuple[storage.Backend, str]:
    meta = claim["metadata"]
    volume_name = dig(claim, "spec", "volumeName")
    if not volume_name or dig(claim, "status", "phase") != "Bound":
        raise VolumeError(f"PVC {meta['namespace']}/{meta['name']} is not bound yet")
    volume = await client.get(PERSISTENT_VOLUME, volume_name)
    found = storage.of_volume(config, volume)
    if found is None:
        raise VolumeError(f"PV {volume_name} has no spec.local, spec.hostPath or spec.csi of a class of this lab")
    backend, handle = found
    if "csi" not in volume["spec"]:
        # Somebody may have written this volume by hand; a provisioned one is there already.
        size = math.ceil(quantity.parse(dig(volume, "spec", "capacity", "storage", default="1Gi")))
        await backend.create(handle, size)
    return backend, handle


async def _cloud_init(client: Client, config: LabConfig, vmi: Object, disk: Disk) -> Path:
    path = cloud_init_file(config, vmi["metadata"]["uid"])
    if path.exists():
        return path
    source = next(volume for volume in vmi["spec"]["volumes"] if volume["name"] == disk.name)["cloudInitNoCloud"]
    namespace = vmi["metadata"]["namespace"]
    user = await _data(client, namespace, source, "userData", "secretRef")
    network = await _data(client, namespace, source, "networkData", "networkDataSecretRef")
    meta = {"instance-id": vmi["metadata"]["uid"], "local-hostname": hostname(vmi)}
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    await asyncio.to_thread(_write_cloud_init, path, user or "", json.dumps(meta) + "\n", network)
    return path


def _write_cloud_init(path: Path, user: str, meta: str, network: str | None) -> None:
    # The user data holds passwords: nobody but root sees the file, not even before it has its name.
    temporary = path.with_suffix(".tmp")
    nocloud.write(temporary, user, meta, network)
    temporary.chmod(0o600)
    temporary.replace(path)


def hostname(vmi: Object) -> str:
    """The guest's host name: spec.hostname, else the VMI's name, as KubeVirt has it."""
    return str(vmi["spec"].get("hostname") or vmi["metadata"]["name"])


async def _data(client: Client, namespace: str, source: Object, field: str, reference: str) -> str | None:
    """Plain text, base64 or a Secret's key, in the order in which KubeVirt looks (userdata / networkdata)."""
    if source.get(field):
        return str(source[field])
    if source.get(f"{field}Base64"):
        return base64.b64decode(source[f"{field}Base64"]).decode()
    secret_name = dig(source, reference, "name")
    if not secret_name:
        return None
    try:
        secret = await client.get(SECRET, secret_name, namespace)
    except NotFoundError as error:
        raise VolumeError(f"Secret {namespace}/{secret_name} for cloud-init does not exist; create it") from error
    data = secret.get("data") or {}
    for key in (field.lower(), field):
        if key in data:
            return base64.b64decode(data[key]).decode()
    raise VolumeError(f"Secret {namespace}/{secret_name} has no key {field.lower()}; cloud-init needs it")
