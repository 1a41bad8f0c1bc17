"""HTTP/1.1 as far as a probe needs it: one GET, and when its answer is whole. A stopwatch parses no more."""

from __future__ import annotations

OK_STATUS = 200
MAX_ANSWER_BYTES = 1_000_000


class MalformedAnswerError(ValueError):
    """What came is not an HTTP answer; says in which way."""


def get(path: str, host: str, *, keep: bool) -> bytes:
    """The bytes of a GET request, on a connection that shall be kept or not."""
    connection = "keep-alive" if keep else "close"
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: drainproof\r\nConnection: {connection}\r\n\r\n".encode()


class Answer:
    """One answer as it arrives in pieces."""

    __slots__ = ("_body_start", "_data", "_length", "keeps", "status")

    def __init__(self) -> None:
        self._data = b""
        self._body_start = 0
        self._length = -1
        self.status = 0
        self.keeps = False
        """Whether the server keeps the connection for another request."""

    def feed(self, data: bytes) -> bool:
        """Take in what arrived; true when the answer is whole. Raises MalformedAnswerError."""
        self._data += data
        if not self._body_start and not self._read_head():
            return False
        return self._length >= 0 and len(self._data) - self._body_start >= self._length

    def ends_with_connection(self) -> bool:
        """Whether an answer whose connection has ended here is whole."""
        return self._body_start > 0 and self._length < 0

    @property
    def empty(self) -> bool:
        return not self._data

    def _read_head(self) -> bool:
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            if len(self._data) > MAX_ANSWER_BYTES:
                raise MalformedAnswerError("endless headers")
            return False
        first, *lines = self._data[:end].split(b"\r\n")
        words = first.split(b" ", 2)
        if not words[0].startswith(b"HTTP/1.") or len(words) < 2 or not words[1].isdigit():
            raise MalformedAnswerError(f"not an HTTP answer: {first[:40]!r}")
        self.status = int(words[1])
        self._body_start = end + 4
        self._read_fields(lines, persistent=words[0] == b"HTTP/1.1")
        return True

    def _read_fields(self, lines: list[bytes], *, persistent: bool) -> None:
        parts = (line.partition(b":") for line in lines)
        fields = {name.strip().lower(): value.strip().lower() for name, _, value in parts}
        if b"chunked" in fields.get(b"transfer-encoding", b""):
            raise MalformedAnswerError("a chunked answer, which a probe's target must not give")
        length = fields.get(b"content-length")
        if length is not None:
            if not length.isdigit() or int(length) > MAX_ANSWER_BYTES:
                raise MalformedAnswerError(f"content length {length[:40]!r}")
            self._length = int(length)
        connection = fields.get(b"connection", b"keep-alive" if persistent else b"close")
        self.keeps = self._length >= 0 and connection != b"close"
