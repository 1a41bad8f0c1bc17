"""The guest's script that mounts the data disk: it formats an empty one, and nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab.image.recipe import GUEST

SCRIPT = GUEST / "root/usr/lib/drainproof/data-disk"
MAGIC_AT = 1080
COMMON = """
say() { echo "said: $*"; }
find_disk() { echo disk; }
mount() { echo "mounted: $*"; }
"""


def ran(folder: Path) -> list[str]:
    """What the script does with the disk in a folder."""
    (folder / "common").write_text(COMMON)
    text = SCRIPT.read_text()
    for words, others in (
        ("/usr/lib/drainproof/common", f"{folder}/common"), ("/dev/$disk", f"{folder}/$disk"),
        ("/run/", f"{folder}/"), ("/usr/sbin/mke2fs", "echo formatted:"),
    ):
        assert words in text
        text = text.replace(words, others)
    done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=True)
    return [line.partition(":")[0] for line in done.stdout.splitlines()]


def disk(folder: Path, magic: bytes) -> None:
    (folder / "disk").write_bytes(bytes(MAGIC_AT) + magic + bytes(4096))


@pytest.mark.parametrize(
    ("magic", "done"),
    [
        (b"\0\0", ["formatted", "mounted"]),
        (b"\x53\xef", ["mounted"]),
        (b"ab", ["said"]),
    ],
)
def test_only_an_empty_disk_is_formatted(tmp_path: Path, magic: bytes, done: list[str]) -> None:
    """One that holds something that is no ext4 file system may be a copy that went wrong, or somebody's data."""
    disk(tmp_path, magic)
    assert ran(tmp_path) == done


def test_a_disk_that_cannot_be_read_is_not_formatted(tmp_path: Path) -> None:
    """Its storage may be away while the guest boots."""
    (tmp_path / "disk").mkdir()
    assert ran(tmp_path) == ["said"]


def test_a_disk_that_ends_early_is_not_formatted(tmp_path: Path) -> None:
    """Nothing was read of where the magic number would be."""
    (tmp_path / "disk").write_bytes(bytes(10))
    assert ran(tmp_path) == ["said"]
