"""What the kernel says about a TCP connection (TCP_INFO), as far as it explains a stall."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

_BYTES = 104
_FIELDS = struct.Struct("=BBBBBBBB24I")


@dataclass(frozen=True, slots=True)
class TcpInfo:
    """One look at a connection; times in microseconds."""

    state: int
    retransmits: int
    """Retransmissions in a row without an acknowledgement."""
    backoff: int
    """How often the retransmission timer was doubled."""
    rto_us: int
    unacked: int
    rtt_us: int
    total_retrans: int


def read_tcp_info(connection: socket.socket) -> TcpInfo:
    """Ask the kernel; raises OSError when the socket is no TCP connection."""
    values = _FIELDS.unpack(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES))
    words = values[8:]
    return TcpInfo(
        state=values[0], retransmits=values[2], backoff=values[4], rto_us=words[0], unacked=words[4],
        rtt_us=words[15], total_retrans=words[23],
    )
