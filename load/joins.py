"""How a member stood at each look, when it was away from its cluster, and how it got back what it had missed.

A state transfer replaces the files of all tables (SST), or hands over the missing write sets (IST). Server variables
do not say which it was, so it is concluded: files that are new were copied, and a member that has committed more than
it replicated itself and received from the group was handed the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

PRIMARY, SYNCED = "Primary", 4
OUTSIDE = (0, 1, 5)
"""wsrep_local_state of a member that is not part of the group's work: undefined, joiner, in error."""
VARIABLES = {
    "cluster_status": "wsrep_cluster_status",
    "cluster_size": "wsrep_cluster_size",
    "local_state": "wsrep_local_state",
    "state_comment": "wsrep_local_state_comment",
    "conf_id": "wsrep_cluster_conf_id",
    "state_uuid": "wsrep_local_state_uuid",
    "ready": "wsrep_ready",
    "local_index": "wsrep_local_index",
    "uptime_s": "Uptime",
    "last_committed": "wsrep_last_committed",
    "received_bytes": "wsrep_received_bytes",
    "received": "wsrep_received",
    "replicated": "wsrep_replicated",
    "replicated_bytes": "wsrep_replicated_bytes",
}
"""Status variables by the name under which a look keeps them."""
TOLD = tuple(VARIABLES)[:11]
"""What of a look goes on the record."""
LASTING = TOLD[:8]
"""What stays as it is while nothing happens to a member."""
DOUBT_NS = 15_000_000_000
"""A member that was silent calls itself Synced until it has heard from the others: so long it may be mistaken."""
UNDER_WAY = 8
"""So many write sets may be received and not yet committed when a member is looked at."""
Files = Mapping[str, str]
"""When each table's file was made, by the table's name, as the member's own clock says."""


@dataclass(frozen=True, slots=True)
class Look:
    """A member's status at one instant; -1 stands for a number that it did not tell."""

    at_ns: int
    cluster_status: str
    cluster_size: int
    local_state: int
    state_comment: str
    conf_id: int
    state_uuid: str
    ready: str
    local_index: int
    uptime_s: int
    last_committed: int
    received_bytes: int
    received: int
    replicated: int
    replicated_bytes: int

    @classmethod
    def of(cls, at_ns: int, status: Mapping[str, Any]) -> Look:
        """A look from the rows of SHOW GLOBAL STATUS."""
        kinds = {item.name: item.type for item in fields(cls)}
        found = {name: status.get(variable) for name, variable in VARIABLES.items()}
        values: dict[str, Any] = {
            name: _number(value) if kinds[name] == "int" else str(value) for name, value in found.items()
        }
        return cls(at_ns=at_ns, **values)

    @property
    def synced(self) -> bool:
        return self.cluster_status == PRIMARY and self.local_state == SYNCED

    @property
    def outside(self) -> bool:
        return self.cluster_status != PRIMARY or self.local_state in OUTSIDE

    @property
    def volume(self) -> int:
        """Bytes of all write sets that the group has handed to this member, or taken from it, since its start."""
        return self.received_bytes + self.replicated_bytes

    def told(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in TOLD}

    def same_as(self, other: Look | None) -> bool:
        """Whether nothing has happened to the member between two looks, as far as they tell."""
        if other is None or self.uptime_s < other.uptime_s:
            return False
        return all(getattr(self, name) == getattr(other, name) for name in LASTING)


