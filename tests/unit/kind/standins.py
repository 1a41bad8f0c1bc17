"""Stand-ins for the executables kind, kubectl and docker: they log what they are asked, and answer as those do.

Nobody has a container engine where these tests run. The stand-ins keep which clusters there are and what their nodes
mount; their words on success and failure are modelled on kind's and kubectl's own. A test tells them at which command
to fail or to hang.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = '''#!{python} -IS
import fcntl, json, os, re, sys, time
place = {place!r}
tool, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
stdin = sys.stdin.read() if "-" in arguments or tool == "sh" else ""
lock = open(place + "/lock", "w"); fcntl.flock(lock, fcntl.LOCK_EX)
state = json.load(open(place + "/state.json"))
with open(place + "/log.jsonl", "a") as log:
    log.write(json.dumps({{"argv": [tool, *arguments], "stdin": stdin}}) + "\\n")

def save():
    json.dump(state, open(place + "/state.json", "w"))

def after(option):
    return arguments[arguments.index(option) + 1]

line = " ".join([tool, *arguments])
trouble = next((kind for kind, pattern in state["trouble"] if pattern in line), "")
out = errors = ""
code = 0
if line.startswith("kind get clusters"):
    out = "".join(name + "\\n" for name in state["clusters"]); errors = "" if out else "No kind clusters found.\\n"
elif line.startswith("kind create cluster"):
    name = after("--name")
    if name in state["clusters"]:
        sys.exit('ERROR: failed to create cluster: node(s) already exist for a cluster with the name "%s"' % name)
    nodes = ["%s-control-plane" % name] + ["%s-worker" % name]
    found = re.search("hostPath: (.*)", stdin).group(1)
    state["clusters"][name] = {{node: found for node in nodes}}; save()
    errors = 'Creating cluster "%s" ...\\n' % name
elif line.startswith("kind delete cluster"):
    state["clusters"].pop(after("--name"), None) if trouble != "fail" else None; save()
    errors = "Deleting cluster ...\\n"
elif line.startswith("kind get nodes"):
    out = "".join(node + "\\n" for node in state["clusters"].get(after("--name"), {{}}))
elif line.startswith("docker inspect"):
    template, node = arguments[2], arguments[3]
    if "Mounts" in template:
        out = next(nodes[node] for nodes in state["clusters"].values() if node in nodes) + "\\n/lib/modules\\n"
    else:
        out = "4711\\n" if "Pid" in template else "172.18.0.5\\n"
elif "get nodes -o go-template" in line:
    out = "kubernetes.io/hostname\\nhost-model-cpu.node.kubevirt.io/kvm64\\n"
if trouble == "hang":
    fcntl.flock(lock, fcntl.LOCK_UN); time.sleep(600)
if trouble == "fail":
    errors, code = errors + "\\x1b[31mERROR: failed for the test\\n", 1
sys.stdout.write(out); sys.stderr.write(errors)
sys.exit(code)
'''


@dataclass(frozen=True)
class StandIns:
    """The stand-ins in one directory, and what they were asked."""

    place: Path

    def tell(self, *trouble: tuple[str, str], clusters: dict[str, dict[str, str]] | None = None) -> None:
        """Have commands that contain a text `fail` or `hang`; replace the clusters that there are."""
        state = json.loads((self.place / "state.json").read_text())
        state["trouble"] = trouble
        if clusters is not None:
            state["clusters"] = clusters
        (self.place / "state.json").write_text(json.dumps(state))

    @property
    def clusters(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = json.loads((self.place / "state.json").read_text())["clusters"]
        return found

    @property
    def asked(self) -> list[tuple[str, str]]:
        """Each command line with what was written to it, in order."""
        log = self.place / "log.jsonl"
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [(" ".join(one["argv"]), one["stdin"]) for one in lines]

    def commands(self, containing: str = "") -> list[str]:
        return [line for line, _ in self.asked if containing in line]


def installed(
    place: Path, monkeypatch: pytest.MonkeyPatch, tools: tuple[str, ...] = ("kind", "kubectl", "docker")
) -> StandIns:
    """Put stand-ins first in the PATH, and everything about kind clusters below the place."""
    (place / "bin").mkdir(parents=True)
    (place / "state.json").write_text(json.dumps({"clusters": {}, "trouble": []}))
    for tool in tools:
        (place / "bin" / tool).write_text(SCRIPT.format(python=sys.executable, place=str(place)))
        (place / "bin" / tool).chmod(0o755)
    monkeypatch.setenv("PATH", f"{place / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setenv("DRAINPROOF_STATE", str(place / "state"))
    return StandIns(place)
