"""The storage class that `--storage-class` names takes the place of the target's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drainproof.errors import CannotRunError
from drainproof.settings import Portal, Profile
from drainproof.target import LAB_STORAGE, lab_server
from fixtures import target

FACTS = '[storage_classes]\nshared = "fast"\nlocal = "near"\n'


def profile(**portal: Any) -> Profile:
    return Profile(name="unit", portal=Portal(**portal))


@pytest.mark.parametrize(("asked", "shared"), [("", "fast"), ("slow", "slow")])
def test_a_cluster_s_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, shared: str) -> None:
    """Only what the certification's disks are made of changes."""
    facts = tmp_path / "facts.toml"
    facts.write_text(FACTS)
    monkeypatch.setattr(target, "with_prometheus", lambda found: found)
    with target.opened("kubeconfig", facts, profile(), print, storage_class=asked) as found:
        assert found.storage_classes.shared == shared
        assert found.storage_classes.local == "near"


@pytest.mark.parametrize(
    ("asked", "in_profile", "server"),
    [("", "", ()), ("lab-shared", "lab-nfs", ()), ("lab-ceph", "", ("--storage", "ceph")),
     ("", "lab-nfs", ("--storage", "nfs"))],
)
def test_a_lab_starts_the_server_of_its_class(
    monkeypatch: pytest.MonkeyPatch, asked: str, in_profile: str, server: tuple[str, ...]
) -> None:
    """Whoever names the class, option or profile; a class without a server starts none."""
    calls: list[tuple[str, ...]] = []

    def call(_tell: target.Tell, *arguments: str) -> str:
        calls.append(arguments)
        return json.dumps({"name": "unit", "storage_classes": {"shared": "lab-shared", "local": "lab-local"}})

    monkeypatch.setattr(target, "_lab_call", call)
    monkeypatch.setattr(target, "_up", lambda _name: None)
    with target.opened("lab:unit", None, profile(storage_class=in_profile), print, storage_class=asked) as found:
        assert found.storage_classes.shared == (asked or "lab-shared")
    up = calls[0]
    assert up[0] == "up"
    assert tuple(up[up.index("--storage"):][:2] if "--storage" in up else ()) == server


def test_nobody_s_lab_is_replaced_for_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lab that somebody has up without the class is refused, with what to do."""
    monkeypatch.setattr(target, "_up", lambda _name: {"storage": {"lab-ceph": "running pids 1"}, "clients": ""})
    monkeypatch.setattr(target, "_lab_call", lambda *_: json.dumps({"name": "unit"}))
    with target.opened("lab:unit", None, profile(), print, storage_class="lab-ceph") as found:
        assert found.name == "unit"
    refused = target.opened("lab:unit", None, profile(), print, storage_class="lab-nfs")
    with pytest.raises(CannotRunError, match="up without storage class lab-nfs: stop it with"), refused:
        pass


def test_an_unknown_class_of_the_lab_is_refused() -> None:
    with pytest.raises(CannotRunError, match=", ".join(LAB_STORAGE)):
        lab_server("lab-local")
