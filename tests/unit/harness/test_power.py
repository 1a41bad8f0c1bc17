"""Power by a user's commands and by SSH, against programs of the test's own; and what the record keeps of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drainproof.errors import CannotRunError
from drainproof.target import PowerFacts, Target, target_from
from scenarios.power import PowerError, driver_of
from scenarios.power import commands as running

PROGRAM = """#!/bin/sh
echo "$@" >>{folder}/asked
case "$*" in
  *" status"*) echo "Chassis Power is $(cat {folder}/state)" ;;
  *" off"*) echo off >{folder}/state ;;
  *" on"*) echo on >{folder}/state ;;
  *) echo "cannot do that" >&2; exit 3 ;;
esac
"""


@pytest.fixture
def program(tmp_path: Path) -> str:
    """An ipmitool of sorts: a chassis in a file."""
    path = tmp_path / "bmc"
    path.write_text(PROGRAM.format(folder=tmp_path))
    path.chmod(0o755)
    (tmp_path / "state").write_text("on\n")
    return str(path)


def by_command(program: str, **changed: Any) -> PowerFacts:
    options = ["-H", "{node}-bmc", "-P", "s3cret; touch /tmp/x"]
    words = {verb: [program, *options, verb] for verb in ("on", "off", "status")}
    return PowerFacts.model_validate({"driver": "command", **words, **changed})


def test_a_users_commands_switch_a_node(program: str, tmp_path: Path) -> None:
    """Without a shell: what looks like one's syntax reaches the program as it is."""
    driver = driver_of(by_command(program))
    assert (driver.state("worker-1"), driver.proves_off, driver.powers_on) == ("On", True, True)
    driver.off("worker-1")
    assert driver.state("worker-1") == "Off"
    driver.on("worker-1")
    assert driver.state("worker-1") == "On"
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[1] == "-H worker-1-bmc -P s3cret; touch /tmp/x off"


@pytest.mark.parametrize(("changed", "words"), [
    ({"off": ["{program}", "-P", "s3cret", "explode"]}, "exit code 3: cannot do that"),
    ({"off": ["/no/such/program", "s3cret"]}, "/no/such/program cannot be run: No such file"),
])
def test_a_command_that_fails_is_quoted_without_its_arguments(
    program: str, changed: dict[str, Any], words: str
) -> None:
    off = [word.replace("{program}", program) for word in changed["off"]]
    with pytest.raises(PowerError, match=words) as caught:
        driver_of(by_command(program, off=off)).off("worker-1")
    assert "s3cret" not in str(caught.value)


def test_a_command_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "TIMEOUT_SECONDS", 0.1)
    with pytest.raises(PowerError, match="sleep did not end"):
        running.run(["sleep", "60"], "worker-1")


@pytest.mark.parametrize("said", ["unknown", "on, was off"])
def test_a_state_that_is_not_plain_is_no_state(program: str, tmp_path: Path, said: str) -> None:
    (tmp_path / "state").write_text(said)
    with pytest.raises(PowerError, match="on_pattern"):
        driver_of(by_command(program)).state("worker-1")


SSH = """#!/bin/sh
echo "$@" >>{folder}/asked
[ -e {folder}/up ] || exit 255
case "$*" in *poweroff*) rm {folder}/up; exit 255 ;; esac
"""


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ssh that reaches one host, which goes off when it is told to."""
    path = tmp_path / "ssh"
    path.write_text(SSH.format(folder=tmp_path))
    path.chmod(0o755)
    (tmp_path / "up").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def test_ssh_powers_off_but_neither_proves_it_nor_brings_back(ssh: Path) -> None:
    facts = PowerFacts(driver="ssh", ssh_destination="core@{node}.example", ssh_options=("-p", "2222"))
    driver = driver_of(facts)
    assert (driver.proves_off, driver.powers_on, driver.state("worker-1")) == (False, False, "On")
    driver.off("worker-1")
    assert driver.state("worker-1") == "Off"
    asked = (ssh / "asked").read_text()
    assert "-p 2222 -- core@worker-1.example sudo -n systemctl poweroff --force --force" in asked
    assert "BatchMode=yes" in asked
    with pytest.raises(PowerError, match="does not answer SSH"):
        driver.off("worker-1")
    with pytest.raises(PowerError, match="cannot be powered on"):
        driver.on("worker-1")


REDFISH = {"driver": "redfish", "url": "https://{node}-bmc", "user": "root", "password_file": "/run/secrets/bmc"}


@pytest.mark.parametrize("power", [
    REDFISH, {"driver": "command", "on": ["bmc", "hush"], "off": ["bmc", "hush"], "status": ["bmc", "hush"]},
    {"driver": "ssh", "ssh_destination": "hush@{node}", "ssh_options": ["-i", "hush"]},
])
def test_the_record_keeps_the_driver_and_where_it_is_and_nothing_else(power: dict[str, Any]) -> None:
    target = target_from({"name": "t", "power": power}, "The target")
    kept = target.facts()["power"]
    assert set(kept) == {"driver", "url"}
    for secret in ("hush", "root", "/run/secrets"):
        assert secret not in json.dumps(target.facts())


def test_a_target_without_power_says_so() -> None:
    assert Target(name="t").facts()["power"] is None


@pytest.mark.parametrize(("changed", "words"), [
    ({"url": ""}, "needs url"), ({"password_file": ""}, "needs password_file"),
    ({"url": "https://root:hush@bmc"}, "must not hold a user"), ({"password": "hush"}, "password"),
    ({"password_env": "BMC"}, "exclude each other"), ({"driver": "command"}, "needs off, on, status"),
    ({"on_pattern": "("}, "no regular expression"),
])
def test_facts_that_cannot_work_are_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(CannotRunError, match=words):
        target_from({"name": "t", "power": {**REDFISH, **changed}}, "The target")
