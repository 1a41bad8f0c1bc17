"""What removes namespaces that are being deleted, where no controllers run beside the API server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.contract.server import ApiServer

EVERY_SECONDS = 0.05
KINDS = ("secrets", "configmaps", "serviceaccounts", "persistentvolumeclaims")


@contextmanager
def finalizing(server: ApiServer) -> Iterator[None]:
    """Empty, and let go, every terminating namespace for the length of a block."""
    stop = threading.Event()
    thread = threading.Thread(target=_finalize, args=(server, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _finalize(server: ApiServer, stop: threading.Event) -> None:
    while not stop.wait(EVERY_SECONDS):
        with suppress(OSError):
            for space in server.call("GET", "/api/v1/namespaces").body["items"]:
                if "deletionTimestamp" in space["metadata"]:
                    path = f"/api/v1/namespaces/{space['metadata']['name']}"
                    kubevirt = path.replace("/api/v1/", "/apis/kubevirt.io/v1/")
                    for kinds in (f"{kubevirt}/virtualmachines", *(f"{path}/{kind}" for kind in KINDS)):
                        _empty(server, kinds)
                    space["spec"]["finalizers"] = []
                    server.call("PUT", f"{path}/finalize", space)


def _empty(server: ApiServer, kinds: str) -> None:
    """Delete all of a kind, whatever its finalizers wait for."""
    merge = {"Content-Type": "application/merge-patch+json"}
    for item in server.call("GET", kinds).body.get("items", []):
        if item["metadata"].get("finalizers"):
            free = {"metadata": {"finalizers": None}}
            server.call("PATCH", f"{kinds}/{item['metadata']['name']}", free, headers=merge)
    server.call("DELETE", kinds)
