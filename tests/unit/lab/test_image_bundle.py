"""What is handed to a cloud image: our files with their modes, the same bytes each time, an index that apt reads."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

from lab.image import bundle, rootfs
from lab.image.errors import ImageError


def test_our_files_are_there_with_their_modes(tmp_path: Path) -> None:
    """Programs can be run and nothing else can, whatever the clone's own modes are."""
    bundle.guest_files(tmp_path / "files.tar.gz")
    with tarfile.open(tmp_path / "files.tar.gz") as tar:
        modes = {one.name: one.mode for one in tar}
    assert modes["usr/bin/portal-member"] == 0o755
    assert modes["usr/lib/drainproof/database-template.sh"] == 0o755
    assert modes["usr/share/portal/schema.sql"] == 0o644


def test_our_files_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    """Neither the time nor the machine is in them."""
    for name in ("one", "two"):
        bundle.guest_files(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert (tmp_path / "one").read_bytes()[4:8] == bytes(4), "gzip's header (RFC 1952) tells when it was made"


def test_programs_are_those_of_the_image() -> None:
    """The cloud image's guest and our own have the same idea of what can be run."""
    assert bundle.EXECUTABLE_FOLDERS == rootfs._EXECUTABLE_FOLDERS


def test_the_index_names_a_package_as_apt_wants_it(tmp_path: Path) -> None:
    """Control fields, then where the file is and what it must be."""
    tree = tmp_path / "tree" / "DEBIAN"
    tree.mkdir(parents=True)
    (tree / "control").write_text(
        "Package: made\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example>\nDescription: made\n"
    )
    package = tmp_path / "made.deb"
    subprocess.run(["dpkg-deb", "-b", tmp_path / "tree", package], check=True, capture_output=True)
    entry = bundle._index_entry(package)
    assert entry.startswith("Package: made\n")
    assert f"\nFilename: ./made.deb\nSize: {package.stat().st_size}\nSHA256: " in entry
    assert entry.endswith("\n\n")


def test_what_is_no_package_is_refused(tmp_path: Path) -> None:
    """A download that was cut short is named."""
    (tmp_path / "cut.deb").write_bytes(b"!<arch>")
    with pytest.raises(ImageError, match="cut.deb is no Debian package"):
        bundle._index_entry(tmp_path / "cut.deb")
