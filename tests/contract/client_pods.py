"""A kubelet for one pod of clients: it starts what the Job asks for as a process of this host, behind the real API."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drainproof.api import Cluster
from drainproof.resources import JOBS, PODS, SECRETS
from drainproof.wait import Deadline, wait
from fixtures.clients.job import FILES, NAME, SCRATCH
from tests.contract.server import ROOT, ApiServer

SECONDS = 20.0


@dataclass
class PodProcess:
    """The pod and the process that stands for it."""

    server: ApiServer
    cluster: Cluster
    namespace: str
    address: str
    folder: Path
    prefix: Sequence[str] = ()
    """What the process is started by, such as a time namespace."""
    name: str = "clients-0-abcde"
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def log(self) -> str:
        path = self.folder / "pod.log"
        return path.read_text() if path.exists() else ""

    def serve(self) -> None:
        """Wait for the Job and run its pod; what a kubelet and the Job's controller would do."""
        job = wait(
            "there is a Job of clients", lambda: self.cluster.find(JOBS, NAME, self.namespace),
            until=lambda found: found is not None, deadline=Deadline(SECONDS), every=0.05,
        )
        assert job is not None
        template = job["spec"]["template"]
        files, scratch = self.folder / "files", self.folder / "scratch"
        for directory in (files, scratch):
            directory.mkdir(parents=True)
        for file, content in self._secret().items():
            (files / file).write_bytes(content)
        (container,) = template["spec"]["containers"]
        assert container["command"][0] == "python"
        known = {FILES: str(files), SCRATCH: str(scratch)}
        given = {entry["name"]: known.get(entry.get("value"), self.address) for entry in container["env"]}
        with (self.folder / "pod.log").open("wb") as log:
            self.processes.append(subprocess.Popen(
                [*self.prefix, sys.executable, *container["command"][1:]], cwd=ROOT, env={**os.environ, **given},
                stdout=log, stderr=log, start_new_session=True,
            ))
        labels = {**template["metadata"]["labels"], "batch.kubernetes.io/job-name": NAME}
        meta = {"name": self.name, "labels": labels}
        self.cluster.create(PODS, {"metadata": meta, "spec": {**template["spec"], "nodeName": "n"}}, self.namespace)
        self.tell({"phase": "Running", "podIP": self.address})

    def _secret(self) -> dict[str, bytes]:
        data = self.cluster.get(SECRETS, NAME, self.namespace)["data"]
        return {file: base64.b64decode(text) for file, text in data.items()}

    def tell(self, status: dict[str, Any]) -> None:
        """Write the pod's status."""
        merge = {"Content-Type": "application/merge-patch+json"}
        path = f"{PODS.path(self.namespace, self.name)}/status"
        assert self.server.call("PATCH", path, {"status": status}, headers=merge).status == 200

    def die(self) -> None:
        """The pod dies with all its processes, and the API says so."""
        self.end()
        self.tell({"phase": "Failed"})

    def end(self) -> None:
        """Kill what runs."""
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextmanager
def pod_of_clients(
    server: ApiServer, cluster: Cluster, namespace: str, address: str, folder: Path, prefix: Sequence[str] = ()
) -> Iterator[PodProcess]:
    """The kubelet, for the length of a block; nothing of the pod is left after it."""
    pod = PodProcess(server, cluster, namespace, address, folder, prefix)
    thread = threading.Thread(target=pod.serve)
    thread.start()
    try:
        yield pod
    finally:
        thread.join()
        pod.end()
