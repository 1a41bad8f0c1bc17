"""The servers' root directory in the cache: made once, whole or not at all."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.image.errors import ImageError
from lab.storage import tree


@pytest.fixture(name="unpacked")
def fake_packages(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What stands in for the packages' files, and how often they were unpacked."""
    calls: list[Path] = []

    def unpack(root: Path, work: Path) -> None:
        calls.append(work)
        for folder in ("etc", "var", "usr/share/doc/tgt"):
            (root / folder).mkdir(parents=True)
        deadline = time.monotonic() + 0.2
        while time.monotonic() < deadline:
            assert work.is_dir()

    monkeypatch.setattr(tree, "_unpack", unpack)
    return calls


def test_two_labs_make_it_once(tmp_path: Path, unpacked: list[Path]) -> None:
    """The second waits for the first, and what a killed builder left is gone."""
    cache = tmp_path / "cache"
    (cache / ".storage-building-dead").mkdir(parents=True)
    lines: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: tree.ensure(cache, lines.append), range(2)))
    assert made == [tree.location(cache)] * 2
    assert len(unpacked) == 1
    assert any("waiting for another lab" in line for line in lines)
    assert sorted(entry.name for entry in cache.iterdir()) == [made[0].name, "storage.lock"]


def test_it_has_what_the_servers_need_and_no_documentation(tmp_path: Path, unpacked: list[Path]) -> None:
    root = tree.ensure(tmp_path, lambda _line: None)
    assert unpacked
    assert all((root / folder).is_dir() for folder in tree.MOUNT_POINTS)
    assert (root / "etc/mtab").readlink() == Path("/proc/self/mounts")
    assert "_rpc" in (root / "etc/passwd").read_text()
    assert not (root / "usr/share/doc").exists()


def test_a_failed_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next lab begins anew, and does not take half a tree for a whole one."""

    def fail(root: Path, _work: Path) -> None:
        root.mkdir()
        raise ImageError("no mirror answers")

    monkeypatch.setattr(tree, "_unpack", fail)
    with pytest.raises(ImageError, match="no mirror answers"):
        tree.ensure(tmp_path, lambda _line: None)
    assert [entry.name for entry in tmp_path.iterdir()] == ["storage.lock"]
