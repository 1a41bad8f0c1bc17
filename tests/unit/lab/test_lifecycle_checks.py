"""What a lab asks of the machine, and how it says so."""

from __future__ import annotations

import shutil
import socket
from collections import namedtuple
from pathlib import Path

import pytest

from lab.__main__ import EXIT_REFUSED, main
from lab.config import LabConfig
from lab.lifecycle import checks, leftovers, lock
from lab.lifecycle.errors import LifecycleError
from lab.net import namespaces

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def config(tmp_path: Path) -> LabConfig:
    return LabConfig(name="t", api_port=16999, state_dir=str(tmp_path / "state"), cache_dir=str(tmp_path / "cache"),
                     run_dir="/run/drainproof/t")


def test_all_problems_are_named_at_once(config: LabConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root, Python, tools and space: a sentence with a remedy each, in one go."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("sys.version_info", (3, 9, 2))
    monkeypatch.setattr(shutil, "which", lambda tool, path=None: None if tool in ("dnsmasq", "nft") else f"/bin/{tool}")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, 1 << 30))
    text = "\n".join(checks.problems(config))
    assert "run it with sudo" in text
    assert "run it with python3.11" in text
    assert "Missing on this machine: dnsmasq, nft. Install with: apt-get install dnsmasq-base nftables" in text
    assert "has 1.0 GiB free, the lab needs 3 GiB" in text


def test_taken_port_is_named(config: LabConfig) -> None:
    """Another program's port is refused before anything is made."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 16999))
        holder.listen()
        assert any("Port 16999" in text and "--api-port" in text for text in checks.problems(config))


@pytest.mark.parametrize("name", ["a-b", "A", "1a", "", "x" * 13])
def test_names_that_could_be_confused_are_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A hyphen would make one lab's names the beginning of another's."""
    assert leftovers.NAME.fullmatch(name) is None
    monkey_argv = ["lab", "status", "--name", name]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", monkey_argv)
        assert main() == EXIT_REFUSED
    assert "is no lab name" in capsys.readouterr().err


def test_lock_is_exclusive_and_leaves_with_its_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second holder is refused; after the first has gone, or its file was removed, the next one gets it."""
    monkeypatch.setattr(lock, "DIRECTORY", tmp_path)
    with lock.exclusive("t"), pytest.raises(LifecycleError, match="Another command"), lock.exclusive("t"):
        pass
    with lock.exclusive("t"):
        lock.lock_file("t").unlink()
    with lock.exclusive("t"):
        assert lock.lock_file("t").exists()


def test_leftovers_are_found_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state directory is found through the run directory's link, wherever it is, and only that is removed."""
    run, netns, state = tmp_path / "run", tmp_path / "netns", tmp_path / "elsewhere" / "t"
    for folder in (run / "t", netns, state / "logs", tmp_path / "elsewhere" / "other"):
        folder.mkdir(parents=True)
    (run / "t" / leftovers.STATE_LINK).symlink_to(state)
    (netns / "dp-t-fabric").touch()
    monkeypatch.setattr(lock, "DIRECTORY", run)
    monkeypatch.setattr(namespaces, "DIRECTORY", netns)
    monkeypatch.setattr(leftovers, "DEFAULT_STATE", tmp_path / "var")
    assert "t" in leftovers.names()
    found = leftovers.remove("t")
    assert found.namespaces == ("dp-t-fabric",)
    assert set(found.paths) == {str(state), str(run / "t")}
    assert not state.exists()
    assert (tmp_path / "elsewhere" / "other").exists()
    assert not leftovers.find("t")


def test_logs_can_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With keep_logs the state directory stays, with nothing but its logs."""
    state = tmp_path / "t"
    (state / "logs").mkdir(parents=True)
    (state / "volumes").mkdir()
    monkeypatch.setattr(lock, "DIRECTORY", tmp_path / "run")
    monkeypatch.setattr(namespaces, "DIRECTORY", tmp_path / "netns")
    monkeypatch.setattr(leftovers, "DEFAULT_STATE", tmp_path / "var")
    leftovers.remove("t", state, keep_logs=True)
    assert [entry.name for entry in state.iterdir()] == ["logs"]
