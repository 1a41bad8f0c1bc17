"""The lab's Redfish service against the DMTF's own client, and the harness's driver against the service."""

from __future__ import annotations

import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redfish
from redfish.rest.v1 import InvalidCredentialsError

from drainproof.target import PowerFacts
from drainproof.wait import Deadline, wait
from lab import pki
from lab.config import REDFISH_USER, LabConfig
from lab.lifecycle import power
from lab.processes import NODE_MARK, marked_environment
from lab.redfish.access import make_password
from scenarios.power import PowerError, driver_of
from tests.contract.server import ROOT, free_port

SYSTEM = "/redfish/v1/Systems/node-a"
RESET = f"{SYSTEM}/Actions/ComputerSystem.Reset"


@dataclass(frozen=True)
class Bmc:
    """The service as a process of its own; its nodes run nothing but what a test puts on them."""

    config: LabConfig

    @property
    def password(self) -> str:
        return self.config.redfish_password_file.read_text().strip()

    def client(self, password: str = "") -> Any:
        return redfish.redfish_client(
            self.config.redfish_url, REDFISH_USER, password or self.password, timeout=10,
            cafile=str(self.config.ca_file),
        )

    def facts(self, **changed: Any) -> PowerFacts:
        return PowerFacts.model_validate({
            "driver": "redfish", "url": self.config.redfish_url, "user": REDFISH_USER,
            "password_file": str(self.config.redfish_password_file), "ca_file": str(self.config.ca_file), **changed,
        })

    def powered(self) -> list[str]:
        return [node for node in self.config.nodes if power.is_on(self.config, node)]


