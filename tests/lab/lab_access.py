"""What a saboteur may touch that the harness may not: the lab's processes and the guests' monitors."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from drainproof.target import Target
from fixtures.certification import Certification
from lab.config import LabConfig
from lab.processes import MARK, marked_environment


def config_of(certification: Certification) -> LabConfig:
    """The configuration of the lab that a certification runs on."""
    return LabConfig.load(Path(certification.target.kubeconfig).parent / "lab.json")


_REQUEST = """
import sys, urllib.request
url, body = sys.argv[1], sys.argv[2].encode() or None
print(urllib.request.urlopen(url, body, timeout=30).read().decode())
"""


def request(target: Target, url: str, body: str = "") -> str:
    """GET, or POST when there is a body, from where the clients are; fails the test on any error."""
    command = [*target.client_exec, sys.executable, "-c", _REQUEST, url, body]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@contextmanager
def paused_through_qmp(certification: Certification, vm: str) -> Iterator[None]:
    """Stop a guest's processors behind everybody's back for the length of a block."""
    config = config_of(certification)
    domain = f"{certification.plan.namespace}_{vm}"
    sockets = [path for path in config.run.rglob("debug.qmp") if domain in str(path.parent)]
    assert len(sockets) == 1, f"{domain}: {sockets}"
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.connect(str(sockets[0]))
        _execute(monitor, "qmp_capabilities")
        _execute(monitor, "stop")
        try:
            yield
        finally:
            _execute(monitor, "cont")


def _execute(monitor: socket.socket, command: str) -> None:
    monitor.sendall(json.dumps({"execute": command}).encode() + b"\n")
    answer = b""
    while b'"return"' not in answer:
        chunk = monitor.recv(65536)
        assert chunk, f"the monitor closed after {command}"
        answer += chunk


@contextmanager
def without_prometheus(certification: Certification) -> Iterator[None]:
    """Kill the lab's Prometheus, by pid, and start it again after the block for whoever comes next."""
    config = config_of(certification)
    process = _prometheus(config)
    # By its full path: where it was found is in the lab's own search path, which this process need not have.
    argv = [process.exe(), *process.cmdline()[1:]]
    os.kill(process.pid, signal.SIGKILL)
    try:
        yield
    finally:
        inside = ["nsenter", f"--net=/run/netns/{config.namespace('monitor')}", "setsid", "--fork"]
        with config.logs("prometheus").open("ab") as log:
            environment = marked_environment(config.name)
            subprocess.run([*inside, *argv], env=environment, stdout=log, stderr=log, check=True)


def _prometheus(config: LabConfig) -> psutil.Process:
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "prometheus" and process.environ().get(MARK) == config.name:
            return process
    raise AssertionError(f"lab {config.name} has no Prometheus")
