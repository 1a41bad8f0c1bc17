"""A node's power: what dies with it, what is told of it, and what comes back."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import processes
from lab.agent import boot, network, pods
from lab.agent.context import Node
from lab.config import LabConfig
from lab.kinds import POD, VIRTUAL_MACHINE_INSTANCE
from lab.lifecycle import daemons, power
from lab.machinery.objects import phase
from tests.unit.lab.controllers_fake import FakeApi, cluster_of, running_pod, vmi

Start = Callable[[str, str], "subprocess.Popen[bytes]"]


@pytest.fixture
def config(tmp_path: Path) -> LabConfig:
    return LabConfig(name="powertest", state_dir=str(tmp_path / "state"), run_dir=str(tmp_path / "run"))


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts processes that bear a lab's and a node's mark, and ends what is left of them."""
    started: list[subprocess.Popen[bytes]] = []

    def one(lab: str, node: str) -> subprocess.Popen[bytes]:
        marks = processes.marked_environment(lab, {processes.NODE_MARK: node})
        started.append(subprocess.Popen(["sleep", "60"], env=marks))
        return started[-1]

    yield one
    for process in started:
        process.kill()
        process.wait()


def test_only_what_runs_on_the_node_dies(config: LabConfig, start: Start) -> None:
    """Not what runs on another node, nor on a node of the same name in another lab."""
    mine = [start("powertest", "node-a"), start("powertest", "node-a")]
    others = [start("powertest", "node-b"), start("another", "node-a")]
    assert sorted(power.cut(config, "node-a")) == sorted(process.pid for process in mine)
    assert [process.wait(timeout=5) for process in mine] == [-signal.SIGKILL] * 2
    assert [process.poll() for process in others] == [None, None]


def test_what_the_node_kept_in_memory_is_lost(config: LabConfig) -> None:
    socket = config.run / "node-a" / "demo_vm" / "qmp"
    socket.parent.mkdir(parents=True)
    socket.touch()
    power.cut(config, "node-a")
    assert not (config.run / "node-a").exists()
    assert (power.is_on(config, "node-a"), power.without(config)) == (False, ["node-a"])
    power.restore(config, "node-a")
    assert power.without(config) == []


def test_a_node_without_power_misses_no_agent(config: LabConfig) -> None:
    assert "agent of node-a" in daemons.missing(config)
    power.cut(config, "node-a")
    assert "agent of node-a" not in daemons.missing(config)
    assert "agent of node-b" in daemons.missing(config)


def agent_node(config: LabConfig, api: FakeApi) -> Node:
    return Node(config, "node-a", cluster_of(api, config.state_dir))


def test_a_boot_has_one_identity(config: LabConfig) -> None:
    """Kept by an agent that is started again, new after the power was gone."""
    node = agent_node(config, FakeApi())
    first = boot.identity(node)
    assert boot.identity(agent_node(config, FakeApi())) == first
    power.cut(config, "node-a")
    power.restore(config, "node-a")
    assert boot.identity(node) != first


@pytest.mark.parametrize(("lost_power", "expected"), [(True, "Failed"), (False, "Running")])
def test_a_running_pod_has_died_with_the_power_and_only_with_it(
    config: LabConfig, lost_power: bool, expected: str
) -> None:
    """An agent that is started again without a boot finds its pods as they were."""
    api = FakeApi()
    owner = api.given(VIRTUAL_MACHINE_INSTANCE, vmi())
    pod = running_pod("launcher", owner, "node-a")
    pod["spec"] = {"nodeName": "node-a", "containers": [{"name": "compute", "image": "i"}]}
    api.given(POD, pod)
    node = agent_node(config, api)
    boot.remember(node, str(api.there(POD, "demo/launcher")["metadata"]["uid"]))
    if lost_power:
        power.cut(config, "node-a")
    asyncio.run(_reconcile(node))
    found = api.there(POD, "demo/launcher")
    assert phase(found) == expected
    ends = [entry["state"].get("terminated", {}).get("exitCode") for entry in found["status"]["containerStatuses"]]
    assert ends == [255 if lost_power else None]


async def _reconcile(node: Node) -> None:
    await pods.reconcile(node, "demo/launcher")


def test_timers_scale_the_heartbeat_with_the_grace() -> None:
    """The kubelet's 10 s where there is time, never less than five heartbeats within the grace."""
    assert LabConfig().lease_period_seconds == 10
    assert LabConfig(node_grace_seconds=12).lease_period_seconds == pytest.approx(2.4)


@pytest.mark.parametrize("api_port", [1024, 16443, 64535, 64536, 65535])
def test_the_redfish_port_is_a_port_and_not_the_apis(api_port: int) -> None:
    port = LabConfig(api_port=api_port).redfish_port
    assert 0 < port <= 65535
    assert port != api_port


def test_an_address_is_taken_from_a_guest_that_nobody_withdrew(
    config: LabConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its node died with it, and the DHCP server would keep the address for it for good."""
    withdrawn: list[tuple[str, str]] = []
    monkeypatch.setattr(network, "withdraw_address", lambda _, mac, ip: withdrawn.append((mac, ip)))
    network.offer_address(config, "02:00:00:00:00:01", "10.77.1.10", "old")
    network.offer_address(config, "02:00:00:00:00:02", "10.77.1.100", "other")
    assert withdrawn == []
    network.offer_address(config, "02:00:00:00:00:03", "10.77.1.10", "new")
    assert withdrawn == [("02:00:00:00:00:01", "10.77.1.10")]
    assert network.host_file(config, "02:00:00:00:00:03").read_text() == "02:00:00:00:00:03,10.77.1.10,new\n"
