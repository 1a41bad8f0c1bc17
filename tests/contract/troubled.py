"""The lab's troubled proxy before an API server, as a process of its own, with a kubeconfig that leads through it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from lab.config import LabConfig
from tests.contract.server import ROOT, free_port


@dataclass(frozen=True)
class Troubled:
    """The way through the proxy, and what it did to requests."""

    kubeconfig: Path
    log: list[dict[str, Any]] = field(default_factory=list)

    @property
    def kinds(self) -> set[str]:
        return {entry["kind"] for entry in self.log}


@contextlib.contextmanager
def troubled(
    config: LabConfig, folder: Path, seed: int, rate: float, kinds: Sequence[str] = ()
) -> Iterator[Troubled]:
    """Start a proxy before the API server of a lab; stop it at the end."""
    port = free_port()
    argv = [
        sys.executable, "-m", "lab.troubled", "--upstream", config.server_url, "--ca", str(config.ca_file),
        "--listen", str(port), "--cert", str(config.server_cert), "--key", str(config.server_key),
        "--seed", str(seed), "--rate", str(rate), *(("--kinds", ",".join(kinds)) if kinds else ()),
    ]
    path = folder / f"troubled-{seed}-{port}"
    path.write_text(config.kubeconfig.read_text().replace(config.server_url, f"https://127.0.0.1:{port}"))
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        found = Troubled(path)
        assert process.stdout is not None
        assert "ready" in json.loads(process.stdout.readline())
        reader = Thread(target=_read, args=(process.stdout, found.log), daemon=True)
        reader.start()
        try:
            yield found
        finally:
            process.terminate()
            reader.join()
            process.wait(timeout=10)


def _read(lines: Any, log: list[dict[str, Any]]) -> None:
    for line in lines:
        entry = json.loads(line)
        if "kind" in entry:
            log.append(entry)
