"""Each storage class that has a server, with a real guest's disk on it: written, migrated, paused, failed over."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from drainproof.target import Target
from drainproof.wait import Deadline, wait
from fixtures.target import lab_target
from lab import processes, storage
from lab.client import Client, Object
from lab.config import AGENT_PORT, LabConfig
from lab.kinds import (
    EVENT,
    MIGRATION,
    NAMESPACE,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    VIRTUAL_MACHINE_INSTANCE,
)
from lab.machinery.objects import condition_true
from tests.lab.lab_access import request

NAME = "stores"
PORT = 17650
PROJECT = Path(__file__).parents[2]
SPACE = "stores"
CLASSES = ("lab-nfs", "lab-iscsi", "lab-ceph")
DISK_BYTES = 96 << 20
PATIENCE_SECONDS = 120.0

pytestmark = pytest.mark.lab
Answer = TypeVar("Answer")


def lab(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lab", *arguments, "--name", NAME]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False)


@dataclass(frozen=True)
class Guest:
    """A running guest with one disk of each class, whose serial is the class's name."""

    config: LabConfig
    target: Target

    def api(self, call: Callable[[Client], Awaitable[Answer]]) -> Answer:
        """One call of the lab's API."""
        token = self.config.token_file.read_text().strip()

        async def work() -> Answer:
            async with Client(self.config.server_url, self.config.ca_file, token) as client:
                return await call(client)

        return asyncio.run(work())

    @property
    def instance(self) -> Object:
        return self.api(lambda client: client.get(VIRTUAL_MACHINE_INSTANCE, "guest", SPACE))

    def run(self, script: str) -> str:
        """What a shell script in the guest prints; fails the test when it fails."""
        address = self.config.node_address(self.instance["status"]["nodeName"])
        url = f"http://{address}:{AGENT_PORT}/lab/v1/namespaces/{SPACE}/virtualmachineinstances/guest/exec"
        answer = json.loads(request(self.target, url, json.dumps({"argv": ["sh", "-ec", script]})))
        assert answer["exitcode"] == 0, f"{script}: {answer}"
        return str(answer["stdout"]).strip()

    def device(self, class_name: str) -> str:
        return "/dev/" + self.run(f"grep -lx {class_name} /sys/block/vd*/serial | cut -d/ -f4")

    def checksum(self, device: str) -> str:
        """Of what the disk holds, not of what the guest remembers."""
        return self.run(f"dd if={device} bs=1M count=8 iflag=direct 2>/dev/null | sha256sum | cut -d' ' -f1")


def until(what: str, done: Callable[[], bool]) -> None:
    wait(what, done, until=bool, deadline=Deadline(PATIENCE_SECONDS))


@pytest.fixture(scope="module", name="guest")
def running_guest() -> Iterator[Guest]:
    servers = [argument for name in storage.SERVERS for argument in ("--storage", name)]
    done = lab("up", "--nodes", "2", "--api-port", str(PORT), *servers)
    assert done.returncode == 0, done.stderr
    target = lab_target(json.loads(done.stdout))
    guest = Guest(LabConfig.load(Path(target.kubeconfig).parent / "lab.json"), target)
    try:
        _start(guest)
        yield guest
    finally:
        lab("storage", "pause", "--storage-class", "lab-nfs")
        down = lab("down")
    assert down.returncode == 0, down.stderr
    assert processes.marked(NAME) == []
    assert not Path(guest.config.state_dir).exists()
    assert f"/{NAME}/" not in Path("/proc/self/mounts").read_text()


def _start(guest: Guest) -> None:
    guest.api(lambda client: client.create(NAMESPACE, {"metadata": {"name": SPACE}}))
    for name in CLASSES:
        body = {"metadata": {"name": name, "namespace": SPACE}, "spec": {
            "storageClassName": name, "accessModes": ["ReadWriteMany"], "volumeMode": "Block",
            "resources": {"requests": {"storage": str(DISK_BYTES)}},
        }}
        guest.api(partial(_create_claim, body))
    _boot(guest)


