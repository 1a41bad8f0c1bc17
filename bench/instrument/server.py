"""`python -m bench.instrument.server ADDRESS PORT`: answers every HTTP request at once, on kept and new connections."""

from __future__ import annotations

import select
import socket
import sys

BACKLOG = 1024
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
END_OF_HEAD = b"\r\n\r\n"
CLOSE = b"connection: close"
MOST = 1 << 16


def main(arguments: list[str]) -> int:
    """Serve until killed."""
    address, port = arguments
    with socket.create_server((address, int(port)), backlog=BACKLOG) as listener:
        listener.setblocking(False)
        poll = select.epoll()
        poll.register(listener, select.EPOLLIN)
        connections: dict[int, tuple[socket.socket, bytes]] = {}
        print("ready", flush=True)
        while True:
            for number, _ in poll.poll():
                if number == listener.fileno():
                    _accept(listener, poll, connections)
                elif not _serve(number, connections):
                    connections.pop(number)[0].close()


def _accept(listener: socket.socket, poll: select.epoll, connections: dict[int, tuple[socket.socket, bytes]]) -> None:
    try:
        connection, _ = listener.accept()
    except OSError:
        return
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connections[connection.fileno()] = connection, b""
    poll.register(connection, select.EPOLLIN)


def _serve(number: int, connections: dict[int, tuple[socket.socket, bytes]]) -> bool:
    """Answer what has come; False when the connection shall be closed."""
    connection, begun = connections[number]
    try:
        came = connection.recv(MOST)
        whole, closing, rest = answers(begun + came)
        if whole:
            connection.sendall(ANSWER * whole)
    except OSError:
        return False
    connections[number] = connection, rest
    return bool(came) and not closing and len(rest) < MOST


def answers(came: bytes) -> tuple[int, bool, bytes]:
    """How many whole requests these bytes hold, whether the last asks for an end, and what is left; no bodies."""
    *heads, rest = came.split(END_OF_HEAD)
    closing = bool(heads) and (CLOSE in heads[-1].lower() or b" HTTP/1.0" in heads[-1])
    return len(heads), closing, rest


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
