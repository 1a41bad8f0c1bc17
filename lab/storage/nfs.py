"""lab-nfs: NFS-Ganesha serves a directory, QEMU opens the files in it by NFS version 3."""

from __future__ import annotations

import asyncio
import socket
import struct
from pathlib import Path

from lab.client import Object
from lab.config import STORAGE_ADDRESS, LabConfig
from lab.net import namespaces
from lab.storage import files
from lab.storage.backend import LiveCopy, StorageError, Traits
from lab.storage.directory import volumes_folder
from lab.storage.file_volumes import FileVolumes
from lab.storage.room import ROLE, Room
from lab.storage.server import listens, until

NFS = Traits(
    "lab-nfs", "nfs.lab.drainproof.dev", live_copy=LiveCopy.BACKUP, volume_mode="Filesystem", server="nfs"
)
PORT_MAPPER_PORT = 111
PORT = 2049
MOUNT_PORT = 20048
ANSWER_SECONDS = 2.0
"""A server of this machine that is silent for so long stands still."""
NULL_CALL = struct.pack(">11I", 1 << 31 | 40, 1, 0, 2, 100003, 3, 0, 0, 0, 0, 0)
"""One fragment of 40 bytes: transaction 1, call, RPC version 2, program NFS, version 3, procedure 0, nobody asks."""
CONFIG = f"""\
NFS_CORE_PARAM {{
    Protocols = 3;
    Bind_addr = {STORAGE_ADDRESS};
    NFS_Port = {PORT};
    MNT_Port = {MOUNT_PORT};
    Enable_NLM = false;
    Enable_RQUOTA = false;
}}
NFS_KRB5 {{ Active_krb5 = false; }}
EXPORT_DEFAULTS {{ Attr_Expiration_Time = 0; }}
EXPORT {{
    Export_Id = 1;
    Path = /volumes;
    Pseudo = /volumes;
    Protocols = 3;
    Access_Type = RW;
    Squash = No_Root_Squash;
    SecType = sys;
    Transports = TCP;
    Disable_ACL = true;
    FSAL {{ Name = VFS; }}
}}
"""
"""NFSv3, because QEMU's driver speaks it and it needs no leases; attributes are not cached, because the lab makes and
copies the files in the server's own directory."""


class Nfs(FileVolumes):
    """The volumes of lab-nfs; a handle is the name of a folder of the export."""

    def __init__(self, config: LabConfig) -> None:
        super().__init__(volumes_folder(config))
        self._config = config

    @property
    def traits(self) -> Traits:
        return NFS

    def handle(self, uid: str, node: str = "") -> str:
        del node
        return f"pvc-{uid}"

    def reference(self, handle: str, node: str = "") -> Object:
        del node
        attributes = {"server": STORAGE_ADDRESS, "path": f"/volumes/{handle}/{files.DISK_FILE}"}
        return {"csi": {"driver": NFS.provisioner, "volumeHandle": handle, "volumeAttributes": attributes}}

    def blockdev(self, handle: str) -> dict[str, object]:
        server = {"type": "inet", "host": STORAGE_ADDRESS}
        return {"driver": "nfs", "server": server, "path": f"/volumes/{handle}/{files.DISK_FILE}"}

    def path(self, handle: str) -> Path:
        return self._folder / NFS.server / handle / files.DISK_FILE

    def snapshot_handle(self, handle: str, uid: str) -> str:
        del handle
        return f"snap-{uid}"

    async def prepare_snapshot(self, handle: str, uid: str, size: int) -> str:
        # QEMU mounts the export in its main loop: toward a server that is silent the guest itself would stand still.
        if not await answers(self._config):
            raise StorageError(f"volume {handle} is not copied: {NFS.name}'s server does not answer; is it paused?")
        return await super().prepare_snapshot(handle, uid, size)


class NfsServer:
    """Ganesha, and the port mapper by which a client finds it."""

    def __init__(self, config: LabConfig) -> None:
        self._config = config
        self._room = Room(config, NFS.server)

    @property
    def room(self) -> Room:
        return self._room

    @property
    def needed(self) -> tuple[tuple[str, ...], ...]:
        return (("rpcbind",), ("ganesha",))

    async def start(self) -> None:
        self.room.furnish("run/rpcbind", "run/ganesha")
        (self.room.state / "ganesha.conf").write_text(CONFIG)
        self.room.spawn("rpcbind", ["rpcbind", "-f", "-w"])
        await until("the port mapper", lambda: listens(self._config, PORT_MAPPER_PORT), self.room)
        await self._serve()

    async def fail_over(self) -> None:
        await self.room.kill("ganesha")
        await self._serve()

    async def _serve(self) -> None:
        argv = ["ganesha.nfsd", "-F", "-L", "STDERR", "-N", "NIV_CRIT", "-f", "/state/ganesha.conf"]
        self.room.spawn("ganesha", [*argv, "-p", "/run/ganesha/ganesha.pid"])

        async def serves() -> bool:
            return await listens(self._config, PORT) and await listens(self._config, MOUNT_PORT)

        await until("NFS-Ganesha", serves, self.room)


async def answers(config: LabConfig) -> bool:
    """Whether the server answers NFS's null procedure; the kernel would accept connections for one that is paused."""
    return await asyncio.to_thread(namespaces.inside, config.namespace(ROLE), lambda: said_to_null(STORAGE_ADDRESS))


def said_to_null(address: str, port: int = PORT, seconds: float = ANSWER_SECONDS) -> bool:
    """Whether anything comes back for a call that does nothing (RFC 5531, RFC 1813)."""
    try:
        with socket.create_connection((address, port), seconds) as connection:
            connection.sendall(NULL_CALL)
            return bool(connection.recv(4))
    except OSError:
        return False