def _boot(guest: Guest) -> None:
    _ask_for(guest, "guest", *CLASSES)
    until("the guest's agent", lambda: condition_true(guest.instance, "AgentConnected"))


def _ask_for(guest: Guest, name: str, *claims: str) -> None:
    disks = [{"name": claim, "serial": claim, "disk": {"bus": "virtio"}} for claim in claims]
    volumes = [{"name": claim, "persistentVolumeClaim": {"claimName": claim}} for claim in claims]
    root = {"name": "root", "containerDisk": {"image": guest.target.guest_image}}
    body = {"metadata": {"name": name, "namespace": SPACE}, "spec": {
        "domain": {"memory": {"guest": "256Mi"}, "devices": {"disks": [{"name": "root", "disk": {}}, *disks]}},
        "terminationGracePeriodSeconds": 0, "volumes": [root, *volumes],
    }}
    guest.api(lambda client: client.create(VIRTUAL_MACHINE_INSTANCE, body))


async def _create_claim(body: Object, client: Client) -> Object:
    return await client.create(PERSISTENT_VOLUME_CLAIM, body)


@pytest.fixture(scope="module", name="migrated")
def written_and_migrated(guest: Guest) -> tuple[dict[str, str], dict[str, str]]:
    """Checksums by class of what was written before a live migration, and of what is read after it."""
    script = "dd if=/dev/urandom of={0} bs=1M count=8 oflag=direct conv=fsync 2>/dev/null"
    devices = {name: guest.device(name) for name in CLASSES}
    for device in devices.values():
        guest.run(script.format(device))
    before = {name: guest.checksum(device) for name, device in devices.items()}
    source = guest.instance["status"]["nodeName"]
    body = {"metadata": {"name": "move", "namespace": SPACE}, "spec": {"vmiName": "guest"}}
    guest.api(lambda client: client.create(MIGRATION, body))
    until("the migration", lambda: _phase(guest) in ("Succeeded", "Failed"))
    assert _phase(guest) == "Succeeded"
    assert guest.instance["status"]["nodeName"] != source
    return before, {name: guest.checksum(device) for name, device in devices.items()}


def _phase(guest: Guest) -> str:
    found = guest.api(lambda client: client.get(MIGRATION, "move", SPACE))
    return str(found.get("status", {}).get("phase", ""))


@pytest.mark.parametrize("class_name", CLASSES)
def test_a_disk_has_its_size_and_survives_a_migration(
    guest: Guest, migrated: tuple[dict[str, str], dict[str, str]], class_name: str
) -> None:
    """What was written on one node is read on the other, from a disk of exactly the size that was asked for."""
    before, after = migrated
    assert after[class_name] == before[class_name]
    assert int(guest.run(f"blockdev --getsize64 {guest.device(class_name)}")) == DISK_BYTES


@pytest.mark.parametrize("class_name", CLASSES)
def test_a_write_waits_for_a_paused_server(guest: Guest, class_name: str) -> None:
    """Nothing is acknowledged while the server stands still, and everything is written once it goes on."""
    device = guest.device(class_name)
    assert _storage("status", class_name).startswith("running pids ")
    _storage("pause", class_name)
    try:
        assert _storage("status", class_name).startswith("paused pids ")
        guest.run(
            f"rm -f /run/{class_name}; (dd if=/dev/zero of={device} bs=4k count=1 oflag=direct conv=notrunc,fsync "
            f"2>/dev/null && touch /run/{class_name}) </dev/null >/dev/null 2>&1 &"
        )
        assert guest.run(f"sleep 3; test -e /run/{class_name} && echo written || echo waiting") == "waiting"
    finally:
        _storage("resume", class_name)
    until("the write", lambda: guest.run(f"test -e /run/{class_name} && echo yes || echo no") == "yes")
    assert guest.run(f"dd if={device} bs=4k count=1 iflag=direct 2>/dev/null | tr -d '\\0' | wc -c") == "0"


