"""Reads what each tool writes; all instants become monotonic nanoseconds."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence

import numpy as np

from bench.instrument.peers.readings import Requests

SECOND = 1_000_000_000
UNITS_NS = {"us": 1_000, "ms": 1_000_000, "s": SECOND, "m": 60 * SECOND}
_WRK_LATENCY = re.compile(r"Latency\s+\S+\s+\S+\s+([\d.]+)(us|ms|s|m)\s")
_WRK_COUNT = re.compile(r"(\d+) requests in")
_WRK_ERRORS = re.compile(r"(?:connect|read|write|timeout|Non-2xx or 3xx responses):? (\d+)")
_FPING = re.compile(r"\[([\d.]+)\] \S+ : \[\d+\], (?:\d+ bytes, ([\d.]+) ms|timed out)")
_PING = re.compile(r"\[([\d.]+)\] (?:\d+ bytes from .* time=([\d.]+) ms|no answer yet)")


def wrk(output: str) -> tuple[int, int, int]:
    """The slowest request in ns, the number of requests and of errors; wrk tells nothing of single ones."""
    slowest = _WRK_LATENCY.search(output)
    count = _WRK_COUNT.search(output)
    if slowest is None or count is None:
        return 0, 0, 1
    value, unit = slowest.groups()
    return round(float(value) * UNITS_NS[unit]), int(count[1]), sum(map(int, _WRK_ERRORS.findall(output)))


def hey(output: str, started_ns: int) -> Requests:
    """The rows of `-o csv`: how long each request took, its status, and when it began after the start of hey."""
    rows = list(csv.DictReader(output.splitlines()))
    start = [started_ns + round(float(row["offset"]) * SECOND) for row in rows]
    took = [round(float(row["response-time"]) * SECOND) for row in rows]
    return _requests(start, took, [row["status-code"] == "200" for row in rows])


def h2load(output: str, wall_ahead_ns: int) -> Requests:
    """The rows of `--log-file`: wall time of the begin in us, status, and how long it took in us."""
    rows = [tuple(map(int, line.split("\t")[:3])) for line in output.splitlines()]
    start = [begun * 1000 - wall_ahead_ns for begun, _, _ in rows]
    return _requests(start, [took * 1000 for _, _, took in rows], [status == 200 for _, status, _ in rows])


def fping(output: str, wall_ahead_ns: int) -> Requests:
    """The lines of `-D -l`: wall time at which each answer was read, and its round trip."""
    return _echoes(_FPING.findall(output), wall_ahead_ns)


def ping(output: str, wall_ahead_ns: int) -> Requests:
    """The lines of `-D -O`: wall time at which each answer was read, and its round trip."""
    return _echoes(_PING.findall(output), wall_ahead_ns)


def _echoes(found: Iterable[Sequence[str]], wall_ahead_ns: int) -> Requests:
    told = [(_wall(at) - wall_ahead_ns, float(took) if took else None) for at, took in found]
    took = [round(value * 1e6) if value is not None else 0 for _, value in told]
    start = [end - lasted for (end, _), lasted in zip(told, took, strict=True)]
    return _requests(start, took, [value is not None for _, value in told])


def _wall(seconds: str) -> int:
    """Wall time in ns; as a float it would lose what is below a microsecond."""
    whole, _, rest = seconds.partition(".")
    return int(whole) * SECOND + int(rest.ljust(9, "0")[:9])


def _requests(start: Sequence[int], took: Sequence[int], good: Sequence[bool]) -> Requests:
    begin = np.array(start, np.int64)
    return Requests(begin, begin + np.array(took, np.int64), np.array(good, np.bool_))
