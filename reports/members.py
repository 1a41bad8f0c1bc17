"""What the members of the database told of their cluster, look by look, and when nobody looked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drainproof.record import Event
from reports.evidence import Evidence, Fault
from reports.series import holes
from reports.spans import Span

SOURCE = "membership"
PRIMARY, SYNCED = "Primary", 4
TRANSFERS = ("IST", "SST")
"""How a member gets what it has missed: the missing writes, or a copy of everything."""
NIL = "00000000-0000-0000-0000-000000000000"
"""A member that has not joined yet tells this for its history."""
SILENT_SECONDS = 12.0
"""The observer tells every 5 s how often it looked; one that is silent for longer may have missed a change."""
NOTICE_SECONDS = 10.0
"""So long after a fault a member may find out that it was expelled, and look after look tells of it."""


@dataclass(frozen=True, slots=True)
class State:
    """How a member stood in its cluster, from one look on."""

    t_ns: int
    vm: str
    primary: bool
    size: int
    local_state: int
    comment: str
    conf_id: int
    history: str

    @property
    def synced(self) -> bool:
        return self.primary and self.local_state == SYNCED


def observed(evidence: Evidence) -> bool:
    """Whether anybody looked at the membership in this run, or was meant to."""
    return any(
        event.source == SOURCE or (event.source == "observer" and event.object == SOURCE) for event in evidence.events
    )


def asked(evidence: Evidence) -> str:
    """How often the members are asked, in words."""
    return f"asked every {1 / evidence.load.membership_rate:g} s"


def states(evidence: Evidence, vm: str) -> list[State]:
    """What a member told, by time; only what it told in the window."""
    events = evidence.of_kind(SOURCE, "state", vm)
    return [_state(event) for event in events if event.t_ns in evidence.window.span]


def all_states(evidence: Evidence) -> list[State]:
    """What all members told, by time."""
    return sorted((state for vm in evidence.vms for state in states(evidence, vm.name)), key=lambda state: state.t_ns)


def unwatched(evidence: Evidence, vm: str) -> str:
    """Why a change of a member may have gone unseen in the window, or empty."""
    window = evidence.window.span
    looks = [event for event in evidence.of_kind(SOURCE, "looks", vm) if int(event.data.get("looks") or 0) > 0]
    if not looks:
        return "nobody looked how it stands in its cluster"
    moments = [int(event.data[edge]) for event in looks for edge in ("from_ns", "to_ns")]
    silent = holes(sorted(moments), window, SILENT_SECONDS)
    if silent:
        return f"nobody looked at it for {silent[0].seconds:.1f} s from {evidence.at(silent[0].begin)} on"
    return "" if states(evidence, vm) else "it never told how it stands in its cluster"


def reach(evidence: Evidence, fault: Fault) -> Span:
    """When a fault may change the membership: from its begin until all members are whole again after its end."""
    end = notice = fault.span.end + int(NOTICE_SECONDS * 1e9)
    latest: dict[str, State] = {}
    for event in _answers(evidence):
        if event.t_ns > notice and _whole(latest, len(evidence.vms)):
            break
        if event.kind == "state":
            latest[event.object] = _state(event)
        else:
            # What a member told before it stopped answering is not how it stands.
            latest.pop(event.object, None)
        end = max(notice, event.t_ns)
    settled = evidence.settled(fault)
    return Span(fault.span.begin, min(end, settled) if _whole(latest, len(evidence.vms)) else settled)


def _answers(evidence: Evidence) -> list[Event]:
    """What members told, and when one did not answer, by time; in the window."""
    found = [*evidence.of_kind(SOURCE, "state"), *evidence.of_kind(SOURCE, "lost")]
    return sorted((event for event in found if event.t_ns in evidence.window.span), key=lambda event: event.t_ns)


def departures(evidence: Evidence, vm: str) -> Iterator[Span]:
    """When a member left the primary component, by its own words or by its joining it again.

    A departure that it tells of is the moment of its word. One that only its return tells of lies in its absence.
    """
    inside, counted = True, False
    silent, back = after_silence(evidence, vm)
    for event in _words(evidence, vm, back):
        if event.kind == "join":
            # It is told after the first state of the member that is back: a departure that was seen is the same one.
            if not counted and (event.data.get("way") in TRANSFERS or event.data.get("restarted") is True):
                yield _absence(event)
            inside, counted = True, False
        elif _state(event).primary:
            inside = True
        elif inside:
            yield Span(silent.t_ns if silent and event.t_ns > evidence.window.span.end else event.t_ns, event.t_ns)
            inside, counted = False, True


def after_silence(evidence: Evidence, vm: str) -> tuple[Event | None, State | None]:
    """Of a member that does not answer when the window ends: since when, and what it told next."""
    silent: Event | None = None
    for event in _answers(evidence):
        if event.object == vm:
            silent = (silent or event) if event.kind == "lost" else None
    later = [event for event in evidence.of_kind(SOURCE, "state", vm) if event.t_ns > evidence.window.span.end]
    return silent, _state(later[0]) if silent and later else None


def _words(evidence: Evidence, vm: str, back: State | None) -> list[Event]:
    """What tells of a member's departures, by time: its words in the window, and what ends an absence after it."""
    window = evidence.window.span
    joins = [event for event in evidence.of_kind(SOURCE, "join", vm) if event.t_ns >= window.begin]
    told = [event for event in joins if _absence(event).begin <= window.end]
    told += [
        event for event in evidence.of_kind(SOURCE, "state", vm)
        if event.t_ns in window or (back is not None and event.t_ns == back.t_ns)
    ]
    return sorted(told, key=lambda event: event.t_ns)


def _absence(join: Event) -> Span:
    """When a member that is back was away; an older record tells only when that was told, and how long it was."""
    lasted = int(float(join.data.get("seconds") or 0) * 1e9)
    since = join.data.get("since_ns")
    return Span(join.t_ns - lasted, join.t_ns) if since is None else Span(int(since), int(since) + lasted)


def _whole(latest: dict[str, State], size: int) -> bool:
    return len(latest) == size and all(state.synced and state.size == size for state in latest.values())


def _state(event: Event) -> State:
    data = event.data
    return State(
        t_ns=event.t_ns,
        vm=event.object,
        primary=str(data.get("cluster_status")) == PRIMARY,
        size=int(data.get("cluster_size") or 0),
        local_state=int(data.get("local_state") or 0),
        comment=str(data.get("state_comment") or ""),
        conf_id=int(data.get("conf_id") or 0),
        history=str(data.get("state_uuid") or ""),
    )
