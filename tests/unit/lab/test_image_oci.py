"""The archive of a container image: what the image-spec asks for, the same bytes each time, readable by others."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from lab.image import publish
from lab.image.oci import ImageFile, containerfile, write_archive

NAME = "registry.example/drainproof/guest:1"


@pytest.fixture
def files(tmp_path: Path) -> tuple[ImageFile, ...]:
    for name, content in (("disk.img", b"disk" * 5000), ("vmlinuz", b"\x7fELF"), ("initrd.img", b"070701")):
        (tmp_path / name).write_bytes(content)
    return tuple(publish.contents(tmp_path))


@pytest.fixture
def archive(tmp_path: Path, files: tuple[ImageFile, ...]) -> Path:
    write_archive(tmp_path / "guest.tar", NAME, files, tmp_path)
    return tmp_path / "guest.tar"


def members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {one.name: content.read() for one in tar if (content := tar.extractfile(one)) is not None}


def test_every_reference_is_met_by_a_blob_of_that_digest_and_size(archive: Path) -> None:
    """From the index to the layer, each descriptor says what is there."""
    found = members(archive)
    assert json.loads(found["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}

    def resolve(descriptor: dict[str, Any]) -> bytes:
        content = found["blobs/" + descriptor["digest"].replace(":", "/")]
        assert hashlib.sha256(content).hexdigest() == descriptor["digest"].removeprefix("sha256:")
        assert len(content) == descriptor["size"]
        return content

    (entry,) = json.loads(found["index.json"])["manifests"]
    manifest = json.loads(resolve(entry))
    config = json.loads(resolve(manifest["config"]))
    (layer,) = manifest["layers"]
    resolve(layer)
    assert config["rootfs"]["diff_ids"] == [layer["digest"]], "an uncompressed layer is its own diff"
    assert entry["annotations"]["io.containerd.image.name"] == NAME


def test_docker_finds_the_same_layer_under_the_same_name(archive: Path) -> None:
    """manifest.json, which `docker load` reads, names the blobs of the same archive."""
    found = members(archive)
    (told,) = json.loads(found["manifest.json"])
    assert told["RepoTags"] == [NAME]
    assert {told["Config"], *told["Layers"]} <= set(found)


def test_the_layer_is_a_container_disk_with_a_kernel(archive: Path, tmp_path: Path) -> None:
    """One file under /disk which QEMU's user can read, the kernel's files beside it."""
    found = members(archive)
    (told,) = json.loads(found["manifest.json"])
    with tarfile.open(fileobj=io.BytesIO(found[told["Layers"][0]])) as layer:
        entries = {one.name: one for one in layer}
        disk = layer.extractfile("disk/disk.img")
        assert disk is not None
        assert disk.read() == (tmp_path / "disk.img").read_bytes()
    assert set(entries) == {"disk", "disk/disk.img", "boot", "boot/vmlinuz", "boot/initrd.img"}
    assert {(one.uid, one.gid, one.mtime) for one in entries.values()} == {(107, 107, 0)}
    assert entries["disk/disk.img"].mode == 0o440


def test_the_same_files_give_the_same_bytes(tmp_path: Path, files: tuple[ImageFile, ...]) -> None:
    """Neither the time nor the modes and owners of the sources are in it."""
    digests = []
    for number, stamp in enumerate((1, 2_000_000_000)):
        for one in files:
            os.utime(one.source, (stamp, stamp))
            one.source.chmod(0o600 + number)
        write_archive(tmp_path / f"{number}.tar", NAME, files, tmp_path)
        digests.append(hashlib.sha256((tmp_path / f"{number}.tar").read_bytes()).hexdigest())
    assert digests[0] == digests[1]


def test_the_containerfile_builds_of_the_same_files(files: tuple[ImageFile, ...]) -> None:
    """Each file of the archive is copied to the same place for the same user."""
    lines = containerfile(files).splitlines()
    assert lines[0] == "FROM scratch"
    assert lines[1:] == [
        "COPY --chown=107:107 disk.img /disk/disk.img", "COPY --chown=107:107 vmlinuz /boot/vmlinuz",
        "COPY --chown=107:107 initrd.img /boot/initrd.img",
    ]


def test_skopeo_reads_and_copies_it(archive: Path, tmp_path: Path) -> None:
    """A foreign tool takes the archive in both of its forms, and gives the disk back unchanged."""
    skopeo = os.environ.get("DRAINPROOF_SKOPEO") or shutil.which("skopeo")
    if not skopeo:
        pytest.skip("there is no skopeo; install the Debian package, or set DRAINPROOF_SKOPEO")

    def call(*arguments: str) -> str:
        return subprocess.run([skopeo, *arguments], capture_output=True, text=True, check=True, timeout=60).stdout

    told = json.loads(call("inspect", f"oci-archive:{archive}"))
    assert (told["Architecture"], told["Os"]) == ("amd64", "linux")
    call("inspect", f"docker-archive:{archive}")
    call("--insecure-policy", "copy", "-q", f"oci-archive:{archive}", f"dir:{tmp_path / 'out'}")
    layer = tmp_path / "out" / told["Layers"][0].removeprefix("sha256:")
    with tarfile.open(layer) as tar:
        disk = tar.extractfile("disk/disk.img")
        assert disk is not None
        assert disk.read() == (tmp_path / "disk.img").read_bytes()
