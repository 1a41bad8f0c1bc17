"""How guests are asked for echoes: one process where the clients are, all guests at the same time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from drainproof.wait import Deadline
from scenarios.echoes import PORT, Echoes, EchoesError, Guests

TOLD = '{"sent": 8, "answered": 6, "shortest_ms": 1.5, "median_ms": null}\n'


@contextmanager
def guests(answer: str, clients: int) -> Iterator[tuple[Guests, list[str]]]:
    """A service that answers so many clients once all of them have asked, and what they ask."""
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connections = [listener.accept()[0] for _ in range(clients)]
            asked.extend(connection.recv(100).decode() for connection in connections)
            for connection in connections:
                connection.sendall(answer.encode())
                connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        addresses = {"a": "127.0.0.1", "b": "10.0.0.2", "c": "10.0.0.3"}
        yield Guests(addresses=addresses, port=listener.getsockname()[1]), asked
        thread.join()


def test_all_pairs_are_asked_at_the_same_time() -> None:
    """Each guest is told its peer, how many and how often; the figures come back in order."""
    with guests(TOLD, 2) as (service, asked):
        seen = service.measure([("a", "b"), ("a", "c")], 8, Deadline(30))
    assert seen == [Echoes(8, 6, 1.5, None)] * 2
    assert asked == ["10.0.0.2 8 20\n", "10.0.0.3 8 20\n"]
    assert seen[0].lost == 0.25


@pytest.mark.parametrize(("answer", "match"), [
    ("refused: at most 120 s\n", "at 127.0.0.1 sends no echo requests: refused: at most 120 s$"),
    ("", "sends no echo requests: it said nothing$"),
])
def test_a_guest_that_refuses_says_why(answer: str, match: str) -> None:
    """Its own words stand in the error."""
    with guests(answer, 1) as (service, _), pytest.raises(EchoesError, match=match):
        service.measure([("a", "b")], 8, Deadline(30))


def test_a_guest_of_another_image_has_no_such_service() -> None:
    """One sentence says so."""
    told = f"^the guest at 127.0.0.1 offers no service for echo requests at port {PORT}: "
    with pytest.raises(EchoesError, match=told):
        Guests(addresses={"a": "127.0.0.1", "b": "10.0.0.2"}).measure([("a", "b")], 8, Deadline(30))


def test_what_is_not_told_before_the_deadline_is_an_error() -> None:
    """A guest that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        service = Guests(addresses={"a": "127.0.0.1", "b": "10.0.0.2"}, port=listener.getsockname()[1])
        with pytest.raises(EchoesError, match="did not tell of echoes in time"):
            service.measure([("a", "b")], 8, Deadline(1))


def test_guests_are_asked_from_where_the_clients_are() -> None:
    """The prefix comes first; what it cannot do is told."""
    prefix = ("sh", "-c", "echo $2 $5 $6; exit 9", "")
    service = Guests(addresses={"a": "127.0.0.1", "b": "10.0.0.2"}, client_exec=prefix)
    with pytest.raises(EchoesError, match="^-m 8 127.0.0.1$"):
        service.measure([("a", "b")], 8, Deadline(30))
