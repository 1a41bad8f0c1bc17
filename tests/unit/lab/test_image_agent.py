"""The guest's agent, as a process of its own on the loopback address."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from lab.image.recipe import GUEST

PROGRAM = GUEST / "root/usr/lib/drainproof/agent"
TICK = struct.Struct("<4sIQQQ8s")
CONNECTIONS, SUBSCRIPTIONS = 64, 32

Address = tuple[str, int]


@contextmanager
def running() -> Iterator[Address]:
    """An agent for the length of a block, and where it answers."""
    argv = [sys.executable, "-IS", str(PROGRAM), "127.0.0.1", "0"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        host, port = process.stdout.readline().strip().split(":")
        yield host, int(port)
        assert process.poll() is None, "the agent did not live through the tests"
        process.kill()


@pytest.fixture(scope="module")
def agent() -> Iterator[Address]:
    """Where an agent answers that most tests share."""
    with running() as address:
        yield address


@pytest.fixture
def fresh_agent() -> Iterator[Address]:
    """Where an agent answers that nobody has talked to."""
    with running() as address:
        yield address


@pytest.fixture
def client(agent: Address) -> Iterator[socket.socket]:
    """A client's socket for datagrams."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.settimeout(10)
        opened.connect(agent)
        yield opened


def request(number: int) -> bytes:
    return b"DPE1" + struct.pack("<IQ", 0, number)


def subscription(period_us: int, token: bytes = b"tokentok") -> bytes:
    return b"DPH1" + struct.pack("<I", period_us) + token


def echo(client: socket.socket, number: int) -> int:
    """The guest's clock in the answer to an echo request; other datagrams may come before it."""
    client.send(request(number))
    while not (answer := client.recv(100)).startswith(b"DPE1"):
        pass
    assert answer[:16] == request(number)
    assert len(answer) == 24
    return int.from_bytes(answer[16:], "little")


def ticks(client: socket.socket, count: int) -> list[tuple[bytes, int, int, int, int, bytes]]:
    """As many ticks."""
    return [TICK.unpack(client.recv(100)) for _ in range(count)]


def connected(agent: Address) -> socket.socket:
    return socket.create_connection(agent, timeout=10)


def received(connection: socket.socket, size: int) -> bytes:
    """So many bytes, or fewer when the connection ends before."""
    content = b""
    while len(content) < size and (chunk := connection.recv(size - len(content))):
        content += chunk
    return content


def test_a_datagram_comes_back_with_the_clock(client: socket.socket) -> None:
    """The answer is the request and an instant between sending and receiving."""
    before = time.monotonic_ns()
    assert before <= echo(client, 1 << 63) <= time.monotonic_ns()


@pytest.mark.parametrize(
    "datagram",
    [b"", b"DPE1", request(7) + b"\0", request(7)[:15], b"DPE2" + request(7)[4:], bytes(60000), TICK.pack(
        b"DPT1", 0, 1, 2, 3, b"tokentok"), request(7) + bytes(8), subscription(0), subscription(999),
     subscription(30_000_001), subscription(2**32 - 1)],
    ids=range(12),
)
def test_what_it_does_not_understand_it_does_not_answer(client: socket.socket, datagram: bytes) -> None:
    """No answer, no tick, and the next request is answered; its own answers are among what it ignores."""
    client.send(datagram)
    client.send(request(8))
    assert client.recv(100).startswith(request(8))
    client.setblocking(False)
    with pytest.raises(BlockingIOError):
        client.recv(100)


def test_ticks_follow_the_absolute_schedule(client: socket.socket) -> None:
    """Each tick is the newest multiple of the period on the monotonic clock, with both clocks and the token."""
    client.send(subscription(5000))
    found = ticks(client, 8)
    for kind, flags, number, monotonic, realtime, token in found:
        assert (kind, flags, token) == (b"DPT1", 0, b"tokentok")
        assert number == monotonic // 5_000_000
        assert abs((time.time_ns() - realtime) - (time.monotonic_ns() - monotonic)) < 5e9
    numbers = [tick[2] for tick in found]
    assert numbers == sorted(set(numbers))


