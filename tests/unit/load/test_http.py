"""An answer is whole exactly when its last byte has come, however it was cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load.http import Answer, MalformedAnswerError, get

WHOLE = b"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length: 3\r\n\r\nok\n"


@given(st.lists(st.integers(1, len(WHOLE) - 1), unique=True))
def test_an_answer_in_pieces_is_whole_with_the_last_one(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WHOLE)]
    answer = Answer()
    states = [answer.feed(WHOLE[start:end]) for start, end in pairwise(edges)]
    assert states == [False] * (len(states) - 1) + [True]
    assert (answer.status, answer.keeps) == (200, True)


@pytest.mark.parametrize(
    ("head", "keeps"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive", True),
    ],
)
def test_whether_the_connection_is_kept_is_the_servers_word(head: bytes, keeps: bool) -> None:
    answer = Answer()
    assert answer.feed(head + b"\r\n\r\n")
    assert answer.keeps is keeps


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    answer = Answer()
    assert not answer.feed(b"HTTP/1.1 200 OK\r\n\r\nsome")
    assert answer.ends_with_connection()
    assert not answer.keeps


def test_a_cut_answer_does_not_end_with_its_connection() -> None:
    answer = Answer()
    answer.feed(WHOLE[:-1])
    assert not answer.ends_with_connection()


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        Answer().feed(data)


def test_a_request_says_whether_the_connection_shall_be_kept() -> None:
    assert b"Connection: close\r\n" in get("/healthz", "10.0.0.1", keep=False)
    assert b"Connection: keep-alive\r\n" in get("/healthz", "10.0.0.1", keep=True)
