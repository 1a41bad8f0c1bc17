"""The bench's own server and network: requests are counted whole, namespaces of the dead are known."""

from __future__ import annotations

import os

import pytest

from bench.instrument import places
from bench.instrument.places import Line
from bench.instrument.server import answers
from bench.instrument.table import HEAD, Row, Verdict, text


@pytest.mark.parametrize(
    ("came", "whole", "closing", "rest"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1, False, b""),
        (b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nConn", 1, False, b"GET / HTTP/1.1\r\nConn"),
        (b"GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", 1, True, b""),
        (b"GET / HTTP/1.0\r\n\r\n", 1, True, b""),
        (b"GET / HT", 0, False, b"GET / HT"),
    ],
)
def test_requests_are_counted_when_they_are_whole(came: bytes, whole: int, closing: bool, rest: bytes) -> None:
    assert answers(came) == (whole, closing, rest)


def test_only_namespaces_of_dead_owners_are_leftovers() -> None:
    """An owner is a process with its start time, so that a later process of the same pid does not keep them."""
    names = [f"dpb-{places.this_process()}-client", f"dpb-{os.getpid()}.1-client", "dpb-x-wire0"]
    assert places.ownerless(names) == names[1:]


def test_names_of_interfaces_and_addresses_fit_the_kernel() -> None:
    line = Line(3, "1.2")
    assert max(map(len, (line.device, places.CLIENT_SIDE, places.SERVER_SIDE, places.SERVER_DEVICE))) <= 15
    assert line.address != line.client_address


def test_a_row_that_is_too_long_goes_on_below_with_its_verdict_in_the_first_line() -> None:
    first, *rest = text(Row.judged("figure", "target", "word " * 40, good=False)).splitlines()
    assert first.endswith("MISSED")
    assert first.index("MISSED") == HEAD.index("verdict")
    assert rest
    assert Row.told("figure", "so much").verdict is Verdict.TOLD
