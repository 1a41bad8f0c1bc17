"""The guest image, built and started under software emulation without the rest of the lab."""

import json
import socket
import struct
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from drainproof.wait import Deadline, wait
from lab.image import EMULATED_CPU, GuestImage, ensure, nocloud

HTTP_PORT = 18080
AGENT_PORT = 18007
ECHOES_PORT = 18009
PATIENCE_S = 60.0
META_DATA = '{"instance-id": "one.test", "local-hostname": "guest-one"}\n'
USER_DATA = """#!/bin/sh
echo secret > /run/password
portal-member --cluster one --address 10.0.2.15 --members 10.0.2.15 --bootstrap \\
    --user tester --password-file /run/password
"""

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> GuestImage:
    """An image built from nothing."""
    return ensure(tmp_path_factory.mktemp("images"))


@pytest.fixture
def console(image: GuestImage, tmp_path: Path) -> Iterator[Path]:
    """The console log of a running guest that is the only member of its cluster."""
    log = tmp_path / "console"
    data, seed = tmp_path / "data", tmp_path / "seed"
    with data.open("wb") as file:
        file.truncate(1 << 30)
    nocloud.write(seed, USER_DATA, META_DATA)
    disks = [("root", image.root, "on"), ("data", data, "off"), ("cidata", seed, "on")]
    argv = ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", EMULATED_CPU, "-m", "512",
            "-nodefaults", "-display", "none", "-serial", f"file:{log}", "-kernel", str(image.kernel),
            "-initrd", str(image.initrd), "-append", image.cmdline, "-device", "virtio-net-pci,netdev=net",
            "-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{HTTP_PORT}-:80,"
            f"hostfwd=udp:127.0.0.1:{AGENT_PORT}-:7007,hostfwd=tcp:127.0.0.1:{AGENT_PORT}-:7007,"
            f"hostfwd=tcp:127.0.0.1:{ECHOES_PORT}-:7009"]  # fmt: skip
    for serial, path, readonly in disks:
        argv += ["-drive", f"if=none,id={serial},file={path},format=raw,readonly={readonly}",
                 "-device", f"virtio-blk-pci,drive={serial},serial={serial}"]  # fmt: skip
    guest = subprocess.Popen(argv)
    yield log
    guest.kill()
    guest.wait()


def test_guest_serves_the_portal(console: Path) -> None:
    """A started guest announces its steps in order and answers from its database."""
    assert b"Dr. Number 1" in _answer("/doctors")
    assert b"guest-one" in _answer("/identity")
    text = console.read_text(errors="replace")
    steps = [text.index(f"drainproof-guest: {step}") for step in ("init", "network 10.0.2.15", "ready")]
    assert steps == sorted(steps)


def test_guest_answers_the_stopwatch(console: Path) -> None:
    """The agent echoes over both protocols and sends ticks of the guest's own clocks, which do not run backwards."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.5)
        client.connect(("127.0.0.1", AGENT_PORT))
        request = b"DPE1" + struct.pack("<IQ", 0, 7)
        answer = wait("an echo", lambda: _exchange(client, request), until=bool, deadline=Deadline(PATIENCE_S))
        assert (answer[:16], len(answer)) == (request, 24)
        uptime_ns = int.from_bytes(answer[16:], "little")
        assert 0 < uptime_ns < PATIENCE_S * 1e9
        client.settimeout(PATIENCE_S)
        client.send(b"DPH1" + struct.pack("<I8s", 20_000, b"tokentok"))
        ticks: list[tuple[bytes, int, int, int, int, bytes]] = []
        while len(ticks) < 5:
            if (datagram := client.recv(100)).startswith(b"DPT1"):  # or the answer to an earlier attempt
                ticks.append(struct.unpack("<4sIQQQ8s", datagram))
    assert {token for *_, token in ticks} == {b"tokentok"}
    instants = [uptime_ns, *(monotonic for _, _, _, monotonic, _, _ in ticks)]
    assert instants == sorted(set(instants))
    assert all(number == monotonic // 20_000_000 for _, _, number, monotonic, _, _ in ticks)
    with socket.create_connection(("127.0.0.1", AGENT_PORT), timeout=PATIENCE_S) as connection:
        connection.sendall(request * 2)
        assert connection.recv(32, socket.MSG_WAITALL) == request * 2


def test_guest_sends_echo_requests_of_its_own(console: Path) -> None:
    """The service starts its program for each client, which reaches an agent: here the guest's own."""
    told = wait("echoes", lambda: _told(b"127.0.0.1 10 20\n"), until=_all_answered, deadline=Deadline(PATIENCE_S))
    assert told["sent"] == 10
    assert _told(b"127.0.0.1 1 20\n")["answered"] == 1


def _told(wish: bytes) -> dict[str, float]:
    """Return what the guest tells of echoes, nothing when it does not listen yet."""
    try:
        with socket.create_connection(("127.0.0.1", ECHOES_PORT), timeout=PATIENCE_S) as connection:
            connection.sendall(wish)
            told: dict[str, float] = json.loads(connection.makefile().readline() or "{}")
            return told
    except OSError:
        return {}


def _all_answered(told: dict[str, float]) -> bool:
    return told.get("answered") == told.get("sent", 0) > 0


def _exchange(client: socket.socket, request: bytes) -> bytes:
    """Return the answer, nothing when there is none soon."""
    try:
        client.send(request)
        return client.recv(100)
    except OSError:
        return b""


def _answer(path: str) -> bytes:
    """Return the guest's answer, asking again until it is a success."""

    def ask() -> bytes:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{HTTP_PORT}{path}", timeout=5) as response:
                return bytes(response.read())
        except OSError:
            return b""

    return wait(f"an answer to {path}", ask, until=bool, deadline=Deadline(PATIENCE_S))
