"""A Ceph cluster of one monitor and two object storage daemons (OSDs), without manager and without authentication."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path

from lab.config import STORAGE_ADDRESS, LabConfig
from lab.storage.backend import StorageError
from lab.storage.room import Room
from lab.storage.server import listens, until

SERVER = "ceph"
POOL = "rbd"
PORT = 3300
OSDS = ("0", "1")
PLACEMENT_GROUPS = 8
CONFIG_INSIDE = "/state/ceph.conf"
DEVICE_BYTES = 64 << 30
"""Of each OSD's sparse file; it takes from the disk what guests have written."""
CONFIG = f"""\
[global]
fsid = {{fsid}}
mon_initial_members = a
mon_host = v2:{STORAGE_ADDRESS}:{PORT}/0
public_addr = {STORAGE_ADDRESS}
public_network = {STORAGE_ADDRESS}/16
ms_bind_msgr1 = false
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
auth_allow_insecure_global_id_reclaim = false
keyring = /dev/null
osd_pool_default_size = 2
osd_pool_default_min_size = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_osd_min_down_reporters = 1
mon_osd_reporter_subtree_level = osd
mon_osd_down_out_interval = 0
osd_client_watch_timeout = 5
paxos_propose_interval = 0.1
mon_data_avail_warn = 1
mon_data_avail_crit = 0
osd_objectstore = bluestore
bluestore_block_size = {DEVICE_BYTES}
bluestore_cache_autotune = false
bluestore_cache_size = 67108864
rbd_default_features = 1
rbd_default_clone_format = 2
mon_data = /state/mon
osd_data = /state/osd.$id
run_dir = /run/ceph
admin_socket = /run/ceph/$name.asok
log_to_stderr = true
err_to_stderr = true
log_file =
mon_cluster_log_file = /state/cluster.log
pid_file =
debug_rocksdb = 0
[client]
admin_socket =
log_to_stderr = false
"""
"""Two copies of everything, and one is enough to go on: an OSD may fail. Images have no exclusive lock, because in a
migration two QEMUs have the image open. A QEMU that was killed watches its image no longer than 5 s, after which the
image can be removed."""


def config_file(config: LabConfig) -> Path:
    """The cluster's configuration as clients on this machine read it."""
    return config.state / "storage" / SERVER / "ceph.conf"


class CephServer:
    """The cluster's daemons."""

    def __init__(self, config: LabConfig) -> None:
        self._config = config
        self._room = Room(config, SERVER)

    @property
    def room(self) -> Room:
        return self._room

    @property
    def needed(self) -> tuple[tuple[str, ...], ...]:
        return (("mon",), tuple(f"osd.{number}" for number in OSDS))

    async def start(self) -> None:
        self.room.furnish("run/ceph", "mon", *(f"osd.{number}" for number in OSDS))
        config_file(self._config).write_text(CONFIG.format(fsid=uuid.uuid4()))
        await self._start_monitor()
        identities = [str(uuid.uuid4()) for _ in OSDS]
        for identity in identities:
            await self._ceph("osd", "new", identity)
        await asyncio.gather(*map(self._make_osd, OSDS, identities))
        await self._ceph("osd", "pool", "create", POOL, str(PLACEMENT_GROUPS))
        await self.room.run(["rbd", "--conf", CONFIG_INSIDE, "pool", "init", POOL])

    async def fail_over(self) -> None:
        """Kill the first OSD; once the other serves alone, start it again, and return when both copies are served."""
        first = f"osd.{OSDS[0]}"
        await self.room.kill(first)
        await until(f"the cluster without {first}", lambda: self._up(len(OSDS) - 1), self.room)
        self._spawn_osd(OSDS[0])
        await until(f"the successor of {first}", lambda: self._up(len(OSDS)), self.room)

    async def _start_monitor(self) -> None:
        await self.room.run(["ceph-mon", "--conf", CONFIG_INSIDE, "--mkfs", "--id", "a"])
        self.room.spawn("mon", ["ceph-mon", "--conf", CONFIG_INSIDE, "--foreground", "--id", "a"])
        await until("Ceph's monitor", lambda: listens(self._config, PORT), self.room)

    async def _make_osd(self, number: str, identity: str) -> None:
        argv = ["ceph-osd", "--conf", CONFIG_INSIDE, "--id", number, "--mkfs", "--osd-uuid", identity]
        await self.room.run(argv, seconds=60)
        self._spawn_osd(number)

    def _spawn_osd(self, number: str) -> None:
        self.room.spawn(f"osd.{number}", ["ceph-osd", "--conf", CONFIG_INSIDE, "--foreground", "--id", number])

    async def _up(self, wanted: int) -> bool:
        try:
            found = json.loads(await self._ceph("osd", "stat", "--format", "json"))
        except ValueError as error:
            raise StorageError(f"Ceph's monitor told no state of its OSDs: {error}") from error
        return int(found["num_up_osds"]) == wanted

    async def _ceph(self, *arguments: str) -> str:
        return await self.room.run(["ceph", "--conf", CONFIG_INSIDE, *arguments])
