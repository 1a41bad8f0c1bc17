"""Disk files and the classes that are nothing but files."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lab import storage
from lab.config import LabConfig
from lab.storage import StorageError, files


def test_a_disk_is_sparse_and_made_once(tmp_path: Path) -> None:
    path = tmp_path / "shared" / "u1" / "disk.img"
    files.create(path, 1 << 30)
    assert path.stat().st_size == 1 << 30
    assert path.stat().st_blocks == 0
    path.write_text("data")
    files.create(path, 1 << 30)
    assert path.read_text() == "data"
    assert [entry.name for entry in path.parent.iterdir()] == ["disk.img"]
    files.remove(tmp_path, path)
    assert not path.parent.exists()


def test_only_the_labs_own_volumes_are_ever_removed(tmp_path: Path) -> None:
    precious = tmp_path / "home" / "x" / "disk.img"
    precious.parent.mkdir(parents=True)
    precious.touch()
    with pytest.raises(ValueError, match="nothing was removed"):
        files.remove(tmp_path / "lab" / "volumes", precious)
    assert precious.exists()


def test_a_snapshot_keeps_what_the_volume_was(tmp_path: Path) -> None:
    """The copy is sparse, a volume made from it may be larger, and none may be smaller."""
    backend = storage.backend(LabConfig(state_dir=str(tmp_path)), "lab-shared")
    volume, restored, small = (backend.handle(name) for name in ("u1", "u2", "u3"))

    async def work() -> None:
        await backend.create(volume, 8 << 20)
        with Path(volume).open("r+b") as file:
            file.write(b"before")
        snapshot = await backend.snapshot(volume, "s1")
        with Path(volume).open("r+b") as file:
            file.write(b"after!")
        await backend.create_from_snapshot(snapshot, restored, 12 << 20)
        with pytest.raises(StorageError, match="ask for more"):
            await backend.create_from_snapshot(snapshot, small, 4 << 20)
        await backend.delete_snapshot(snapshot)
        assert not Path(snapshot).exists()

    asyncio.run(work())
    assert Path(restored).stat().st_size == 12 << 20
    assert Path(restored).stat().st_blocks < 1000
    assert Path(restored).read_bytes()[:6] == b"before"
    assert Path(volume).read_bytes()[:6] == b"after!"
    assert not Path(small).parent.exists() or list(Path(small).parent.iterdir()) == []


def test_a_clone_of_what_is_not_there_names_it(tmp_path: Path) -> None:
    backend = storage.backend(LabConfig(state_dir=str(tmp_path)), "lab-local")
    with pytest.raises(StorageError, match="node-a/u1/disk.img does not exist"):
        asyncio.run(backend.clone(backend.handle("u1", "node-a"), backend.handle("u2", "node-a"), 1 << 20))


def test_a_size_is_rounded_up_to_whole_sectors(tmp_path: Path) -> None:
    """100M is no multiple of 512 bytes; a volume and its clone agree on what it means."""
    backend = storage.backend(LabConfig(state_dir=str(tmp_path)), "lab-shared")
    volume, clone = backend.handle("u1"), backend.handle("u2")
    asyncio.run(backend.create(volume, 100_000_000))
    asyncio.run(backend.clone(volume, clone, 100_000_000))
    assert Path(volume).stat().st_size == Path(clone).stat().st_size == 100_000_256


def test_an_unknown_class_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="it has lab-shared, lab-local"):
        storage.backend(LabConfig(state_dir=str(tmp_path)), "lab-tape")