def test_each_client_has_its_own_period_and_a_renewal_may_change_it(agent: Address, client: socket.socket) -> None:
    """A second client does not change the first one's ticks; the same client with another period does."""
    client.send(subscription(2000))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.settimeout(10)
        other.connect(agent)
        other.send(subscription(30_000, b"another!"))
        for _ in range(2):
            _, _, number, monotonic, _, token = TICK.unpack(other.recv(100))
            assert (number, token) == (monotonic // 30_000_000, b"another!")
    client.send(subscription(3000, b"renewed!"))
    while (tick := TICK.unpack(client.recv(100)))[5] != b"renewed!":
        assert tick[2] == tick[3] // 2_000_000
    assert tick[2] == tick[3] // 3_000_000


def test_a_late_tick_is_sent_once(agent: Address, client: socket.socket) -> None:
    """Requests that keep the agent busy do not make it catch up: no number comes twice, none after a later one."""
    client.send(subscription(1000))
    numbers: list[int] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        flood.connect(agent)
        while len(numbers) < 20:
            for number in range(50):
                flood.send(request(number))
            numbers.append(ticks(client, 1)[0][2])
    assert numbers == sorted(set(numbers))


def test_subscriptions_are_bounded(fresh_agent: Address) -> None:
    """Who comes when there is no room gets no ticks, and takes them from nobody."""
    with ExitStack() as stack:
        opened = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(SUBSCRIPTIONS + 4)]
        clients = [stack.enter_context(one) for one in opened]
        for one in clients:
            one.settimeout(10)
            one.connect(fresh_agent)
            one.send(subscription(10_000))
        for one in clients[:SUBSCRIPTIONS]:
            assert len(ticks(one, 2)) == 2
        assert select.select(clients[SUBSCRIPTIONS:], (), (), 0)[0] == []


def test_kept_connections_echo_whole_messages(agent: Address) -> None:
    """Sixteen bytes come back at once, fifteen only with the sixteenth, and so do many messages in one piece."""
    with connected(agent) as connection:
        for number in range(3):
            connection.sendall(request(number))
            assert received(connection, 16) == request(number)
        connection.sendall(request(4)[:15])
        with connected(agent) as other:
            other.sendall(request(5))
            assert received(other, 16) == request(5)
        connection.sendall(request(4)[15:] + request(6) + request(7) + b"rest")
        assert received(connection, 48) == request(4) + request(6) + request(7)


def test_a_client_that_ends_or_breaks_off_is_let_go(agent: Address) -> None:
    """A closed and a reset connection disturb nobody; their places are free again."""
    for linger in (False, True) * CONNECTIONS:
        with connected(agent) as connection:
            connection.sendall(request(1))
            assert received(connection, 16) == request(1)
            if linger:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_a_client_that_does_not_read_is_cut_off(agent: Address, client: socket.socket) -> None:
    """What cannot be sent back ends the connection instead of growing."""
    with connected(agent) as connection:
        with pytest.raises((ConnectionResetError, BrokenPipeError)):  # noqa: PT012
            while True:
                connection.sendall(bytes(65536))
        echo(client, 1)


def test_connections_are_bounded(fresh_agent: Address) -> None:
    """One more than there is room for is closed at once; the others go on."""
    with ExitStack() as stack:
        kept = [stack.enter_context(connected(fresh_agent)) for _ in range(CONNECTIONS)]
        for one in kept:
            one.sendall(request(1))
            assert received(one, 16) == request(1)
        with connected(fresh_agent) as refused:
            assert received(refused, 1) == b""
        kept[0].sendall(request(2))
        assert received(kept[0], 16) == request(2)


def test_the_port_is_the_same_for_both_and_known_at_start(agent: Address) -> None:
    """What is printed is where both sockets are bound, and a second agent on it is refused."""
    argv = [sys.executable, "-IS", str(PROGRAM), agent[0], str(agent[1])]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert os.strerror(errno.EADDRINUSE) in done.stderr