def test_no_copy_is_begun_toward_a_paused_server(guest: Guest) -> None:
    """QEMU would wait for the mount, and its guest with it."""
    backend = storage.backend(guest.config, "lab-nfs")
    _storage("pause", "lab-nfs")
    try:
        with pytest.raises(storage.StorageError, match="volume pvc-a is not copied.*is it paused"):
            asyncio.run(backend.prepare_snapshot("pvc-a", "one", 8 << 20))
    finally:
        _storage("resume", "lab-nfs")
    snapshot = asyncio.run(backend.prepare_snapshot("pvc-a", "one", 8 << 20))
    assert asyncio.run(backend.exists(snapshot))
    asyncio.run(backend.delete_snapshot(snapshot))


@pytest.mark.parametrize("class_name", CLASSES)
def test_a_successor_serves_what_the_server_had(guest: Guest, class_name: str) -> None:
    """After a failover the disk has what was written, and takes more, without the guest being restarted."""
    device = guest.device(class_name)
    before, pids = guest.checksum(device), _storage("status", class_name)
    _storage("failover", class_name)
    status = _storage("status", class_name)
    assert status.startswith("running pids ")
    assert status != pids
    assert guest.checksum(device) == before
    guest.run(f"dd if=/dev/urandom of={device} bs=1M count=8 oflag=direct conv=fsync 2>/dev/null")
    assert guest.checksum(device) != before


@pytest.mark.usefixtures("migrated")
@pytest.mark.parametrize("class_name", CLASSES)
def test_no_second_guest_opens_a_disk_in_use(guest: Guest, class_name: str) -> None:
    """A guest that is started elsewhere while the first lives, as after a partition, waits; it never writes."""
    name = f"second-{class_name}"
    _ask_for(guest, name, class_name)
    try:
        until("the refusal", lambda: any("is open in another QEMU" in text for text in _told_of(guest, name)))
        second = guest.api(lambda client: client.get(VIRTUAL_MACHINE_INSTANCE, name, SPACE))
        assert second["status"]["phase"] == "Scheduled"
        assert not [pid for pid in processes.marked(NAME) if f"guest={SPACE}_{name}," in _command(pid)]
    finally:
        guest.api(lambda client: client.delete(VIRTUAL_MACHINE_INSTANCE, name, SPACE))
    until("its end", lambda: len(guest.api(lambda client: client.list(VIRTUAL_MACHINE_INSTANCE, SPACE))[0]) == 1)
    assert guest.checksum(guest.device(class_name))


def _told_of(guest: Guest, name: str) -> list[str]:
    events = guest.api(lambda client: client.list(EVENT, SPACE))[0]
    return [event.get("message", "") for event in events if event["involvedObject"]["name"] == name]


def _command(pid: int) -> str:
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_text()
    except OSError:
        return ""


def _storage(verb: str, class_name: str) -> str:
    done = lab("storage", verb, "--storage-class", class_name)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("class_name", CLASSES)
def test_two_callers_make_one_volume(guest: Guest, class_name: str) -> None:
    """Creating and removing may be repeated, and done twice at once."""
    backend = storage.backend(guest.config, class_name)

    async def work() -> None:
        await asyncio.gather(*(backend.create("pvc-twice", 8 << 20) for _ in range(2)))
        assert await backend.exists("pvc-twice")
        await asyncio.gather(*(backend.remove("pvc-twice") for _ in range(2)))
        await backend.remove("pvc-twice")
        assert not await backend.exists("pvc-twice")

    asyncio.run(work())


