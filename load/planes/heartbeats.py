"""Heartbeats: ticks that a guest sends by itself, with its own clock, as long as somebody asks for them."""

from __future__ import annotations

import struct

from drainproof.record import Outcome
from drainproof.record.spool import Spool
from load.planes.datagrams import ANCILLARY_BYTES, ArrivalClock, datagram_socket, raise_own_fault
from load.planes.loop import Loop
from load.schedule import SECOND, Schedule

RENEWAL_NS = SECOND
"""How often the subscription is renewed; guests keep one for 30 s."""
_SUBSCRIPTION = struct.Struct("<4sIQ")
_TICK = struct.Struct("<4sIQqqQ")
_TICK_MAGIC = b"DPT1"
_OK = int(Outcome.OK)


class Heartbeats:
    """The ticks of one guest; each becomes a row whose key is the guest's own monotonic time of sending."""

    def __init__(
        self, loop: Loop, spool: Spool, arrivals: ArrivalClock, stream: int, times: Schedule, peer: tuple[str, int],
        *, rate: float, token: int,
    ) -> None:
        self.times = times
        self._spool = spool
        self._arrivals = arrivals
        self._stream = stream
        self._token = token
        self._socket = datagram_socket(*peer)
        self._receive = self._socket.recvmsg_into
        self._subscription = _SUBSCRIPTION.pack(b"DPH1", round(1e6 / rate), token)
        self._tick = bytearray(64)
        self._into = [self._tick]
        loop.collect(self._socket.fileno(), self.take)

    @property
    def port(self) -> int:
        """Our own port."""
        port: int = self._socket.getsockname()[1]
        return port

    def fire(self, _due_ns: int) -> None:
        """Renew the subscription; a guest that cannot be reached now is asked again in a second."""
        try:
            self._socket.send(self._subscription)
        except OSError as error:
            raise_own_fault(error)

    def take(self, _fd: int = -1) -> None:
        """Take one tick; those of another subscription are none of ours."""
        arrivals = self._arrivals
        arrivals.read()
        try:
            size, ancillary, _, _ = self._receive(self._into, ANCILLARY_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            raise_own_fault(error)
            return
        magic, _, _, guest_ns, _, token = _TICK.unpack_from(self._tick)
        if size == _TICK.size and magic == _TICK_MAGIC and token == self._token:
            arrival = arrivals.arrival(ancillary, arrivals.now())
            self._spool.append(self._stream, arrival, arrival, arrival, _OK, guest_ns)

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()
