"""Who may have a volume open: locks that live and die with the processes that inherited them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab import processes, storage
from lab.agent import volumes
from lab.agent.argv import Boot
from lab.agent.domain_spec import DomainSpec
from lab.agent.volumes import Prepared, VolumeError
from lab.config import LabConfig

Open = Callable[[bool], "subprocess.Popen[bytes]"]


def domain(*locks: Path) -> Prepared:
    spec = DomainSpec("space", "guest", "u1", "u1", 0, 1, "", "", ())
    return Prepared(spec, Boot(Path(), Path(), ""), locks)


@pytest.fixture(name="qemu")
def processes_with_the_volume_open(tmp_path: Path) -> Iterator[Open]:
    """Starts a process that has the volume open, as the agent starts QEMU; `True` to receive a migration."""

    def start(joining: bool) -> subprocess.Popen[bytes]:
        with volumes.locked(domain(tmp_path / "locks/pvc.lock"), joining=joining) as locks:
            process = processes.spawn(["sleep", "60"], f"u{os.getpid()}", tmp_path / "log", inherits=locks)
        started.callback(process.wait)
        started.callback(process.kill)
        return process

    with ExitStack() as started:
        yield start


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def test_a_guest_is_not_started_beside_one_that_has_its_volume(qemu: Open) -> None:
    """It can be as soon as the other process is gone, however that ended."""
    first = qemu(False)
    for _ in range(2):
        with pytest.raises(VolumeError, match=r"volume pvc of locks is open in another QEMU.*power its node off"):
            qemu(False)
    end(first)
    qemu(False)


def test_after_a_migration_its_target_has_the_volume(qemu: Open) -> None:
    """The target joins the source, and nobody else; it keeps others out once the source is gone."""
    source = qemu(False)
    target = qemu(True)
    end(source)
    with pytest.raises(VolumeError):
        qemu(False)
    end(target)
    qemu(False)


def test_after_a_failed_migration_its_source_still_has_the_volume(qemu: Open) -> None:
    qemu(False)
    end(qemu(True))
    with pytest.raises(VolumeError):
        qemu(False)


def test_a_guest_that_lacks_one_volume_holds_none(tmp_path: Path) -> None:
    """What was locked for a guest that is not started is free again."""
    free, taken = tmp_path / "free.lock", tmp_path / "taken.lock"
    with volumes.locked(domain(taken)):
        with pytest.raises(VolumeError, match="volume taken"), volumes.locked(domain(free, taken)):
            pass
        with volumes.locked(domain(free)):
            pass


def test_volumes_of_servers_have_locks_and_files_are_locked_by_qemu(tmp_path: Path) -> None:
    config = LabConfig(name="unit", state_dir=str(tmp_path), storage=("ceph", "iscsi", "nfs"))
    files = {one.name: storage.lock_file(config, storage.backend(config, one.name), "../a") for one in
             storage.classes(config)}
    assert [name for name, file in files.items() if file is None] == ["lab-shared", "lab-local"]
    assert {file.relative_to(tmp_path).as_posix() for file in files.values() if file} == {
        f"volume-locks/lab-{name}/..%2Fa.lock" for name in config.storage
    }
