"""What the host has taken from this client: time of its processors, by theft or throttling, and datagrams."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from load.schedule import SECOND

LONGEST_TOLD_NS = SECOND
"""A robbery that goes on is told in pieces of this length."""
_STEAL = 8
_INET_PORT, _INET_DROPS = 1, 12

Tell = Callable[..., None]
"""Called with the instant, the kind of an event, its object, and its facts."""


class Host:
    """Reads the kernel's accounts; what is not there counts nothing. `root` stands before /proc and /sys."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._stat = root / "proc/stat"
        self._pressure = root / "proc/pressure/cpu"
        self._limits = list(_cpu_accounts(root))
        self._tick_us = 1_000_000 // os.sysconf("SC_CLK_TCK")

    def steal_us(self) -> int:
        """Time in which processors of this machine were ready to run and another machine ran."""
        try:
            line = self._stat.read_text().split("\n", 1)[0].split()
            return int(line[_STEAL]) * self._tick_us
        except (OSError, IndexError, ValueError):
            return 0

    def throttled_us(self) -> int:
        """Time in which this process's control groups had used up their quota of processor time."""
        return sum(_throttled_us(account) for account in self._limits)

    def pressure_us(self) -> int | None:
        """Time in which some task of this machine waited for a processor; None where nobody counts."""
        try:
            return int(self._pressure.read_text().split("\n", 1)[0].rpartition("total=")[2])
        except (OSError, ValueError):
            return None


def dropped_datagrams(pid: int, ports: Collection[int], root: Path = Path("/")) -> int:
    """How many datagrams the kernel has dropped because the buffers of these ports were full."""
    return sum(
        int(fields[_INET_DROPS])
        for table in ("udp", "udp6")
        for fields in _rows(root / f"proc/{pid}/net/{table}")[1:]
        if len(fields) > _INET_DROPS and int(fields[_INET_PORT].rpartition(":")[2], 16) in ports
    )


class Robberies:
    """Joins windows in which time was stolen or throttled to one event as long as they touch."""

    def __init__(self, host: Host, tell: Tell, now_ns: int) -> None:
        self._host = host
        self._tell = tell
        self._seen_ns = now_ns
        self._steal_us, self._throttled_us = host.steal_us(), host.throttled_us()
        self._start_ns = now_ns
        self._taken = (0, 0)

    def look(self, now_ns: int) -> None:
        """Close the window that began with the last look."""
        steal, throttled = self._host.steal_us(), self._host.throttled_us()
        taken = max(0, steal - self._steal_us), max(0, throttled - self._throttled_us)
        self._steal_us, self._throttled_us = steal, throttled
        before, self._seen_ns = self._seen_ns, now_ns
        if not any(taken):
            self.end(before)
            return
        if not any(self._taken):
            self._start_ns = before
        self._taken = self._taken[0] + taken[0], self._taken[1] + taken[1]
        if now_ns - self._start_ns >= LONGEST_TOLD_NS:
            self.end(now_ns)

    def end(self, end_ns: int) -> None:
        """Tell of the robbery that has ended, if there was one."""
        steal, throttled = self._taken
        if steal or throttled:
            self._tell(
                end_ns, "robbed", "", start_ns=self._start_ns, end_ns=end_ns, steal_ms=steal / 1000,
                throttled_ms=throttled / 1000,
            )
        self._taken = (0, 0)


class Pressure:
    """Tells how long tasks of this machine waited for a processor since the last look."""

    def __init__(self, host: Host, tell: Tell, now_ns: int) -> None:
        self._host = host
        self._tell = tell
        self._seen = now_ns, host.pressure_us()

    def look(self, now_ns: int) -> None:
        """Tell of the time since the last look."""
        (start, before), total = self._seen, self._host.pressure_us()
        self._seen = now_ns, total
        if before is not None and total is not None:
            self._tell(now_ns, "pressure", "", start_ns=start, end_ns=now_ns, some_ms=(total - before) / 1000)


class Drops:
    """Tells when the kernel dropped datagrams of one process's sockets since the last look."""

    def __init__(self, vantage: str, pid: int, ports: Collection[int], tell: Tell, now_ns: int) -> None:
        self._vantage = vantage
        self._pid = pid
        self._ports = frozenset(ports)
        self._tell = tell
        self._seen = now_ns, dropped_datagrams(pid, self._ports)

    def look(self, now_ns: int) -> None:
        """Tell of the time since the last look, when something was dropped in it."""
        (start, before), total = self._seen, dropped_datagrams(self._pid, self._ports)
        self._seen = now_ns, max(before, total)
        if total > before:
            self._tell(now_ns, "udp-drops", self._vantage, count=total - before, start_ns=start, end_ns=now_ns)


def _cpu_accounts(root: Path) -> Iterator[Path]:
    """The cpu.stat of every control group that this process is in, in either version of the interface."""
    for fields in _rows(root / "proc/self/cgroup", ":"):
        controllers, path = fields[1], fields[-1].strip("/")
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root / "sys/fs/cgroup" / controllers
        for group in ((base / path), *(base / path).parents):
            if (account := group / "cpu.stat").is_file():
                yield account
            if group == base:
                break


def _throttled_us(account: Path) -> int:
    for name, _, value in (line.partition(" ") for line in _lines(account)):
        if name == "throttled_usec":
            return int(value)
        if name == "throttled_time":
            return int(value) // 1000
    return 0


def _rows(path: Path, separator: str | None = None) -> list[list[str]]:
    return [line.split(separator) for line in _lines(path)]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