@dataclass(frozen=True, slots=True)
class Absence:
    """A member could not be seen in its cluster, or was seen outside of it, and then in it again."""

    before: Look | None
    """The last look at which it was Synced."""
    since_ns: int
    states: Sequence[str]
    """What it was seen to be meanwhile, in order."""
    outside: bool
    back: Look

    @property
    def seconds(self) -> float:
        return (self.back.at_ns - self.since_ns) / 1e9

    @property
    def restarted(self) -> bool:
        """Whether its server is another process than before: then what it counts has begun anew."""
        if self.before is None:
            return False
        counted = [(look.uptime_s, look.received, look.replicated) for look in (self.before, self.back)]
        return any(now < then for then, now in zip(*counted, strict=True))

    @property
    def handed_over(self) -> int:
        """How many write sets it has committed that reached it neither through the group nor from its own clients."""
        if self.before is None:
            return 0
        own = self.back.received + self.back.replicated
        if not self.restarted:
            own -= self.before.received + self.before.replicated
        return max(0, self.back.last_committed - self.before.last_committed - own)

    @property
    def share(self) -> float:
        """Which part of what it has committed meanwhile was handed over."""
        committed = self.back.last_committed - (self.before.last_committed if self.before else 0)
        return self.handed_over / committed if committed > 0 else 0.0

    @property
    def real(self) -> bool:
        """Whether it was away at all: a look that failed may have been a matter of the network, or of the client."""
        if self.outside or self.restarted:
            return True
        in_another_view = self.before is not None and self.before.conf_id != self.back.conf_id
        return in_another_view and self.handed_over > UNDER_WAY


class Standing:
    """Follows one member from look to look."""

    def __init__(self) -> None:
        self.since_ns: int | None = None
        """Since when the member has been away, if it is."""
        self._synced: Look | None = None
        self._doubtful: tuple[int, int, list[str]] | None = None
        self._states: list[str] = []
        self._outside = False

    def failed(self, at_ns: int) -> None:
        """A look had no answer."""
        self._leave(at_ns, "no answer")

    def looked(self, look: Look) -> Absence | None:
        """A look was answered; returns the absence that it ends, if the member really was away."""
        if look.outside:
            self._outside = True
            self._leave(look.at_ns, look.state_comment if look.cluster_status == PRIMARY else look.cluster_status)
        elif self.since_ns is not None and not look.synced:
            self._leave(look.at_ns, look.state_comment)
        if not look.synced:
            return None
        ended = self._ended(look)
        real = ended is not None and ended.real
        if self.since_ns is not None:
            self._doubtful = None if real else (look.at_ns + DOUBT_NS, self.since_ns, self._states)
        self._synced, self.since_ns, self._states, self._outside = look, None, [], False
        return ended if real else None

    def _leave(self, at_ns: int, state: str) -> None:
        if self.since_ns is None:
            self.since_ns = at_ns
            if self._doubtful is not None and at_ns <= self._doubtful[0]:
                _, self.since_ns, self._states = self._doubtful
            self._doubtful = None
        if not self._states or self._states[-1] != state:
            self._states.append(state)

    def _ended(self, back: Look) -> Absence | None:
        if self.since_ns is not None:
            return Absence(self._synced, self.since_ns, tuple(self._states), self._outside, back)
        # A restart may fit in between two looks.
        absence = Absence(self._synced, back.at_ns, (), False, back)
        return absence if absence.restarted else None


def way_of(absence: Absence, before: Files, now: Files) -> tuple[str, str]:
    """How the member got back what it had missed, and the evidence in a sentence."""
    common = before.keys() & now.keys()
    renewed = [name for name in common if before[name] != now[name]]
    server = "its server restarted" if absence.restarted else "its server ran on"
    if common and len(renewed) == len(common):
        return "SST", f"{server}; all {len(common)} tables are new files"
    kept = f"{len(common) - len(renewed)} of {len(common)} tables are the files of before"
    if absence.handed_over > 0:
        return "IST", f"{server}; {kept}; {absence.handed_over} write sets did not reach it through the group"
    if any(state.startswith(("Join", "Receiv")) for state in absence.states):
        return "IST", f"{server}; {kept}; it was seen {', '.join(absence.states)}"
    return "none", f"{server}; {kept}; every write set reached it through the group"


def _number(value: Any) -> int:
    """A number as it was told; -1 for none, which Galera also writes as the largest number of 64 bits."""
    try:
        number = int(value)
    except (TypeError, ValueError):
        return -1
    return number if number < 1 << 63 else -1
