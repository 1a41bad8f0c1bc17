"""What the host takes away: read from the kernel's accounts, joined while it lasts, silent where nobody counts."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from load.contention import Drops, Host, Pressure, Robberies, dropped_datagrams

MS = 1_000_000
SECOND = 1_000_000_000
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")


class Machine:
    """The kernel's accounts as files that a test writes, and what was told of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.write("proc/self/cgroup", "0::/pod/container\n")
        self.steal(0)

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def steal(self, ticks: int) -> None:
        self.write("proc/stat", f"cpu  1 0 1 1 0 0 0 {ticks} 0 0\ncpu0 0\n")

    def tell(self, t_ns: int, kind: str, subject: str, **facts: Any) -> None:
        self.told.append((kind, facts))

    def robberies(self) -> Robberies:
        return Robberies(Host(self.root), self.tell, 0)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_windows_in_which_time_was_stolen_are_joined(machine: Machine) -> None:
    robberies = machine.robberies()
    for window, ticks in enumerate((0, 1, 3, 3, 3), 1):
        machine.steal(ticks)
        robberies.look(window * 100 * MS)
    assert machine.told == [
        ("robbed", {"start_ns": 100 * MS, "end_ns": 300 * MS, "steal_ms": 3 * TICK_MS, "throttled_ms": 0.0})
    ]


def test_a_robbery_without_end_is_told_every_second(machine: Machine) -> None:
    robberies = machine.robberies()
    for window in range(1, 26):
        machine.steal(window)
        robberies.look(window * 100 * MS)
    robberies.end(2500 * MS)
    spans = [(facts["start_ns"] // MS, facts["end_ns"] // MS) for _, facts in machine.told]
    assert spans == [(0, 1000), (1000, 2000), (2000, 2500)]


def test_throttling_is_read_from_either_kind_of_control_group(machine: Machine) -> None:
    machine.write("sys/fs/cgroup/pod/cpu.stat", "nr_throttled 0\nthrottled_usec 0\n")
    robberies = machine.robberies()
    machine.write("sys/fs/cgroup/pod/cpu.stat", "nr_throttled 1\nthrottled_usec 2500\n")
    robberies.look(100 * MS)
    robberies.look(200 * MS)
    assert machine.told[0][1]["throttled_ms"] == 2.5
    machine.write("proc/self/cgroup", "3:cpu,cpuacct:/job\n2:memory:/job\n")
    machine.write("sys/fs/cgroup/cpu,cpuacct/job/cpu.stat", "nr_throttled 1\nthrottled_time 7000000\n")
    assert Host(machine.root).throttled_us() == 7000


def test_nobody_is_robbed_where_nobody_counts(tmp_path: Path) -> None:
    host = Host(tmp_path)
    assert (host.steal_us(), host.throttled_us(), host.pressure_us()) == (0, 0, None)
    machine = Machine(tmp_path)
    Pressure(host, machine.tell, 0).look(SECOND)
    assert machine.told == []


def test_pressure_is_told_as_time_waited(machine: Machine) -> None:
    machine.write("proc/pressure/cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000\nfull total=5\n")
    pressure = Pressure(Host(machine.root), machine.tell, 0)
    machine.write("proc/pressure/cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=4500\nfull total=5\n")
    pressure.look(SECOND)
    assert machine.told == [("pressure", {"start_ns": 0, "end_ns": SECOND, "some_ms": 3.5})]


def test_datagrams_that_found_no_room_are_counted_for_our_ports_only(machine: Machine) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as full, socket.socket(type=socket.SOCK_DGRAM) as sender:
        full.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        full.bind(("127.0.0.1", 0))
        port = full.getsockname()[1]
        drops = Drops("outside", os.getpid(), [port], machine.tell, 0)
        drops.look(SECOND)
        assert machine.told == []
        for _ in range(200):
            sender.sendto(bytes(512), ("127.0.0.1", port))
        drops.look(2 * SECOND)
        ((kind, facts),) = machine.told
        assert (kind, facts["start_ns"], facts["end_ns"]) == ("udp-drops", SECOND, 2 * SECOND)
        assert 0 < facts["count"] < 200
        assert dropped_datagrams(os.getpid(), [port + 1]) == 0


def test_a_process_that_has_gone_has_dropped_nothing() -> None:
    assert dropped_datagrams(2**22 + 1, [1]) == 0
