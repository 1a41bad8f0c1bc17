"""Sockets made inside another network namespace: a socket keeps the namespace it was created in."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

NETNS_DIR = Path("/run/netns")


def exists(namespace: str) -> bool:
    return (NETNS_DIR / namespace).exists()


def create_socket(namespace: str, make: Callable[[], socket.socket]) -> socket.socket:
    """Run `make` in the namespace and return its socket.

    A thread of its own enters the namespace and ends there, so that no other code ever runs in it. Raises OSError
    when the namespace is absent or this process may not enter it.
    """
    result: list[socket.socket] = []
    failure: list[OSError] = []

    def enter() -> None:
        try:
            descriptor = os.open(NETNS_DIR / namespace, os.O_RDONLY | os.O_CLOEXEC)
            try:
                _setns(descriptor)
            finally:
                os.close(descriptor)
            result.append(make())
        except OSError as error:
            failure.append(error)

    thread = threading.Thread(target=enter, name=f"enter-{namespace}")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


def _setns(descriptor: int) -> None:
    """Python 3.11 has no os.setns."""


    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, 0x40000000) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def listening_socket(address: str, port: int) -> socket.socket:
    """A bound, listening IPv4 socket. Raises OSError when the port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(256)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener
