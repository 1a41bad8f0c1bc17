"""Storage classes with a server: what QEMU and PersistentVolumes are told of them, and how their processes stand."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import processes, storage
from lab.config import LabConfig
from lab.lifecycle import checks, storage_profiles, storage_servers
from lab.lifecycle.errors import LifecycleError
from lab.net import topology
from lab.storage import LiveCopy, nfs, tree
from lab.storage.room import MARK, Room

ALL = ("ceph", "iscsi", "nfs")


def config(*servers: str) -> LabConfig:
    return LabConfig(name="unit", state_dir="/nowhere", storage=servers)


def test_a_lab_has_the_classes_it_was_started_with() -> None:
    """Without a server there is neither its class nor its network namespace."""
    plain = {body["metadata"]["name"] for body in storage.storage_classes(config())}
    assert plain == {"lab-shared", "lab-local"}
    assert {body["metadata"]["name"] for body in storage.storage_classes(config("nfs"))} == plain | {"lab-nfs"}
    assert "storage" not in {leaf.role for leaf in topology.leaves(config())}
    (leaf,) = (leaf for leaf in topology.leaves(config("nfs")) if leaf.role == "storage")
    assert leaf.address == "10.77.0.5"


def test_each_class_has_a_storage_profile_of_what_its_provisioner_makes() -> None:
    """Named and shaped as CDI's; every set is provisioned, and nothing is left out of what nodes may share."""
    profiles = {body["metadata"]["name"]: body["status"] for _, body in storage_profiles.objects(config(*ALL))}
    first = {name: status["claimPropertySets"][0] for name, status in profiles.items()}
    shared = {name: one["volumeMode"] for name, one in first.items() if one["accessModes"] == ["ReadWriteMany"]}
    assert shared == {"lab-shared": "Filesystem", "lab-nfs": "Filesystem", "lab-ceph": "Block", "lab-iscsi": "Block"}
    (local,) = profiles["lab-local"]["claimPropertySets"]
    assert local == {"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem"}
    for traits in storage.classes(config(*ALL)):
        told = profiles[traits.name]
        assert (told["storageClass"], told["provisioner"]) == (traits.name, traits.provisioner)
        assert all(not traits.refusal(one["accessModes"], one["volumeMode"]) for one in told["claimPropertySets"])
    assert "snapshotClass" not in profiles["lab-iscsi"]
    assert profiles["lab-ceph"]["snapshotClass"] == "lab-ceph"


def test_settings_survive_the_file(tmp_path: Path) -> None:
    written = LabConfig(state_dir=str(tmp_path), storage=("ceph", "nfs"))
    written.save()
    assert LabConfig.load(written.config_file) == written


@pytest.mark.parametrize("name", ["lab-ceph", "lab-iscsi", "lab-nfs"])
def test_a_volume_leads_back_to_its_back_end(name: str) -> None:
    """The PersistentVolume holds driver and handle; every node may open it."""
    backend = storage.backend(config(*ALL), name)
    assert "ReadWriteMany" in backend.traits.access_modes
    handle = backend.handle("u1", "node-a")
    spec = backend.reference(handle, "node-a")
    assert spec["csi"]["driver"] == backend.traits.provisioner
    assert "nodeAffinity" not in spec
    found = storage.of_volume(config(*ALL), {"spec": spec})
    assert found is not None
    assert (found[0].traits.name, found[1]) == (name, handle)
    assert storage.of_volume(config(), {"spec": spec}) is None


def test_qemu_opens_each_volume_with_its_own_driver() -> None:
    nodes = {name: storage.backend(config(*ALL), f"lab-{name}").blockdev("pvc-u1") for name in ALL}
    assert {name: node["driver"] for name, node in nodes.items()} == {"ceph": "rbd", "iscsi": "iscsi", "nfs": "nfs"}
    assert nodes["ceph"]["conf"] == "/nowhere/storage/ceph/ceph.conf"
    assert nodes["iscsi"]["target"] == "iqn.2026-01.dev.drainproof.lab:pvc-u1"
    assert nodes["nfs"]["path"] == "/volumes/pvc-u1/disk.img"


def test_how_a_volume_in_use_is_copied() -> None:
    """Ceph snapshots by itself, files are copied by the QEMU that uses them, iSCSI has no snapshots."""
    copies = {traits.name: traits.live_copy for traits in storage.classes(config(*ALL))}
    assert copies == {
        "lab-shared": LiveCopy.BACKUP, "lab-local": LiveCopy.BACKUP, "lab-nfs": LiveCopy.BACKUP,
        "lab-ceph": LiveCopy.NATIVE, "lab-iscsi": LiveCopy.NONE,
    }


@pytest.mark.parametrize(("name", "reason"), [("lab-shared", "has no server"), ("lab-ceph", "no storage class")])
def test_a_class_without_a_server_cannot_be_disturbed(name: str, reason: str) -> None:
    with pytest.raises(LifecycleError, match=reason):
        storage_servers.server_of(config("nfs"), name)


def test_what_disturbs_a_server_is_among_the_facts() -> None:
    facts = storage_servers.facts(config("nfs"))
    assert list(facts) == ["lab-nfs"]
    commands = facts["lab-nfs"]
    assert isinstance(commands, dict)
    for verb in ("pause", "resume", "failover", "status"):
        assert commands[verb][-6:] == ["storage", verb, "--name", "unit", "--storage-class", "{class}"]


def test_missing_drivers_of_qemu_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(storage_servers, "MODULES", tmp_path)
    assert storage_servers.problem(config()) == ""
    (tmp_path / "block-nfs.so").touch()
    assert "block-rbd.so" in storage_servers.problem(config("ceph", "nfs"))
    assert "block-nfs.so" not in storage_servers.problem(config("ceph", "nfs"))
    assert any("qemu-block-extra" in text for text in checks.problems(config("ceph")))


def test_the_tree_is_named_by_what_it_is_made_of() -> None:
    assert tree.location(Path("/cache")) == Path(f"/cache/storage-{tree.recipe_hash()}")


class Redundant:
    """A server of one monitor and two servants, as plain processes."""

    needed = (("mon",), ("one", "two"))

    def __init__(self, room: Room) -> None:
        self.room = room

    async def start(self) -> None:
        """Not started here."""

    async def fail_over(self) -> None:
        """Not failed over here."""


@pytest.fixture(name="running")
def three_processes(tmp_path: Path) -> Iterator[tuple[Redundant, dict[str, subprocess.Popen[bytes]]]]:
    name = f"u{os.getpid()}"
    room = Room(LabConfig(name=name, state_dir=str(tmp_path)), "unit")
    started = {
        process: processes.spawn(["sleep", "60"], name, tmp_path / "log", extra={MARK: f"unit.{process}"})
        for process in ("mon", "one", "two")
    }
    yield Redundant(room), started
    for process in started.values():
        process.kill()
        process.wait()


def test_a_server_serves_as_long_as_one_of_each_kind_runs(
    running: tuple[Redundant, dict[str, subprocess.Popen[bytes]]]
) -> None:
    server, started = running
    assert server.room.pids("one") == [started["one"].pid]
    assert storage_servers.state(server) == "running"
    started["one"].kill()
    started["one"].wait()
    assert storage_servers.state(server) == "running"
    started["two"].send_signal(signal.SIGSTOP)
    os.waitpid(started["two"].pid, os.WUNTRACED)
    assert storage_servers.state(server) == "paused"
    started["two"].send_signal(signal.SIGCONT)
    os.waitpid(started["two"].pid, os.WCONTINUED)
    assert storage_servers.state(server) == "running"
    started["two"].kill()
    started["two"].wait()
    assert storage_servers.state(server) == "down"


def test_a_server_that_accepts_and_says_nothing_does_not_answer() -> None:
    """The kernel accepts connections for a paused one; a copy toward it would stop its guest."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert not nfs.said_to_null("127.0.0.1", port, seconds=0.1)
    assert not nfs.said_to_null("127.0.0.1", port, seconds=0.1)


def test_a_server_that_answers_a_call_of_nothing_answers() -> None:
    """The call is what RFC 5531 lays down: the length of its only fragment is told first."""
    asked: list[bytes] = []

    def serve() -> None:
        with listener.accept()[0] as connection:
            asked.append(connection.recv(100))
            connection.sendall(bytes(28))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        assert nfs.said_to_null("127.0.0.1", listener.getsockname()[1])
        thread.join()
    assert asked[0][:4] == (0x8000_0000 + len(asked[0]) - 4).to_bytes(4)
    assert asked[0][12:24] == b"".join(word.to_bytes(4) for word in (2, 100003, 3))
