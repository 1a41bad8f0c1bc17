"""The guest's memory churn, as a process of its own on the loopback address."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.image.recipe import GUEST

PROGRAM = GUEST / "root/usr/lib/drainproof/churn"


@pytest.fixture
def service() -> Iterator[subprocess.Popen[str]]:
    """The service, whose first line says where it answers."""
    argv = [sys.executable, "-IS", str(PROGRAM), "127.0.0.1", "0"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def _where(service: subprocess.Popen[str]) -> tuple[str, int]:
    assert service.stdout is not None
    host, port = service.stdout.readline().strip().split(":")
    return host, int(port)


def _ask(where: tuple[str, int], wish: str) -> list[str]:
    with socket.create_connection(where, 10) as connection:
        connection.sendall(f"{wish}\n".encode())
        return connection.makefile().read().splitlines()


def test_it_writes_at_the_rate_until_the_time_is_over(service: subprocess.Popen[str]) -> None:
    """The last line says how much in how long; memory that it writes is resident then."""
    said = _ask(_where(service), "8 16 0.3")
    match = re.fullmatch(r"dirtied ([\d.]+) MiB in ([\d.]+) s", said[-1])
    assert match is not None, said
    assert 0 < float(match[1]) <= 16 * (float(match[2]) + 0.1)
    high_water = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{service.pid}/status").read_text())
    assert high_water is not None
    assert int(high_water[1]) > 8 * 1024


@pytest.mark.parametrize("wish", ["", "8", "eight 1 1", "0 1 1", "8 0 1", "8 1 601", "99999999 1 1"])
def test_what_it_cannot_do_it_refuses_and_goes_on(service: subprocess.Popen[str], wish: str) -> None:
    """No request without an end, or with more memory than the guest can spare; the next client is served."""
    where = _where(service)
    assert _ask(where, wish)[0].startswith("refused: ")
    assert _ask(where, "1 1 0.1")[-1].startswith("dirtied")


def test_a_client_that_goes_ends_the_churn(service: subprocess.Popen[str]) -> None:
    """Whatever becomes of a run, its churn does not outlive it by long."""
    where = _where(service)
    with socket.create_connection(where, 10) as connection:
        connection.sendall(b"1 1 600\n")
        assert connection.makefile().readline().startswith("dirtied")
    assert _ask(where, "1 1 0.1")[-1].startswith("dirtied")
