"""What a pod of clients is in the lab: a process of this machine with the pod's command, files, address and log."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.agent.launcher import Exit
from lab.client import Object
from lab.machinery.objects import annotations_of, dig, key, labels, name, namespace, uid

IMAGE = "drainproof.lab/clients"
"""The one image, whatever its tag, whose pods the lab runs: it stands for this Python and the lab's directory."""
POD_MARK = "DRAINPROOF_POD"
"""Environment variable that names the pod a process belongs to, by its uid."""
PYTHON = ("python", "python3")
"""What the image calls its interpreter."""


@dataclass(eq=False, slots=True)
class Container:
    """The one container of a pod on this node, from its start to its pod's removal."""

    key: str
    """`namespace/name` of the pod."""
    pod_uid: str
    directory: Path
    """Where the pod's logs are kept."""
    files: Path
    """Where its volumes are."""
    address: str
    started_at: str
    process: asyncio.subprocess.Process | None = None
    exit: Exit | None = None
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)


def image_of(pod: Object) -> str:
    """The image of a pod's first container."""
    return str(dig(pod, "spec", "containers", 0, "image", default=""))


def mounts(container: Object, files: Path) -> dict[str, Path]:
    """The directories on this machine that stand for what the container mounts, by mount path."""
    return {
        entry["mountPath"].rstrip("/"): files / entry["name"] for entry in container.get("volumeMounts") or []
    }


def command(container: Object, where: Mapping[str, Path], variables: Mapping[str, str]) -> list[str]:
    """The process that stands for a container; the image's interpreter is this one.

    Raises ValueError when the container names no command: the lab knows no image's own.
    """
    words = [*(container.get("command") or []), *(container.get("args") or [])]
    if not words:
        raise ValueError(f"container {container.get('name')} names no command")
    if words[0] in PYTHON:
        words[0] = sys.executable
    return [_here(_expanded(str(word), variables), where) for word in words]


def environment(pod: Object, container: Object, where: Mapping[str, Path], address: str, node: str) -> dict[str, str]:
    """The container's own variables: values, and fields of the pod.

    A process has this machine's file system: what names a mount path is given the directory that stands for it. Raises
    ValueError for a source that the lab does not know.
    """
    found = {}
    for entry in container.get("env") or []:
        value = str(entry.get("value") or "")
        if "valueFrom" in entry:
            value = _field(pod, str(dig(entry, "valueFrom", "fieldRef", "fieldPath", default="")), address, node)
        found[str(entry["name"])] = _here(value, where)
    return found


def _field(pod: Object, path: str, address: str, node: str) -> str:
    kind, _, mark = path.partition("['")
    if mark and kind in ("metadata.annotations", "metadata.labels"):
        known = annotations_of(pod) if kind == "metadata.annotations" else labels(pod)
        return known.get(mark.removesuffix("']"), "")
    fields = {
        "status.podIP": address, "metadata.name": name(pod), "metadata.namespace": namespace(pod),
        "metadata.uid": uid(pod), "spec.nodeName": node,
    }
    if path not in fields:
        raise ValueError(f"the lab does not know the field {path!r} of a pod")
    return fields[path]


def _expanded(word: str, variables: Mapping[str, str]) -> str:
    """`$(NAME)` is the variable's value, as Kubernetes has it in commands and arguments."""
    for variable, value in variables.items():
        word = word.replace(f"$({variable})", value)
    return word


def _here(word: str, where: Mapping[str, Path]) -> str:
    for path, directory in where.items():
        if word == path or word.startswith(f"{path}/"):
            return f"{directory}{word[len(path):]}"
    return word


def single(pod: Object) -> Object:
    """The pod's one container; raises ValueError for a pod with more, which the lab does not run."""
    found: Sequence[Object] = dig(pod, "spec", "containers", default=[])
    if len(found) != 1 or dig(pod, "spec", "initContainers", default=[]):
        raise ValueError(f"pod {key(pod)} has other than one container; the lab runs one")
    return found[0]
