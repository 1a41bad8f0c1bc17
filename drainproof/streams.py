"""The names of client streams: what is asked of whom and from where, as `kind/target` or `kind/target@vantage`."""

from __future__ import annotations

from dataclasses import dataclass

OUTSIDE = "outside"
"""The vantage point of the clients themselves; it is not written in a stream's name."""
VIRTUAL_IP = "vip"
"""How streams through the service's virtual address are named."""
CLIENT = "client"
"""How streams that never leave the client are named."""

UDP, HEARTBEAT, TCP_KEPT, TCP_NEW, CONTROL = "udp", "heartbeat", "tcp-kept", "tcp-new", "control"
AWAY = "away"
"""Not operations but the times in which a stopwatch itself was away from its work: start to end of each."""
HTTP_NEW, HTTP_REUSED, SQL, CLINIC = "http-new", "http-reused", "sql", "clinic"


@dataclass(frozen=True, slots=True, order=True)
class Stream:
    """One stream of operations by its parts."""

    kind: str
    target: str
    vantage: str = OUTSIDE

    @property
    def name(self) -> str:
        """As samples, metrics and certificates name it."""
        suffix = "" if self.vantage == OUTSIDE else f"@{self.vantage}"
        return f"{self.kind}/{self.target}{suffix}"

    @classmethod
    def of(cls, name: str) -> Stream:
        """The parts of a name; whatever follows the first `/` and the last `@` is the target's and the vantage's."""
        kind, _, rest = name.partition("/")
        target, _, vantage = rest.rpartition("@") if "@" in rest else (rest, "", OUTSIDE)
        return cls(kind, target, vantage or OUTSIDE)
