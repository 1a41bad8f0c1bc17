"""How a machine that a fault took away came back: noticed, fenced, restarted, each by its own evidence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from drainproof.record import Event
from reports.absences import absence
from reports.evidence import Evidence, Fault
from reports.spans import Span
from reports.streams import target_of, timed_streams
from reports.watches import SOURCE

OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
"""The taint by which somebody says that a node is certainly off, so that its pods may be taken for dead."""
OVER = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Lost:
    """One machine that a fault took away, and what the record says of it from then on."""

    evidence: Evidence
    fault: Fault
    vm: str
    """Its name, or the virtual address: a fault that takes the whole service takes that away too."""

    @property
    def node(self) -> str:
        """Where it ran when the fault began."""
        return str(self._before.data.get("node") or "") if self._before else ""

    @property
    def uid(self) -> str:
        """Which instance it was when the fault began; empty if nobody knows."""
        return str(self._before.data.get("uid") or "") if self._before else ""

    @property
    def with_its_node(self) -> bool:
        """Whether the fault was done to the node under it."""
        return self.node in self.fault.targets

    @property
    def span(self) -> Span:
        """From the fault's begin until its effect may last no longer."""
        return Span(self.fault.span.begin, self.evidence.settled(self.fault))

    @property
    def lost_ns(self) -> int:
        """When it was lost, as its clients saw it, or else when the fault was injected."""
        begins = [away.begin for stream in self.streams if (away := absence(self.evidence, self.fault, stream))]
        return min(begins, default=self.fault.injected_ns or self.fault.span.begin)

    @property
    def streams(self) -> tuple[str, ...]:
        """What it has to serve again."""
        return tuple(stream for stream in timed_streams(self.evidence) if target_of(stream) == self.vm)

    def noticed(self) -> int | None:
        """When the cluster first knew: of its node for a node's loss, else of the instance or the member itself."""
        if self.with_its_node:
            return _first(event for event in self._nodes() if str(event.data.get("ready")) != "True")
        gone = [event for event in self._instances() if _is_gone(event) or event.data.get("ready") is False]
        silent = self._after(self.evidence.of_kind("membership", "lost", self.vm))
        left = [
            event for event in self._after(self.evidence.of_kind("membership", "state", self.vm))
            if event.data.get("cluster_status") != "Primary"
        ]
        return _first([*gone, *silent, *left])

    def node_returned(self) -> int | None:
        """When the node under it was first seen ready again."""
        noticed = self.noticed() if self.with_its_node else None
        return _first(
            event for event in self._nodes()
            if noticed is not None and event.t_ns > noticed and str(event.data.get("ready")) == "True"
        )

    def fenced(self) -> int | None:
        """When the instance was first known to be dead for certain: its node out of service, or its pod gone."""
        pods = [
            event for event in self._after(self.evidence.of_kind(SOURCE, "pod"))
            if event.data.get("vmi") == self.vm and event.data.get("event") == "DELETED"
            and event.data.get("node") == self.node
        ]
        return _first([*self._tainted(), *pods])

    def declared_off(self) -> int | None:
        """When somebody vouched that the node is off; a pod that was removed by force proves nothing of its guest."""
        return _first(self._tainted())

    def restarted(self) -> int | None:
        """When another instance of it was first seen running."""
        return _first(event for event in self._others() if event.data.get("phase") == "Running")

    def recreated(self) -> int | None:
        """When another instance of it was first seen at all."""
        return _first(self._others())

    def rebooted(self) -> int | None:
        """When its guest was first seen in another boot."""
        readings = self.evidence.of_kind("witness", "identity", self.vm)
        before = [event.data.get("boot_id") for event in readings if event.t_ns <= self.fault.span.begin]
        later = self._after(readings)
        return _first(event for event in later if before and event.data.get("boot_id") != before[-1])

    def _tainted(self) -> list[Event]:
        return [event for event in self._nodes() if OUT_OF_SERVICE in _taints(event)]

    @property
    def _before(self) -> Event | None:
        found = [event for event in self._watched() if event.t_ns <= self.fault.span.begin]
        return found[-1] if found else None

    def _watched(self) -> list[Event]:
        return self.evidence.of_kind(SOURCE, "vmi", f"{self.evidence.namespace}/{self.vm}")

    def _instances(self) -> list[Event]:
        return self._after(self._watched())

    def _others(self) -> list[Event]:
        """What was seen of other instances of it; nothing is told to be one while it is not known which it was."""
        return [event for event in self._instances() if self.uid and event.data.get("uid") not in (None, "", self.uid)]

    def _nodes(self) -> list[Event]:
        return [event for event in self._after(self.evidence.of_kind(SOURCE, "node")) if _names(event, self.node)]

    def _after(self, events: Iterable[Event]) -> list[Event]:
        return [event for event in events if event.t_ns in self.span and event.t_ns > self.fault.span.begin]


def _is_gone(event: Event) -> bool:
    return event.data.get("event") == "DELETED" or event.data.get("phase") in OVER


def _names(event: Event, node: str) -> bool:
    return bool(node) and str(event.data.get("name") or event.object) == node


def _taints(event: Event) -> set[str]:
    return {str(taint.get("key")) for taint in event.data.get("taints") or ()}


def _first(events: Iterable[Event]) -> int | None:
    return min((event.t_ns for event in events), default=None)