@pytest.fixture
def bmc(tmp_path: Path) -> Iterator[Bmc]:
    """The service on the loopback, ready."""
    config = LabConfig(
        name=f"bmc{free_port()}", nodes=("node-a", "node-b"), api_port=free_port(), state_dir=str(tmp_path / "state"),
        run_dir=str(tmp_path / "run"),
    )
    config.save()
    pki.ensure(config)
    argv = [sys.executable, "-m", "lab.redfish", "--config", str(config.config_file)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(argv, cwd=ROOT, stdout=log, stderr=log)
    try:
        wait(
            "the service listens", lambda: (process.poll(), _listens(config.redfish_port)),
            until=lambda seen: seen[1], never=lambda seen: seen[0] is not None, deadline=Deadline(20), every=0.05,
        )
        yield Bmc(config)
    finally:
        process.terminate()
        process.wait(timeout=10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def guest(bmc: Bmc) -> Iterator[subprocess.Popen[bytes]]:
    """A process of node-a."""
    environment = marked_environment(bmc.config.name, {NODE_MARK: "node-a"})
    with subprocess.Popen(["sleep", "60"], env=environment) as process:
        yield process
        process.kill()


@pytest.fixture
def client(bmc: Bmc) -> Iterator[Any]:
    """The DMTF's client, logged in with a session."""
    session = bmc.client()
    session.login(auth=redfish.AuthMethod.SESSION)
    yield session
    session.logout()


def test_the_password_is_nobody_elses(bmc: Bmc) -> None:
    assert stat.S_IMODE(bmc.config.redfish_password_file.stat().st_mode) == 0o600
    assert make_password(bmc.config.redfish_password_file) == bmc.password


def test_the_tree_leads_from_the_root_to_a_system(client: Any) -> None:
    """Every resource names itself and its type, and each link leads to what it says."""
    root = client.root
    assert (root["@odata.id"], root["RedfishVersion"]) == ("/redfish/v1/", "1.20.0")
    for link in (root.Systems["@odata.id"], root.SessionService["@odata.id"], root.Links.Sessions["@odata.id"]):
        found = client.get(link).dict
        assert found["@odata.id"] == link
        assert found["@odata.type"].startswith("#")
        assert found["Name"]
    members = client.get("/redfish/v1/Systems").dict
    assert members["Members@odata.count"] == 2
    assert members["Members"] == [{"@odata.id": f"/redfish/v1/Systems/{name}"} for name in ("node-a", "node-b")]
    system = client.get(SYSTEM).dict
    assert system["@odata.type"].split(".")[0] == "#ComputerSystem"
    assert (system["Id"], system["PowerState"], system["Status"]["State"]) == ("node-a", "On", "Enabled")
    assert "BootSourceOverrideTarget" in system["Boot"]
    action = system["Actions"]["#ComputerSystem.Reset"]
    assert action["target"] == RESET
    assert {"On", "ForceOff", "ForceRestart"} <= set(action["ResetType@Redfish.AllowableValues"])


@pytest.mark.parametrize(("kind", "state"), [("ForceOff", "Off"), ("GracefulShutdown", "Off"), ("ForceRestart", "On")])
def test_a_reset_ends_what_ran_on_the_node(
    client: Any, guest: subprocess.Popen[bytes], kind: str, state: str
) -> None:
    """At once, with no chance to say good-bye; the other node is not touched."""
    assert client.post(RESET, body={"ResetType": kind}).status == 204
    assert guest.wait(timeout=5) == -signal.SIGKILL
    assert client.get(SYSTEM).dict["PowerState"] == state
    assert client.get("/redfish/v1/Systems/node-b").dict["PowerState"] == "On"


def test_power_that_is_there_is_left_alone(client: Any, guest: subprocess.Popen[bytes]) -> None:
    assert client.post(RESET, body={"ResetType": "On"}).status == 204
    other = "/redfish/v1/Systems/node-b"
    assert client.post(f"{other}/Actions/ComputerSystem.Reset", body={"ResetType": "ForceOff"}).status == 204
    assert guest.poll() is None
    assert [client.get(path).dict["PowerState"] for path in (SYSTEM, other)] == ["On", "Off"]


@pytest.mark.parametrize(("path", "body", "status", "message"), [
    (RESET, {"ResetType": "PushPowerButton"}, 400, "ActionParameterNotSupported"),
    (RESET, {}, 400, "ActionParameterMissing"),
    (SYSTEM, {}, 405, "OperationNotAllowed"),
    ("/redfish/v1/Systems/node-z/Actions/ComputerSystem.Reset", {"ResetType": "On"}, 404, "ResourceMissingAtURI"),
])
def test_what_cannot_be_done_is_refused_in_the_standards_words(
    bmc: Bmc, client: Any, path: str, body: dict[str, str], status: int, message: str
) -> None:
    answer = client.post(path, body=body)
    assert answer.status == status
    error = answer.dict["error"]
    assert error["code"].startswith("Base.")
    assert error["@Message.ExtendedInfo"][0]["MessageId"].endswith(f".{message}")
    assert bmc.powered() == ["node-a", "node-b"]


def test_there_is_nothing_at_an_unknown_address(client: Any) -> None:
    assert [client.get(path).status for path in ("/redfish/v1/Systems/node-z", "/redfish/v1/Chassis")] == [404, 404]


def test_nobody_gets_in_without_the_password(bmc: Bmc) -> None:
    """The root is open, as the standard wants it; everything else needs a session or basic authentication."""
    stranger = bmc.client("wrong")
    assert stranger.get("/redfish/v1/").status == 200
    assert stranger.get(SYSTEM).status == 401
    assert stranger.post(RESET, body={"ResetType": "ForceOff"}).status == 401
    with pytest.raises(InvalidCredentialsError):
        stranger.login(auth=redfish.AuthMethod.SESSION)
    with pytest.raises(InvalidCredentialsError):
        stranger.login(auth=redfish.AuthMethod.BASIC)
    stranger.logout()
    assert bmc.powered() == ["node-a", "node-b"]


def test_a_session_ends_with_its_logout(bmc: Bmc) -> None:
    session = bmc.client()
    session.login(auth=redfish.AuthMethod.SESSION)
    token = session.get_session_key()
    assert session.get("/redfish/v1/SessionService/Sessions").dict["Members@odata.count"] == 1
    session.logout()
    again = bmc.client()
    again.set_session_key(token)
    assert again.get(SYSTEM).status == 401
    again.set_session_key(None)
    again.logout()


def test_basic_authentication_is_enough(bmc: Bmc) -> None:
    client = bmc.client()
    client.login(auth=redfish.AuthMethod.BASIC)
    assert client.get(SYSTEM).status == 200
    client.logout()


def test_the_driver_switches_a_node(bmc: Bmc) -> None:
    driver = driver_of(bmc.facts())
    assert driver.state("node-a") == "On"
    driver.off("node-a")
    assert (driver.state("node-a"), driver.state("node-b")) == ("Off", "On")
    driver.on("node-a")
    assert driver.state("node-a") == "On"


def test_the_driver_finds_systems_by_other_names(bmc: Bmc) -> None:
    driver = driver_of(bmc.facts(system="rack-{node}", systems={"worker-1": "node-b"}))
    driver.off("worker-1")
    assert bmc.powered() == ["node-a"]
    with pytest.raises(PowerError, match="Systems/rack-worker-2"):
        driver.state("worker-2")


def test_the_driver_says_what_is_wrong_without_the_password(
    bmc: Bmc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong password, an untrusted certificate, a service that is not there, a file or variable that is missing."""
    secret = tmp_path / "wrong"
    secret.write_text("not-the-password")
    closed = f"https://127.0.0.1:{free_port()}"
    monkeypatch.delenv("NO_SUCH_SECRET", raising=False)
    for facts, words in (
        (bmc.facts(password_file=str(secret)), "Invalid credentials"),
        (bmc.facts(ca_file=""), "certificate"),
        (bmc.facts(url=closed), "refused"),
        (bmc.facts(password_file=str(tmp_path / "none")), "cannot be read"),
        (bmc.facts(password_file="", password_env="NO_SUCH_SECRET"), "NO_SUCH_SECRET"),
    ):
        with pytest.raises(PowerError, match=words) as caught:
            driver_of(facts).state("node-a")
        assert bmc.password not in str(caught.value)
        assert "not-the-password" not in str(caught.value)
