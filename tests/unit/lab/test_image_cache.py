"""The guest image's cache: built once, left clean, refused with a sentence."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.image import ImageError, cache
from lab.image.recipe import recipe_hash


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Replace the build by one that writes the least; the list holds the directories built in."""
    done: list[Path] = []

    def build(directory: Path, _recipe: str, _log: Callable[[str], None]) -> None:
        done.append(directory)
        (directory / "cmdline").write_text("console=ttyS0\n")

    monkeypatch.setattr(cache, "build", build)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda tool: f"/usr/bin/{tool}")
    return done


def test_image_is_built_once(tmp_path: Path, builds: list[Path]) -> None:
    """The second call reuses what the first one built."""
    first, second = cache.ensure(tmp_path / "images"), cache.ensure(tmp_path / "images")
    assert first == second
    assert len(builds) == 1
    assert first.directory == tmp_path / "images" / f"guest-{recipe_hash()}"
    assert first.cmdline == "console=ttyS0"


def test_leftover_of_a_killed_build_is_removed(tmp_path: Path, builds: list[Path]) -> None:
    """The next build takes away the directory that a killed one could not."""
    leftover = tmp_path / ".guest-building-killed" / "work"
    leftover.mkdir(parents=True)
    cache.ensure(tmp_path)
    assert len(builds) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"guest-{recipe_hash()}", "guest.lock"]


def test_failed_build_leaves_nothing(tmp_path: Path, builds: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that fails leaves neither an image nor a temporary directory."""

    def fail(*_arguments: object) -> None:
        raise ImageError("mirror away")

    monkeypatch.setattr(cache, "build", fail)
    with pytest.raises(ImageError, match="mirror away"):
        cache.ensure(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["guest.lock"]


@pytest.mark.parametrize(("name", "value", "sentence"), [
    ("geteuid", lambda: 1000, "needs root"),
    ("which", lambda _tool: None, "needs the Debian packages e2fsprogs, mmdebstrap, util-linux"),
    ("disk_usage", lambda _path: shutil._ntuple_diskusage(0, 0, 5 << 20), "which has 5 MiB"),
])  # fmt: skip
def test_impossible_build_is_refused_first(
    tmp_path: Path, builds: list[Path], monkeypatch: pytest.MonkeyPatch, name: str, value: object, sentence: str
) -> None:
    """Missing rights, tools or space are told in one sentence before anything is done."""
    monkeypatch.setattr(os if name == "geteuid" else shutil, name, value)
    with pytest.raises(ImageError, match=sentence):
        cache.ensure(tmp_path)
    assert not builds
