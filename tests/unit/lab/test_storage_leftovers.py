"""What a crash or a failure leaves in a storage server is removed, and nothing of another volume with it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, cast

import pytest

from lab.config import LabConfig
from lab.storage.backend import StorageError
from lab.storage.ceph import Ceph
from lab.storage.iscsi import IQN, Targets, _number
from lab.storage.room import Room


class Rbd:
    """As much of rbd as removing takes: images with snapshots, of which none goes to the trash for good."""

    def __init__(self, snapshots: dict[str, list[str]]) -> None:
        self.snapshots = snapshots
        self.trash: list[str] = []

    async def run(self, argv: list[str]) -> str:
        words = [word for word in argv[3:] if not word.startswith("--") and word != "json"]
        image = words[-1].removeprefix("rbd/")
        name, _, snapshot = image.partition("@")
        if words[:2] == ["snap", "ls"]:
            if name not in self.snapshots:
                raise StorageError(f"rbd: error opening image {name}: (2) No such file or directory")
            return json.dumps([{"name": one} for one in self.snapshots[name]])
        if words[:2] == ["snap", "rm"]:
            self.snapshots[name].remove(snapshot)
        elif words[:2] == ["trash", "mv"]:
            if name not in self.snapshots:
                raise StorageError("(2) No such file or directory")
            self.trash.append(name)
        elif words[:2] == ["trash", "ls"]:
            return json.dumps([{"id": one} for one in self.trash])
        elif words[:2] == ["trash", "rm"]:
            if self.snapshots[name]:
                raise StorageError("image has snapshots - not removing")
            self.trash.remove(name)
            del self.snapshots[name]
        return ""


def ceph(rbd: Rbd, folder: Path) -> Ceph:
    found = Ceph(LabConfig(name="unit", state_dir=str(folder), storage=("ceph",)))
    found._room = cast(Room, rbd)
    return found


def test_a_clone_that_was_broken_off_does_not_keep_its_source(tmp_path: Path) -> None:
    """Its passing snapshot goes with the image; one that stands for a VolumeSnapshot is not touched here."""
    rbd = Rbd({"pvc-a": ["for-pvc-b"], "snap-c": ["content"]})
    backend = ceph(rbd, tmp_path)
    asyncio.run(backend.remove("pvc-a"))
    assert (rbd.snapshots, rbd.trash) == ({"snap-c": ["content"]}, [])
    asyncio.run(backend.remove("pvc-a"))
    asyncio.run(backend.remove("snap-c"))
    assert (rbd.snapshots, rbd.trash) == ({"snap-c": ["content"]}, ["snap-c"])


class Tgt:
    """A tgtd with targets by number, which fails at a step."""

    def __init__(self, folder: Path, targets: dict[str, str], failing: tuple[str, str]) -> None:
        self.state, self.targets, self.failing = folder, targets, failing

    async def run(self, argv: list[str]) -> str:
        told: dict[str, Any] = dict(zip(argv[1::2], argv[2::2], strict=False))
        number = told.get("--tid", "")
        if told["--op"] == "show":
            return "".join(f"Target {at}: {name}\n" for at, name in self.targets.items())
        if (told["--op"], told["--mode"]) == self.failing or (
            told["--op"] == "new" and told["--mode"] == "target" and number in self.targets
        ):
            raise StorageError("tgtadm: this target already exists, or no room")
        if (told["--op"], told["--mode"]) == ("new", "target"):
            self.targets[number] = told["--targetname"]
        elif (told["--op"], told["--mode"]) == ("delete", "target"):
            del self.targets[number]
        return ""


@pytest.mark.parametrize(
    ("others", "failing"),
    [({_number("pvc-a"): f"{IQN}:pvc-z"}, ("", "")), ({"7": f"{IQN}:pvc-z"}, ("new", "logicalunit"))],
)
def test_a_target_that_cannot_be_made_takes_no_other_with_it(
    tmp_path: Path, others: dict[str, str], failing: tuple[str, str]
) -> None:
    """Two names may make the same number; what was made in part goes, what is another volume's stays."""
    tgt = Tgt(tmp_path, dict(others), failing)
    with pytest.raises(StorageError):
        asyncio.run(Targets(cast(Room, tgt)).offer("pvc-a"))
    assert tgt.targets == others
