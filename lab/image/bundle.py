"""What a cloud image lacks to be our guest: our own files, and the distribution's packages for where no mirror is."""

import gzip
import io
import subprocess
import tarfile
import tempfile
from hashlib import file_digest
from pathlib import Path

from lab.image import apt
from lab.image.errors import ImageError
from lab.image.recipe import GUEST, PACKAGES
from lab.image.run import run

NOT_IN_A_CLOUD_IMAGE = {"base-files", "base-passwd", "bash", "libc-bin", "linux-image-cloud-amd64", "lz4"}
"""Packages of our image that every cloud image has in some form, or does not need."""
EXECUTABLE_FOLDERS = ("usr/bin", "usr/lib/drainproof", "etc/acpi", "etc/sv")
CLOUD_PACKAGES = tuple(name for name in PACKAGES if name not in NOT_IN_A_CLOUD_IMAGE)


def guest_files(archive: Path) -> None:
    """Write our files of the guest, with the modes that they need, as a gzipped tar; the same files, the same bytes."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.GNU_FORMAT) as tar:
        _add_tree(tar, GUEST / "root", "")
        _add_tree(tar, GUEST / "build", "usr/lib/drainproof")
    archive.write_bytes(gzip.compress(content.getvalue(), mtime=0))


def _add_tree(tar: tarfile.TarFile, source: Path, folder: str) -> None:
    for path in sorted(source.rglob("*")):
        if not path.is_file() or "__pycache__" in path.parts:
            continue
        entry = tarfile.TarInfo(str(folder / path.relative_to(source)))
        entry.size = path.stat().st_size
        entry.mode = 0o755 if entry.name.startswith(EXECUTABLE_FOLDERS) else 0o644
        with path.open("rb") as stream:
            tar.addfile(entry, stream)


def offline_packages(archive: Path) -> None:
    """Write the packages with all that they depend on as a repository in a tar; ImageError when one cannot be had.

    The packages of the base system are there too, so that it serves an image of any date: apt takes what is missing.
    """
    with tempfile.TemporaryDirectory(prefix=".packages-", dir=archive.parent) as folder:
        place = Path(folder)
        _download(place)
        packages = sorted(place.glob("cache/archives/*.deb"))
        (place / "Packages").write_text("".join(map(_index_entry, packages)))
        with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as tar:
            for path in [place / "Packages", *packages]:
                entry = tarfile.TarInfo(f"drainproof-packages/{path.name}")
                entry.size, entry.mode = path.stat().st_size, 0o644
                with path.open("rb") as stream:
                    tar.addfile(entry, stream)


def _download(place: Path) -> None:
    """Fetch into an apt of its own, for which nothing is installed yet; the host's packages are not touched."""
    for name in ("state/lists/partial", "cache/archives/partial", "parts"):
        (place / name).mkdir(parents=True)
    (place / "status").touch()
    (place / "debian.sources").write_text("\n".join(source.deb822() for source in apt.debian_sources()))
    (place / "apt.conf").write_text(
        f'{apt.transport_options()}Dir::State "{place}/state";\nDir::State::status "{place}/status";\n'
        f'Dir::Cache "{place}/cache";\nDir::Etc::SourceList "{place}/debian.sources";\n'
        f'Dir::Etc::SourceParts "{place}/parts";\nAPT::Install-Recommends "false";\nAPT::Sandbox::User "root";\n'
    )
    for arguments in (["update", "-qq"], ["install", "-qq", "-y", "--download-only", *CLOUD_PACKAGES]):
        run(["env", f"APT_CONFIG={place}/apt.conf", "apt-get", *arguments])


def _index_entry(package: Path) -> str:
    done = subprocess.run(["dpkg-deb", "-f", package], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ImageError(f"{package.name} is no Debian package: {done.stderr.strip()}")
    with package.open("rb") as stream:
        digest = file_digest(stream, "sha256").hexdigest()
    return f"{done.stdout.strip()}\nFilename: ./{package.name}\nSize: {package.stat().st_size}\nSHA256: {digest}\n\n"