def test_ceph_snapshots_and_clones_live_without_their_volume(guest: Guest) -> None:
    """Snapshot, clone and volume may go in any order, and nothing of them stays."""
    backend = storage.backend(guest.config, "lab-ceph")

    async def work() -> None:
        await backend.create("pvc-a", 8 << 20)
        assert await backend.snapshot("pvc-a", "one") == await backend.snapshot("pvc-a", "one")
        await backend.create_from_snapshot("snap-one", "pvc-b", 16 << 20)
        await backend.clone("pvc-b", "pvc-c", 16 << 20)
        for volume in ("pvc-a", "pvc-b"):
            await backend.remove(volume)
        await backend.delete_snapshot("snap-one")
        assert [await backend.exists(name) for name in ("pvc-a", "snap-one", "pvc-b", "pvc-c")] == [False] * 3 + [True]
        with pytest.raises(storage.StorageError, match="smaller than"):
            await backend.clone("pvc-c", "pvc-d", 8 << 20)
        await backend.remove("pvc-c")
        await backend.remove("pvc-c")

    asyncio.run(work())
    assert asyncio.run(storage.server(guest.config, "lab-ceph").room.run(_rbd("trash", "ls", "rbd"))) == ""
    images = asyncio.run(storage.server(guest.config, "lab-ceph").room.run(_rbd("ls", "rbd"))).split()
    assert len(images) == 1


def _rbd(*arguments: str) -> list[str]:
    return ["rbd", "--conf", "/state/ceph.conf", *arguments]


def test_a_lab_with_more_servers_than_asked_for_will_do(guest: Guest) -> None:
    """Nobody's lab is torn down because a run needs only one of its servers."""
    done = lab("up", "--nodes", "2", "--api-port", str(PORT), "--storage", "nfs")
    assert done.returncode == 0, done.stderr
    assert "is up already" in done.stderr
    assert set(json.loads(done.stdout)["storage_servers"]) == set(CLASSES)
    assert condition_true(guest.instance, "AgentConnected")


def test_iscsi_has_no_snapshots_and_says_so(guest: Guest) -> None:
    """The error names class and volume."""
    backend = storage.backend(guest.config, "lab-iscsi")
    with pytest.raises(storage.NoSnapshotsError, match="lab-iscsi has no snapshots.*pvc-a"):
        asyncio.run(backend.snapshot("pvc-a", "one"))


def test_a_killed_guest_finds_its_disks_as_it_left_them(guest: Guest) -> None:
    """Nothing of a QEMU that ended without a word, no lock and no session, is in its successor's way."""
    before = {name: guest.checksum(guest.device(name)) for name in CLASSES}
    guest.api(lambda client: client.delete(VIRTUAL_MACHINE_INSTANCE, "guest", SPACE))
    until("the guest's end", lambda: not guest.api(lambda client: client.list(VIRTUAL_MACHINE_INSTANCE, SPACE))[0])
    _boot(guest)
    assert {name: guest.checksum(guest.device(name)) for name in CLASSES} == before


def test_a_claim_that_is_deleted_takes_its_volume_along(guest: Guest) -> None:
    """Once the guest is gone, so are the volumes, on every server."""
    volumes = [found["spec"]["csi"] for found in _volumes(guest)]
    assert len(volumes) == len(CLASSES)
    guest.api(lambda client: client.delete(VIRTUAL_MACHINE_INSTANCE, "guest", SPACE))
    for name in CLASSES:
        guest.api(partial(_delete_claim, name))
    until("the volumes' end", lambda: not _volumes(guest))
    for csi in volumes:
        backend = storage.by_provisioner(guest.config, csi["driver"])
        assert backend is not None
        assert not asyncio.run(backend.exists(csi["volumeHandle"]))


async def _delete_claim(name: str, client: Client) -> None:
    await client.delete(PERSISTENT_VOLUME_CLAIM, name, SPACE)


def _volumes(guest: Guest) -> list[Object]:
    return guest.api(lambda client: client.list(PERSISTENT_VOLUME))[0]
