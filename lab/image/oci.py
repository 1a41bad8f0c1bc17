"""Container images without a container engine: one layer of files, as an archive that engines and registries take.

The archive is an OCI image layout (image-spec 1.0: oci-layout, index.json, blobs) and, in the same tar, what
`docker load` reads (manifest.json). Nothing in it depends on when or by whom it is written: the same files give the
same bytes.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONTAINERD_NAME = "io.containerd.image.name"
"""The annotation by which containerd, and so `kind load image-archive`, names an imported image."""
REFERENCE_NAME = "org.opencontainers.image.ref.name"
EPOCH = "1970-01-01T00:00:00Z"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class ImageFile:
    """A file of the image: where it comes from, where it goes (without leading slash), whose it is there."""

    source: Path
    path: str
    owner: int = 0
    """User and group of the file, and of the folder that it is alone in."""
    mode: int = 0o444


@dataclass(frozen=True)
class Blob:
    """A piece of content, by its digest and size in bytes."""

    digest: str
    size: int

    @property
    def path(self) -> str:
        return f"blobs/{self.digest.replace(':', '/')}"

    def descriptor(self, media_type: str) -> dict[str, Any]:
        """The reference to it, as a manifest or an index holds it."""
        return {"mediaType": media_type, "digest": self.digest, "size": self.size}


def write_archive(archive: Path, name: str, files: Sequence[ImageFile], work: Path, architecture: str = "amd64") -> str:
    """Write the image of these files under a full name (`registry/repository:tag`); the digest of its manifest.

    `work` has to have room for one copy of the files. An archive that was there is replaced in one step. Raises
    OSError.
    """
    layer_file = work / "layer.tar"
    layer = _write_layer(layer_file, files)
    config = _json({
        "created": EPOCH, "architecture": architecture, "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [layer.digest]}, "history": [{"created": EPOCH}],
    })
    manifest = _json({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": _blob(config).descriptor(CONFIG_TYPE),
        "layers": [layer.descriptor(LAYER_TYPE)],
    })
    annotations = {CONTAINERD_NAME: name, REFERENCE_NAME: name}
    index = _json({
        "schemaVersion": 2,
        "manifests": [{**_blob(manifest).descriptor(MANIFEST_TYPE), "annotations": annotations}],
    })
    docker = _json([{"Config": _blob(config).path, "RepoTags": [name], "Layers": [layer.path]}])
    whole = work / "archive.tar"
    with tarfile.open(whole, "w", format=tarfile.GNU_FORMAT) as tar:
        _add(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(tar, "index.json", index)
        _add(tar, "manifest.json", docker)
        for content in (config, manifest):
            _add(tar, _blob(content).path, content)
        with layer_file.open("rb") as stream:
            tar.addfile(_entry(layer.path, layer.size), stream)
    layer_file.unlink()
    whole.replace(archive)
    return _blob(manifest).digest


def containerfile(files: Sequence[ImageFile]) -> str:
    """The Containerfile that builds the same image where an engine is at hand; sources lie in its own folder."""
    copies = [f"COPY --chown={one.owner}:{one.owner} {one.source.name} /{one.path}" for one in files]
    return "\n".join(["FROM scratch", *copies, ""])


def _write_layer(path: Path, files: Sequence[ImageFile]) -> Blob:
    with _hashing(path) as stream, tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for folder in dict.fromkeys(str(Path(one.path).parent) for one in files):
            owner = next(one.owner for one in files if str(Path(one.path).parent) == folder)
            entry = _entry(folder, 0, owner, 0o555)
            entry.type = tarfile.DIRTYPE
            tar.addfile(entry)
        for one in files:
            with one.source.open("rb") as content:
                tar.addfile(_entry(one.path, one.source.stat().st_size, one.owner, one.mode), content)
    return Blob(f"sha256:{stream.digest.hexdigest()}", path.stat().st_size)


class _Hashing(io.RawIOBase):
    """A file that is written once, front to back, and hashed meanwhile."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return self._stream.write(data)

    def tell(self) -> int:
        return self._stream.tell()


@contextmanager
def _hashing(path: Path) -> Iterator[_Hashing]:
    with path.open("wb", buffering=_CHUNK) as stream:
        yield _Hashing(stream)


def _entry(name: str, size: int, owner: int = 0, mode: int = 0o444) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.uid, entry.gid, entry.mtime = size, mode, owner, owner, 0
    return entry


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    tar.addfile(_entry(name, len(content)), io.BytesIO(content))


def _blob(content: bytes) -> Blob:
    return Blob(f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
