"""The distribution's kubectl, which the contract tests use as judge."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

UNPACKED = Path("/var/cache/drainproof/tools/usr/bin/kubectl")
"""Where the setup puts it, so that it cannot replace another kubectl of this machine."""


def locate() -> Path:
    """The binary named by DRAINPROOF_KUBECTL, else the unpacked one; fails the test when there is none."""
    binary = Path(os.environ.get("DRAINPROOF_KUBECTL", UNPACKED))
    assert binary.exists(), f"{binary} is missing; run ./bootstrap.sh"
    return binary


@dataclass(frozen=True)
class Kubectl:
    """Runs kubectl against one cluster, in one namespace."""

    binary: Path
    kubeconfig: Path
    namespace: str

    def argv(self, *arguments: str) -> list[str]:
        return [str(self.binary), "--kubeconfig", str(self.kubeconfig), "-n", self.namespace, *arguments]

    def run(self, *arguments: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """The finished command; fails the test with its stderr when `check` and the exit code is not 0."""
        done = subprocess.run(
            self.argv(*arguments), input=stdin, capture_output=True, text=True, timeout=60, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)} exited {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        return self.run(*arguments, stdin=stdin).stdout

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(self.argv(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
